"""A landscape at another place and of another size."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from course_lib.energies.base import Landscape, Numbers


class Moved(Landscape):
    """`base`, stretched by `scale` and shifted to `centre`: U(x) = U_base((x - c) / s), of c + s x.

    base: a landscape with `sample`. centre: `[D]`. scale: one number s > 0. By the change of variables
    `log_z = base.log_z + D log s`. A proposal that can be moved about, and the way to give StudentT a place.
    """

    def __init__(self, base: Landscape, centre: Numbers, scale: float = 1.0):
        self.base, self.dim, self.scale = base, base.dim, float(scale)
        self.centre = torch.as_tensor(centre, dtype=torch.get_default_dtype())
        if self.centre.shape != (self.dim,):
            raise ValueError(f"centre must have shape [{self.dim}], but it has {list(self.centre.shape)}")
        if not 0 < self.scale < math.inf:
            raise ValueError(f"scale must be a positive number, but it is {scale}")
        self.log_z = None if base.log_z is None else base.log_z + self.dim * math.log(self.scale)

    def _back(self, x: Tensor) -> Tensor:
        """`[C, D]`: where the base has what stands at x."""
        return ((self.columns(x) - self.centre.to(x)[:, None]) / self.scale).T

    def __call__(self, x: Tensor) -> Tensor:
        return self.base(self._back(x))

    def value_and_grad(self, x: Tensor) -> tuple[Tensor, Tensor]:
        u, grad = self.base.value_and_grad(self._back(x))
        return u, grad / self.scale

    def grad(self, x: Tensor) -> Tensor:
        return self.base.grad(self._back(x)) / self.scale

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        return self.centre + self.scale * self.base.sample(n, generator=generator)
