"""Gaussians and their mixtures: the landscapes whose every property is known."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from course_lib.energies.base import Landscape, Numbers, parameter


class Gaussian(Landscape):
    """A normal density, `U(x) = (x - m)' C^-1 (x - m) / 2`.

    mean: `[D]` (or a sequence). cov: covariance `[D, D]`, variances `[D]`, or one variance.
    `log_z = D/2 log(2 pi) + 1/2 log det C`. Raises ValueError where C is no covariance.
    """

    def __init__(self, mean: Numbers, cov: Numbers = 1.0):
        self.mean = parameter(mean)
        self._like = self.mean.new_empty(0)
        if self.mean.dim() != 1:
            raise ValueError(f"mean must have shape [D], but it has shape {list(self.mean.shape)}")
        self.dim = len(self.mean)
        cov = torch.as_tensor(cov, dtype=torch.float64, device=self.mean.device)
        independent = cov.dim() == 0 or cov.shape == (self.dim,)
        if independent:
            cov = torch.diag(cov.expand(self.dim))
        if cov.shape != (self.dim, self.dim):
            raise ValueError(f"cov of a {self.dim}-D Gaussian cannot have shape {list(cov.shape)}")
        factor, failed = torch.linalg.cholesky_ex(cov)
        if failed or not torch.allclose(cov, cov.T):
            raise ValueError(f"cov must be symmetric and positive definite, but it is {cov.tolist()}")
        # N(0, I), the prior of every latent space, needs no arithmetic at all for its gradient.
        self.standard = bool((self.mean == 0).all() and (cov == torch.eye(self.dim).to(cov)).all())
        self.log_z = self.dim / 2 * math.log(2 * math.pi) + factor.diagonal().log().sum().item()
        precision = torch.cholesky_inverse(factor)
        # [D, D], or a column [D, 1] of inverse variances, which spares the matrix product.
        self.precision = (precision.diagonal()[:, None] if independent else precision).to(self.mean)
        self.cov, self.factor = cov.to(self.mean), factor.to(self.mean)

    def _slope(self, columns: Tensor) -> Tensor:
        if self.standard:
            return columns
        centred = columns - self.mean.to(columns)[:, None]
        precision = self.precision.to(centred)
        return precision * centred if precision.shape[1] == 1 else precision @ centred

    def __call__(self, x: Tensor) -> Tensor:
        return self.value_and_grad(x)[0]

    def value_and_grad(self, x: Tensor) -> tuple[Tensor, Tensor]:
        columns = self.columns(x)
        if self.standard:
            return columns.square().sum(0) / 2, x
        grad = self._slope(columns)
        return ((columns - self.mean.to(x)[:, None]) * grad).sum(0) / 2, grad.T

    def grad(self, x: Tensor) -> Tensor:
        return self._slope(self.columns(x)).T

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        return self.mean + self._normal(n, self.dim, generator) @ self.factor.T


class GaussianMixture(Landscape):
    """K round Gaussians, `U(x) = -log sum_k w_k exp(-|x - mu_k|^2 / 2 s^2)`, with sum_k w_k = 1.

    means: `[K, D]`. scale: the standard deviation s that all share. weights: `[K]`, equal if None.
    `log_z = D/2 log(2 pi s^2)`.
    """

    def __init__(self, means: Numbers, scale: float, weights: Numbers | None = None):
        self.means = parameter(means)
        self._like = self.means.new_empty(0)
        if self.means.dim() != 2:
            raise ValueError(f"means must have shape [K, D], but they have shape {list(self.means.shape)}")
        if not scale > 0:
            raise ValueError(f"scale is a standard deviation and must be positive, but it is {scale}")
        modes, self.dim = self.means.shape
        self.scale = float(scale)
        w = torch.ones(modes) if weights is None else torch.as_tensor(weights)
        if w.shape != (modes,) or not (w > 0).all():
            raise ValueError(f"weights must be {modes} positive numbers, but they are {w.tolist()}")
        self.weights = (w.double() / w.double().sum()).to(self.means)
        self.log_z = self.dim / 2 * math.log(2 * math.pi * self.scale**2)
        # -|x - mu|^2 / 2s^2 = -|x|^2 / 2s^2 + slope . x + offset: one small matrix product for all modes.
        self.slope = self.means / self.scale**2
        self.offset = (self.weights.log() - self.means.square().sum(1) / (2 * self.scale**2))[:, None]

    def _logits(self, columns: Tensor) -> Tensor:
        """`[K, C]`: log w_k - |x - mu_k|^2 / 2 s^2, up to the |x|^2 term that all modes share."""
        return torch.addmm(self.offset.to(columns), self.slope.to(columns), columns)

    def _pull(self, columns: Tensor, owner: Tensor) -> Tensor:
        """The gradient `[D, C]`: x minus the mean of the modes that own it, `owner: [K, C]`, over s^2."""
        return torch.addmm(columns, self.slope.to(columns).T, owner, beta=1 / self.scale**2, alpha=-1.0)

    def __call__(self, x: Tensor) -> Tensor:
        columns = self.columns(x)
        return columns.square().sum(0) / (2 * self.scale**2) - self._logits(columns).logsumexp(0)

    def value_and_grad(self, x: Tensor) -> tuple[Tensor, Tensor]:
        columns = self.columns(x)
        logits = self._logits(columns)
        highest = logits.amax(0)
        share = (logits - highest).exp()  # one exponential serves the log-sum-exp and the softmax
        total = share.sum(0)
        u = columns.square().sum(0) / (2 * self.scale**2) - highest - total.log()
        return u, self._pull(columns, share / total).T

    def grad(self, x: Tensor) -> Tensor:
        columns = self.columns(x)
        return self._pull(columns, self._logits(columns).softmax(0)).T

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        if n == 0:
            return self.means.new_empty(0, self.dim)
        mode = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        centre = self.means[mode]
        return centre + self.scale * self._normal(n, self.dim, generator)


def ring(modes: int = 8, radius: float = 4.0, scale: float = 0.3) -> GaussianMixture:
    """`modes` equal Gaussians on a circle: the classic landscape that HMC cannot cross.

    With radius 4 and scale .3 the wells are separated by barriers of some 12 nats and chains stay
    where they start; with radius 2 and scale .5 they visit all eight.
    """
    if modes < 1 or not radius > 0:
        raise ValueError(f"a ring needs modes >= 1 and radius > 0, but got modes={modes}, radius={radius}")
    angle = torch.arange(modes) * (2 * math.pi / modes)
    return GaussianMixture(radius * torch.stack([angle.cos(), angle.sin()], 1), scale)


def grid(side: int = 5, spacing: float = 2.0, scale: float = 0.05) -> GaussianMixture:
    """`side` x `side` equal Gaussians on a square grid around the origin, `spacing` apart."""
    if side < 1 or not spacing > 0:
        raise ValueError(f"a grid needs side >= 1 and spacing > 0, but got side={side}, spacing={spacing}")
    axis = (torch.arange(side) - (side - 1) / 2) * spacing
    return GaussianMixture(torch.cartesian_prod(axis, axis), scale)
