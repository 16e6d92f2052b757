"""The exact answer where the latent space is a plane: posterior, evidence and success by quadrature."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from course_lib.cogen.network import frozen
from course_lib.cogen.posterior import LatentPosterior


class PosteriorGrid(NamedTuple):
    """The posterior of B observations on a grid over the latent plane."""

    z: Tensor
    """`[n^2, 2]`, the nodes"""
    x: Tensor
    """`[n^2, D]`, G(z)"""
    probability: Tensor
    """`[B, n^2]`, float64, adding up to one"""
    log_evidence: Tensor
    """`[B]`"""

    def share(self, success: Callable[[Tensor], Tensor]) -> Tensor:
        """Posterior probability `[B]` of `success(x [n^2, D]) -> bool [n^2]`: the ceiling of any sampler."""
        return (self.probability * success(self.x).double()).sum(1)

    def mean(self) -> Tensor:
        """The posterior mean of x, `[B, D]`."""
        return self.probability @ self.x.double()


def posterior_grid(posterior: LatentPosterior, reach: float = 4.5, n: int = 601) -> PosteriorGrid:
    """Exact up to the grid: |z_i| <= reach, n x n nodes, trapezoid rule. Needs a 2-D latent space.

    Creases of a ReLU generator need a fine grid: double n until the evidence stays put.
    """
    if posterior.dim != 2:
        raise ValueError(f"a grid needs a 2-D latent space, but this one has {posterior.dim} dimensions")
    if getattr(posterior.fit.columns_net, "seeds", None):
        raise ValueError("a grid shows one generator at a time; take one net out of the batch")
    axis = torch.linspace(-reach, reach, n)
    z = torch.cartesian_prod(axis, axis).to(posterior.x_o.device)
    observations = len(posterior.x_o)
    with torch.no_grad(), frozen(posterior.generator):
        x = posterior.fit.generate(z)
        rows = [
            -posterior(part.repeat(observations, 1)).double().view(observations, -1)
            for part in z.split(20_000)
        ]
    ends = torch.ones(n, dtype=torch.float64, device=z.device)
    ends[[0, -1]] = 0.5
    cell = (ends[:, None] * ends).flatten().log() + 2 * math.log(2 * reach / (n - 1))
    log_mass = torch.cat(rows, 1) + cell
    log_evidence = log_mass.logsumexp(1)
    return PosteriorGrid(z, x, (log_mass - log_evidence[:, None]).exp(), log_evidence)
