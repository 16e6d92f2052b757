"""The smallest variational problem: one observation, a latent plane, and a round q to be moved about."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from course_lib.vae.model import log_standard_normal


class PlaneProblem:
    """One observed number x = z2 - bend (z1^2 - 1) + noise of a latent z ~ N(0, I) in the plane.

    q(z) = N(mean, scale^2 I). To the estimators of this room it is a VAE whose encoder has no weights: each
    of the B rows of x is the same problem over again, so one call gives B independent estimates.
    """

    latent_dim = 2

    def __init__(
        self,
        mean: Sequence[float] = (0.0, 0.0),
        scale: float = 0.5,
        *,
        observed: float = 1.0,
        bend: float = 0.8,
        noise_var: float = 0.25,
    ):
        if len(mean) != 2 or not scale > 0 or not noise_var > 0:
            raise ValueError(
                f"the plane needs a mean of two numbers, scale > 0 and noise_var > 0, "
                f"but got {tuple(mean)}, {scale} and {noise_var}"
            )
        self.mean, self.log_var = torch.tensor([float(v) for v in mean]), 2 * math.log(scale)
        self.scale, self.observed, self.bend, self.noise_var = scale, observed, bend, noise_var
        self._leaf = self.mean[None]

    def check(self, x: Tensor) -> Tensor:
        return x

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The same q for every row of `x: [B, 1]`: mean and log-variance, `[B, 2]` each."""
        mean = self._leaf.expand(len(x), 2)
        return mean, torch.full_like(mean, self.log_var)

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x | z), nats: `x [B, 1]`, `z [..., B, 2]` -> `[..., B]`."""
        misfit = (x[:, 0] - z[..., 1] + self.bend * (z[..., 0].square() - 1)).square() / self.noise_var
        return -(misfit + math.log(2 * math.pi * self.noise_var)) / 2

    def log_joint(self, z: Tensor) -> Tensor:
        """log p(x, z) at the observed x: `[..., B, 2] -> [..., B]`."""
        return self.log_likelihood(z.new_full((z.shape[-2], 1), self.observed), z) + log_standard_normal(z)

    def gradients(self, estimator: Callable[..., Tensor], n: int, L: int = 1, **more: Any) -> Tensor:
        """n independent estimates of d bound / d mean by a function of `vae.estimators`, `[n, 2]`."""
        self._leaf = self.mean.expand(n, 2).clone().requires_grad_()
        x = torch.full((n, 1), self.observed)
        try:
            (found,) = torch.autograd.grad(estimator(self, x, L, **more).sum(), self._leaf)
        finally:
            self._leaf = self.mean[None]
        return found

    def exact_gradient(self) -> Tensor:
        """d bound / d mean, `[2]`, by Gauss-Hermite quadrature: exact, the integrand is a polynomial."""
        node, weight = (torch.from_numpy(part) for part in np.polynomial.hermite_e.hermegauss(8))
        noise = torch.cartesian_prod(node, node)
        weight = torch.outer(weight, weight).flatten() / weight.sum() ** 2
        mean = self.mean.double().requires_grad_()
        bound = (weight * self.log_joint(mean + self.scale * noise)).sum()
        return torch.autograd.grad(bound, mean)[0].to(self.mean)
