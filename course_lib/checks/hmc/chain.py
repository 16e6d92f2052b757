"""Task 5: the effective sample size, against chains whose own is known in closed form."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from course_lib.checks.oracle import need, number, oracle, seeded


def _autoregression(phi: float, n: int, chains: int, random: torch.Generator) -> Tensor:
    """`[n, chains]` of x_t = phi x_{t-1} + noise, variance 1; its ESS is n (1 - phi) / (1 + phi)."""
    noise = torch.randn(n, chains, dtype=torch.float64, generator=random)
    noise[1:] *= math.sqrt(1 - phi**2)
    x = noise.clone()
    for t in range(1, n):
        x[t] += phi * x[t - 1]
    return x


@oracle
def ess(answer, seed: int) -> None:
    """`ess(x [T]) -> float`: effective sample size of one chain, against chains whose own is known."""
    random = seeded(seed)
    n, chains = 4000, 24  # twenty per cent are five standard errors or more

    def measured(x: Tensor) -> float:
        return sum(number(answer(column.contiguous()), "ess") for column in x.T) / x.shape[1]

    cases = {phi: _autoregression(phi, n, chains, random) for phi in (0.0, 0.9, -0.5)}
    independent, slow, swinging = (measured(x) for x in cases.values())
    need(independent > 0 and slow > 0, "ess must be positive: stop the sum where the noise begins")
    need(
        slow < 0.8 * n,
        f"{n} draws with autocorrelation .9^t have the ess {slow:.0f}: the autocorrelation is not counted",
    )
    _near(independent, n, 0.15, f"{n} independent draws")
    _near(slow, n / 19, 0.2, f"{n} draws with autocorrelation .9^t")
    _near(
        swinging,
        3 * n,
        0.2,
        f"{n} draws with autocorrelation (-.5)^t (stop at pairs of lags, not at one lag)",
    )
    x = cases[0.9][:, :1]
    for changed, what in (
        (x + 50, "a shift by 50 (subtract the mean)"),
        (3 * x, "a factor 3 (divide by lag 0)"),
    ):
        need(abs(measured(changed) / measured(x) - 1) < 1e-3, f"ess must not change under {what}")


def _near(value: float, truth: float, tolerance: float, what: str) -> None:
    need(
        abs(value / truth - 1) < tolerance,
        f"{what}: ess is {value:.0f}, expected about {truth:.0f}",
    )
