"""Importance sampling: draw from what you can, weigh by how wrong that was."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from course_lib.energies import Energy, Landscape
from course_lib.sampling.diagnostics import log_mean_exp, pareto_k, weight_ess
from course_lib.sampling.direct import log_density


class Weighted(NamedTuple):
    """Draws of a proposal with the log-weights that turn them into draws of the target."""

    x: Tensor
    """`[n, D]`"""
    log_w: Tensor
    """`[n]`, float64: log p~(x) - log q(x)"""

    @property
    def log_z(self) -> Tensor:
        """The estimate of log Z_p; E[w] = Z_p exactly, its log is a little low on average."""
        return log_mean_exp(self.log_w)

    @property
    def weight_ess(self) -> Tensor:
        """How many equally weighted draws these are worth; n / (1 + chi^2(p, q)) on average."""
        return weight_ess(self.log_w)

    @property
    def pareto_k(self) -> Tensor:
        """Tail index of the weights: above .7 do not trust any estimate from them."""
        return pareto_k(self.log_w)

    def expectation(self, f: Callable[[Tensor], Tensor], log_z: float | None = None) -> Tensor:
        """E_p[f(x)], f: `[n, D] -> [n, ...]`.

        With the true `log_z`, the unbiased mean of w f / Z. Without it, self-normalised: sum w f / sum w,
        slightly biased, but exact for constants and the only choice where Z is unknown.
        """
        w = self.log_w.softmax(0) if log_z is None else (self.log_w - log_z).exp() / len(self.log_w)
        values = f(self.x).double()
        return torch.tensordot(w, values, dims=([0], [0]))

    def resample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """`n` equally weighted draws `[n, D]`: each x is taken n w times, rounded up or down (systematic)."""
        return self.x[systematic(self.log_w[None], n, generator=generator)[0]]


def importance(
    log_target: Energy, proposal: Landscape, n: int, *, generator: torch.Generator | None = None
) -> Weighted:
    """`n` draws of `proposal`, weighted for the target: `log_w = log p~(x) - log q(x)`, float64.

    log_target: log p~, `[C, D] -> [C]`. proposal: a landscape with `sample` and `log_z`, and with tails
    no lighter than the target's, or the weights have infinite variance.
    """
    if n < 1:
        raise ValueError(f"importance sampling needs n >= 1 draws, but got n={n}")
    x = proposal.sample(n, generator=generator)
    log_w = log_target(x).double() - log_density(proposal, x)
    if log_w.isnan().any() or (log_w == torch.inf).any():
        bad = int((log_w.isnan() | (log_w == torch.inf)).nonzero()[0])
        raise ValueError(f"the log-weight is {log_w[bad].item()} at x = {x[bad].tolist()}")
    return Weighted(x, log_w)


def systematic(log_w: Tensor, n: int | None = None, *, generator: torch.Generator | None = None) -> Tensor:
    """Systematic resampling of each row: indices `[G, n]` into `log_w: [G, N]` (Kitagawa, 1996).

    One uniform number per row places a comb of n teeth over the cumulated weights, so that a particle of
    weight w is taken n w times, rounded up or down.
    """
    groups, total = log_w.shape
    if not (log_w.amax(1) > -torch.inf).all():  # all weights zero, or a NaN among them
        raise ValueError(
            "every row of log_w needs a weight above zero and no NaN; there is nothing to resample"
        )
    n = total if n is None else n
    offset = torch.empty(groups, 1, dtype=torch.float64, device=log_w.device).uniform_(generator=generator)
    teeth = (offset + torch.arange(n, dtype=torch.float64, device=log_w.device)) / n
    return torch.searchsorted(log_w.double().softmax(1).cumsum(1), teeth).clamp(max=total - 1)


def grid_log_z(energy: Energy, low: list[float], high: list[float], points: int = 201) -> float:
    """log of the integral of exp(-U) over a box by the trapezoid rule on points^D grid points, float64.

    The baseline that needs no luck: exact in one or two dimensions, hopeless beyond four, since the grid
    grows like points^D. Raises ValueError above 20 million points.
    """
    dim = len(low)
    if dim < 1 or points < 2:
        raise ValueError(f"a grid needs at least one dimension and two points, but got {dim} and {points}")
    if len(high) != dim or not all(a < b for a, b in zip(low, high, strict=True)):
        raise ValueError(f"the box needs low < high in every dimension, but got {low} and {high}")
    if points**dim > 20_000_000:
        raise ValueError(
            f"{points}^{dim} grid points are too many; a grid cannot follow you into {dim} dimensions, "
            "importance sampling or annealing can"
        )
    axes = [torch.linspace(a, b, points, dtype=torch.float64) for a, b in zip(low, high, strict=True)]
    nodes = torch.cartesian_prod(*axes).reshape(-1, dim)
    with torch.no_grad():
        log_f = torch.cat([-energy(part) for part in nodes.split(1_000_000)]).view([points] * dim)
    ends = torch.ones(points, dtype=torch.float64)
    ends[[0, -1]] = 0.5
    for axis in axes:  # one axis at a time: the last one is summed out
        log_f = (log_f + (ends * (axis[1] - axis[0])).log().view([-1] + [1] * (log_f.dim() - 1))).logsumexp(0)
    return log_f.item()
