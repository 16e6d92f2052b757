"""What all landscapes share: the gradient they carry, their device, and how they are looked at."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, Self, TypeAlias

import torch
from torch import Tensor

Energy = Callable[[Tensor], Tensor]
"""Any callable `[C, D] -> [C]`: the energy of each of C chains, in nats."""

Numbers: TypeAlias = Tensor | Sequence | float
"""What `torch.as_tensor` understands: a tensor, nested lists, or one number."""

Box = tuple[float, float, float, float]


class Landscape:
    """Base of the shipped energies; not needed for your own, any callable `[C, D] -> [C]` will do.

    A landscape has `dim` (D), `log_z` (log of the integral of exp(-U); None where it is unknown),
    `value_and_grad`, `grad`, and `sample` for exact draws where they are possible.

    Points are rows, `x: [C, D]`, but the arithmetic runs on columns, `[D, C]`: a reduction over a
    short trailing axis is some ten times slower than the same reduction over a leading one.
    """

    dim: int
    log_z: float | None = None
    _like: Tensor | None = None  # dtype and device of what `sample` draws; torch's default if None

    def __call__(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def value_and_grad(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """U `[C]` and its gradient `[C, D]` at `x: [C, D]`."""
        raise NotImplementedError

    def grad(self, x: Tensor) -> Tensor:
        """The gradient `[C, D]` alone: all that the inner steps of a leapfrog need."""
        return self.value_and_grad(x)[1]

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """`n` exact, independent draws `[n, D]`."""
        raise NotImplementedError(f"{type(self).__name__} has no exact sampler")

    def _blank(self) -> Tensor:
        """An empty tensor with the dtype and on the device of this landscape."""
        return torch.empty(0) if self._like is None else self._like

    def _normal(self, n: int, dim: int, generator: torch.Generator | None) -> Tensor:
        return self._blank().new_empty(n, dim).normal_(generator=generator)

    def _accepted(self, n: int, propose: Callable[[int], tuple[Tensor, Tensor]]) -> Tensor:
        """The first n accepted of independent proposals; `propose(m) -> (x [m, D], accepted [m])`."""
        kept, missing = [], n
        while missing > 0:
            x, accepted = propose(2 * missing + 16)
            kept.append(x[accepted][:missing])
            missing -= len(kept[-1])
        return torch.cat(kept) if kept else self._blank().new_empty(0, self.dim)

    def _uniform(self, n: int, generator: torch.Generator | None) -> Tensor:
        return self._blank().new_empty(n).uniform_(generator=generator)

    def columns(self, x: Tensor) -> Tensor:
        """`x: [C, D]` as columns `[D, C]`, after checking its shape."""
        if x.dim() != 2 or x.shape[1] != self.dim:
            raise ValueError(
                f"{type(self).__name__} lives in {self.dim} dimensions and takes points of shape "
                f"[C, {self.dim}], but x has shape {list(x.shape)}"
            )
        return x.T

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """A copy with its tensors on another device or of another dtype, like `Tensor.to`."""
        moved = copy.copy(self)
        moved._like = self._blank().to(*args, **kwargs)
        for name, value in vars(self).items():
            if isinstance(value, Tensor | Landscape):
                setattr(moved, name, value.to(*args, **kwargs))
        return moved


def parameter(value: Numbers) -> Tensor:
    """A parameter of a landscape: floating tensors keep their dtype, all else takes torch's default."""
    if isinstance(value, Tensor) and value.is_floating_point():
        return value.detach()
    return torch.as_tensor(value, dtype=torch.get_default_dtype())


class ValueAndGrad:
    """An energy as samplers use it: `f(x) -> (U [C], grad [C, D], *aux)` and `f.grad(x) -> [C, D]`.

    Uses the closed forms of the energy where it has them, else automatic differentiation.
    `aux` is whatever else the energy's own `value_and_grad` returns (a `Bridge` returns its parts).
    """

    def __init__(self, energy: Energy):
        self.energy = energy
        self._value_and_grad = getattr(energy, "value_and_grad", self._by_autograd)
        self.grad = getattr(energy, "grad", lambda x: self._value_and_grad(x)[1])

    def __call__(self, x: Tensor) -> tuple[Tensor, ...]:
        return self._value_and_grad(x)

    def _by_autograd(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if torch.compiler.is_compiling():  # the compiler follows torch.func, which is slower without it
            grad, (_, u) = torch.func.grad_and_value(self._total, has_aux=True)(x)
            return u, grad
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            u = self.energy(x)
            # U of one chain depends on that chain alone, so the gradient of the sum is all gradients.
            (grad,) = torch.autograd.grad(u.sum(), x)
        return u.detach(), grad

    def _total(self, x: Tensor) -> tuple[Tensor, Tensor]:
        u = self.energy(x)
        return u.sum(), u


def value_and_grad(energy: Energy | ValueAndGrad) -> ValueAndGrad:
    """`energy` as a function `x [C, D] -> (U [C], grad [C, D], *aux)`; see `ValueAndGrad`."""
    return energy if isinstance(energy, ValueAndGrad) else ValueAndGrad(energy)


def view_box(energy: Landscape, n: int = 4000, margin: float = 0.25) -> Box:
    """A square `(xmin, xmax, ymin, ymax)` that shows a 2-D landscape: around 99 % of exact draws."""
    if energy.dim != 2:
        raise ValueError(f"a picture needs a 2-D landscape, but this one has {energy.dim} dimensions")
    x = energy.to("cpu").sample(n, generator=torch.Generator().manual_seed(0)).double()
    low, high = x.quantile(0.005, 0), x.quantile(0.995, 0)
    half = (high - low).max().item() * (0.5 + margin)
    cx, cy = ((low + high) / 2).tolist()
    return (cx - half, cx + half, cy - half, cy + half)


def on_grid(energy: Energy, box: Box, n: int = 200) -> tuple[Tensor, Tensor, Tensor]:
    """The energy on an n x n grid over `box`: `(xs [n], ys [n], U [n, n])`, U indexed `[iy, ix]`."""
    xs, ys = torch.linspace(box[0], box[1], n), torch.linspace(box[2], box[3], n)
    yy, xx = torch.meshgrid(ys, xs, indexing="ij")
    with torch.no_grad():
        u = energy(torch.stack([xx.reshape(-1), yy.reshape(-1)], 1))
    return xs, ys, u.reshape(n, n)
