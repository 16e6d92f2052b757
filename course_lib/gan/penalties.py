"""What keeps a critic smooth: penalties on its gradient with respect to its input.

A penalty is called as `penalty(critic, real, fake, generator) -> [...]` and is added to the critic's loss
before anyone takes a gradient. `real` and `fake` are `[..., B, features]`; the norm of a gradient is taken
sample by sample over all features, be they coordinates or pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, Protocol, TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import relu

CriticFn = Callable[[Tensor], Tensor]
Random: TypeAlias = torch.Generator | None


class Penalty(Protocol):
    """Anything that can be added to the critic's loss."""

    def __call__(self, critic: CriticFn, real: Tensor, fake: Tensor, generator: Random) -> Tensor: ...


def squared_slope(critic: CriticFn, x: Tensor) -> Tensor:
    """`|grad_x critic(x)|^2`, sample by sample, `[..., B]`; differentiable with respect to the critic."""
    x = x if x.requires_grad else x.detach().requires_grad_()
    with torch.enable_grad():
        logits = critic(x)
        if logits.shape != x.shape[: logits.dim()] or logits.dim() == x.dim():
            raise ValueError(
                f"a critic returns one logit per sample, {list(x.shape[:-1])} for points {list(x.shape)}, "
                f"but this one returned {list(logits.shape)}; squeeze a trailing axis of 1"
            )
        # A sample's logit depends on that sample, so the gradient of the sum holds every sample's own.
        (gradient,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
    return gradient.flatten(logits.dim()).square().sum(-1)


def _slope(critic: CriticFn, x: Tensor) -> Tensor:
    return (squared_slope(critic, x) + 1e-12).sqrt()  # a root has no derivative at 0


def batch_shape(critic: CriticFn, x: Tensor) -> torch.Size:
    """The axes of `x` that number samples, `[B]` or `[S, B]`; the others are features.

    Library critics say so with `seeds`; any other critic is asked for its logits.
    """
    if hasattr(critic, "seeds"):
        return x.shape[: 1 if critic.seeds is None else 2]
    with torch.no_grad():
        return critic(x).shape


def mix(critic: CriticFn, real: Tensor, fake: Tensor, generator: Random) -> Tensor:
    """A point on the line from each fake to its real partner, `alpha ~ U[0, 1]` drawn for each sample."""
    batch = batch_shape(critic, real)
    alpha = torch.rand(batch, generator=generator, dtype=real.dtype, device=real.device)
    return torch.lerp(fake, real, alpha.view(*batch, *[1] * (real.dim() - len(batch))))


def gradient_penalty(lam: float = 10.0, k: float = 1.0) -> Penalty:
    """WGAN-GP (Gulrajani et al., 2017): `lam E (|grad D(x)| - k)^2` between real and fake samples.

    On the linear critic D(x) = w.x this is lam (|w| - k)^2, whatever the batch.
    """
    _positive("gradient_penalty", lam=lam)

    def penalty(critic: CriticFn, real: Tensor, fake: Tensor, generator: Random) -> Tensor:
        return lam * (_slope(critic, mix(critic, real, fake, generator)) - k).square().mean(-1)

    return penalty


def dragan(
    lam: float = 10.0, c: float = 0.25, k: float = 1.0, form: Literal["centred", "flat", "hinge"] = "centred"
) -> Penalty:
    """DRAGAN (Kodali et al., 2017): a gentle slope around the data, at x + delta with `delta ~ N(0, c I)`.

    form: "centred" `lam E (|grad| - k)^2`, "flat" `lam E |grad|^2`, "hinge" `lam E max(0, |grad|^2 - k)`.
    c is a variance, in the squared units of the data.
    """
    forms = {
        "centred": lambda squared: ((squared + 1e-12).sqrt() - k).square(),
        "flat": lambda squared: squared,
        "hinge": lambda squared: relu(squared - k),
    }
    if form not in forms:
        raise ValueError(f"dragan's form is one of {', '.join(forms)}, but it is {form!r}")
    _positive("dragan", lam=lam, c=c)

    def penalty(critic: CriticFn, real: Tensor, fake: Tensor, generator: Random) -> Tensor:
        delta = torch.empty_like(real).normal_(0, math.sqrt(c), generator=generator)
        return lam * forms[form](squared_slope(critic, real + delta)).mean(-1)

    return penalty


def r1(lam: float = 0.1) -> Penalty:
    """R1 (Mescheder et al., 2018): `lam / 2 E |grad D(x)|^2` on the data; lam |w|^2 / 2 for D(x) = w.x."""
    _positive("r1", lam=lam)

    def penalty(critic: CriticFn, real: Tensor, fake: Tensor, generator: Random) -> Tensor:
        return lam / 2 * squared_slope(critic, real).mean(-1)

    return penalty


def _positive(what: str, **numbers: float) -> None:
    for name, value in numbers.items():
        if not value > 0:
            raise ValueError(f"{what} needs {name} > 0, but {name} is {value}")
