"""Has the generator found all the modes, and are its samples good? On data whose modes are known."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor


class Modes(Protocol):
    """A mixture, as `energies.GaussianMixture` and `data.Mixture` are."""

    means: Tensor
    """`[K, D]`"""
    scale: float
    weights: Tensor
    """`[K]`"""


class Coverage(NamedTuple):
    """`[...]` is `[]` for one set of samples, `[S]` for S."""

    modes: Tensor
    """`[...]`: modes that hold at least `need` high-quality samples"""
    high_quality: Tensor
    """`[...]`: share of the samples within `radius` standard deviations of a centre"""
    kl: Tensor
    """`[...]`, nats: KL(modes of the high-quality samples || true weights); NaN where there are none"""
    counts: Tensor
    """`[..., K]`: high-quality samples of each mode"""


@torch.no_grad()
def coverage(x: Tensor, mixture: Modes, *, need: int = 20, radius: float = 3.0) -> Coverage:
    """How samples `x [..., N, D]` cover the modes of a mixture.

    A sample is of high quality within `radius` standard deviations of the nearest centre (Srivastava et al.,
    2017). They count a mode with one such sample, and then a shapeless blob scores full marks: the default
    asks for 20 (of some 2,500). No single number suffices; read modes, quality and KL together.
    """
    means = mixture.means.to(x)
    if x.dim() < 2 or x.shape[-1] != means.shape[1]:
        raise ValueError(
            f"samples of this mixture have shape [..., N, {means.shape[1]}], but got {list(x.shape)}"
        )
    if need < 1 or not radius > 0:
        raise ValueError(f"coverage needs need >= 1 and radius > 0, but got {need} and {radius}")
    distance, mode = torch.cdist(x, means).min(-1)
    good = distance < radius * mixture.scale
    counts = torch.zeros(*x.shape[:-2], len(means), dtype=torch.int64, device=x.device)
    counts.scatter_add_(-1, mode, good.long())
    share = counts / counts.sum(-1, keepdim=True)  # NaN where nothing is good: there is no histogram
    kl = torch.xlogy(share, share / mixture.weights.to(x)).sum(-1)
    return Coverage((counts >= need).sum(-1), good.to(x.dtype).mean(-1), kl, counts)


@torch.no_grad()
def spread(x: Tensor) -> tuple[Tensor, Tensor]:
    """Standard deviation over all coordinates and length of the mean, `[...]` each, of samples `[..., N, D]`.

    A blob that rotates from mode to mode scores on no mode count; these two tell it from a diffuse cloud.
    """
    centred = x - x.mean(-2, keepdim=True)
    return centred.square().mean((-1, -2)).sqrt(), x.mean(-2).norm(dim=-1)


def classes(probabilities: Tensor, least: float = 0.02) -> Tensor:
    """How many classes a classifier sees in more than a share `least` of the samples: `[..., N, K] ->
    [...]`.
    """
    seen = torch.nn.functional.one_hot(probabilities.argmax(-1), probabilities.shape[-1])
    return (seen.float().mean(-2) > least).sum(-1)
