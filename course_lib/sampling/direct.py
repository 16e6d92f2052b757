"""Sampling without a chain: transform a uniform number, or throw darts under an envelope."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from course_lib.energies import Energy, Landscape


def inverse_cdf(
    quantile: Callable[[Tensor], Tensor], n: int, *, generator: torch.Generator | None = None
) -> Tensor:
    """`n` draws y = h^-1(u) of a 1-D density, u uniform, h its distribution function; float64.

    quantile: h^-1, elementwise on `[n]`. It works because p(y) = p(u) |du/dy| = h'(y). u stays strictly
    inside (0, 1), where every quantile function is finite.
    """
    if n < 0:
        raise ValueError(f"inverse_cdf cannot make n={n} draws")
    device = None if generator is None else generator.device
    u = torch.rand(n, generator=generator, dtype=torch.float64, device=device).clamp(min=2.0**-54)
    return quantile(u)


def tabulate_quantile(density: Callable[[Tensor], Tensor], grid: Tensor) -> Callable[[Tensor], Tensor]:
    """The quantile function of any 1-D density, from its values on a grid.

    density: `[G] -> [G]`, need not be normalised. grid: `[G]`, increasing, wide enough for both tails.
    Between grid points the density is taken as linear, so its distribution function is quadratic and is
    inverted exactly. Raises ValueError where the table is no density.
    """
    x = torch.as_tensor(grid, dtype=torch.float64)
    if x.dim() != 1 or len(x) < 2 or not (x.diff() > 0).all():
        raise ValueError("grid must be at least two increasing numbers, [G]")
    f = density(x)
    if f.shape != x.shape or not (f.isfinite() & (f >= 0)).all() or not f.sum() > 0:
        raise ValueError("density must return [G] finite values >= 0, not all zero, on the grid")
    width = x.diff()
    mass = torch.cat([x.new_zeros(1), (width * (f[1:] + f[:-1]) / 2).cumsum(0)])

    def quantile(u: Tensor) -> Tensor:
        u = torch.as_tensor(u, dtype=torch.float64)
        if not ((u >= 0) & (u <= 1)).all():
            raise ValueError("u must lie in [0, 1]")
        target = u * mass[-1]
        cell = (torch.searchsorted(mass, target) - 1).clamp(0, len(width) - 1)
        # Solve f0 t + (f1 - f0) t^2 / 2 = rest for t in [0, 1], in the form that never cancels.
        rest = (target - mass[cell]) / width[cell]
        f0, f1 = f[cell], f[cell + 1]
        root = f0 + (f0.square() + 2 * (f1 - f0) * rest).clamp(min=0).sqrt()
        t = torch.where(root > 0, 2 * rest / root, 0.0).clamp(0, 1)
        return x[cell] + t * width[cell]

    return quantile


class Rejection(NamedTuple):
    """Accepted draws, and the share of darts that hit."""

    x: Tensor
    """`[n, D]`, exact and independent draws of the target"""
    acceptance: float
    """accepted / thrown, an estimate of Z_p / k"""
    thrown: int
    """proposals used"""


def log_density(energy: Landscape, x: Tensor) -> Tensor:
    """`log q(x)`, `[C]`, float64, of a landscape whose normaliser is known."""
    if energy.log_z is None:
        raise ValueError(f"{type(energy).__name__} has no known log_z, so it cannot serve as a proposal")
    return -energy(x).double() - energy.log_z


class Darts(NamedTuple):
    """Darts thrown under an envelope k q, at x ~ q and a height uniform on [0, k q(x)]."""

    x: Tensor
    """`[n, D]`"""
    log_height: Tensor
    """`[n]`, float64: log of the height, as a share of k q(x)"""
    log_ratio: Tensor
    """`[n]`, float64: log p~(x) - log k q(x); above 0 the envelope is exceeded"""

    @property
    def hit(self) -> Tensor:
        """`[n]`: which darts lie below p~."""
        return self.log_height < self.log_ratio


def throw(
    log_target: Energy,
    proposal: Landscape,
    log_bound: float,
    n: int,
    *,
    generator: torch.Generator | None = None,
) -> Darts:
    """`n` darts under k q, log k = log_bound. Nobody checks here that k q >= p~; `rejection` does."""
    x = proposal.sample(n, generator=generator)
    log_ratio = log_target(x).double() - log_density(proposal, x) - log_bound
    height = torch.empty_like(log_ratio).uniform_(generator=generator)
    return Darts(x, height.log(), log_ratio)


def _shown(x: Tensor) -> str:
    """A point `[D]` for a message: its first five coordinates."""
    more = ", ..." if len(x) > 5 else ""
    return "[" + ", ".join(f"{v:.4f}" for v in x[:5].tolist()) + more + "]"


def rejection(
    log_target: Energy,
    proposal: Landscape,
    log_bound: float,
    n: int,
    *,
    generator: torch.Generator | None = None,
    max_thrown: int = 20_000_000,
) -> Rejection:
    """`n` exact draws of p~ / Z_p under the envelope k q(x) >= p~(x) (von Neumann, 1951).

    log_target: log p~, `[C, D] -> [C]`. proposal: a landscape with `sample` and `log_z`. log_bound: log k.
    A dart at x ~ q, at a height uniform on [0, k q(x)], is kept if it falls below p~(x): a share Z_p / k.
    Raises ValueError where the envelope is exceeded, naming the point, and when `max_thrown` darts are
    not enough.
    """
    if n < 1:
        raise ValueError(f"rejection needs n >= 1 draws, but got n={n}")
    slack = 1e-5 * max(1.0, abs(log_bound))  # the rounding of float32 energies
    kept: list[Tensor] = []
    hits, thrown, batch = 0, 0, max(n, 1000)
    while hits < n:
        if thrown >= max_thrown:
            raise ValueError(
                f"only {hits} of {n} draws accepted after {thrown} darts: "
                "the envelope is too loose, choose a proposal nearer to the target"
            )
        darts = throw(log_target, proposal, log_bound, batch, generator=generator)
        worst = int(darts.log_ratio.argmax())  # a NaN counts as the largest
        over, point = darts.log_ratio[worst].item(), _shown(darts.x[worst])
        if math.isnan(over):
            raise ValueError(f"log_target or the proposal's density is NaN at x = {point}")
        if over > slack:
            raise ValueError(
                f"the envelope is exceeded at x = {point}: "
                f"log p~ - log q = {over + log_bound:.4g} > log_bound = {log_bound:.4g}; "
                "raise log_bound or choose a proposal with heavier tails"
            )
        kept.append(darts.x[darts.hit])
        hits, thrown = hits + len(kept[-1]), thrown + batch
        # Throw about as many as are still needed, so that easy targets waste little and hard ones few rounds.
        batch = min(math.ceil(1.2 * (n - hits) * thrown / max(hits, 1)) + 100, 1_000_000)
    return Rejection(torch.cat(kept)[:n], hits / thrown, thrown)
