"""Landscapes with uneven or heavy tails: the log of a gamma variable, and Student's t."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from course_lib.energies.base import Landscape


class LogGamma(Landscape):
    """D independent logs of gamma variables, `U(x) = sum_d (rate e^x_d - shape x_d)`.

    `log_z = D (log Gamma(shape) - shape log rate)`. Skewed: steep to the right, a slow slope to the left,
    which is what makes it a sharp test of annealing.
    """

    def __init__(self, shape: float = 2.0, rate: float = 3.0, dim: int = 2):
        if not (shape > 0 and rate > 0 and dim >= 1):
            raise ValueError(
                f"LogGamma needs shape > 0, rate > 0 and dim >= 1, but got {shape}, {rate} and {dim}"
            )
        self.shape, self.rate, self.dim = float(shape), float(rate), dim
        self.log_z = dim * (math.lgamma(shape) - shape * math.log(rate))

    def __call__(self, x: Tensor) -> Tensor:
        columns = self.columns(x)
        return (self.rate * columns.exp() - self.shape * columns).sum(0)

    def value_and_grad(self, x: Tensor) -> tuple[Tensor, Tensor]:
        columns = self.columns(x)
        mass = self.rate * columns.exp()
        return (mass - self.shape * columns).sum(0), (mass - self.shape).T

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        # G(a) = G(a + 1) U^(1/a) in law: the log of a small gamma variable without its underflow.
        size = (n * self.dim,)
        log_gamma = _standard_gamma(self.shape + 1, size, self._blank(), generator).log()
        # A float32 uniform is 0 once in 2^24 draws, and its log would send a chain to -inf.
        log_gamma += self._uniform(*size, generator).clamp(min=2.0**-25).log() / self.shape
        return (log_gamma - math.log(self.rate)).view(n, self.dim)


class StudentT(Landscape):
    """Student's t in D dimensions, `U(x) = (df + D) / 2 log(1 + |x|^2 / df)`.

    `log_z = log Gamma(df/2) - log Gamma((df + D)/2) + D/2 log(df pi)`. Its tails are so heavy that
    importance weights against a Gaussian proposal have infinite variance for every df.
    """

    def __init__(self, df: float = 3.0, dim: int = 1):
        if not (df > 0 and dim >= 1):
            raise ValueError(f"StudentT needs df > 0 and dim >= 1, but got df={df}, dim={dim}")
        self.df, self.dim = float(df), dim
        self.log_z = math.lgamma(df / 2) - math.lgamma((df + dim) / 2) + dim / 2 * math.log(df * math.pi)

    def __call__(self, x: Tensor) -> Tensor:
        return (self.df + self.dim) / 2 * torch.log1p(self.columns(x).square().sum(0) / self.df)

    def value_and_grad(self, x: Tensor) -> tuple[Tensor, Tensor]:
        columns = self.columns(x)
        squares = columns.square().sum(0)
        u = (self.df + self.dim) / 2 * torch.log1p(squares / self.df)
        return u, ((self.df + self.dim) / (self.df + squares) * columns).T

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        z = self._normal(n, self.dim, generator)
        chi_squared = 2 * _standard_gamma(self.df / 2, (n,), self._blank(), generator)
        return z * (self.df / chi_squared).sqrt()[:, None]


def _standard_gamma(
    shape: float, size: tuple[int, ...], like: Tensor, generator: torch.Generator | None
) -> Tensor:
    # torch.distributions draws gamma variables with this function too, but takes no generator.
    return torch._standard_gamma(like.new_full(size, shape), generator=generator)
