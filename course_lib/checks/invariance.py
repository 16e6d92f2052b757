"""Exact-start tests: a sampler that starts from exact draws must still hold exact draws afterwards.

The sharpest cheap test of a Markov kernel (Gandy & Scott, 2020): no convergence to wait for, every bug
of a transition shows as a shift away from a law that is known.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

P_VALUE = 1e-6  # of each single test; about ten are made, and their cases are fixed by a seed


def normality(z: Tensor) -> str:
    """'' if the rows of `z [N, D]` look like N(0, I), else what is wrong with them in a few words.

    Tests each coordinate's mean, variance and fourth moment, each pair's correlation (normal theory, from
    the exact standard errors) and each coordinate's whole law (Kolmogorov–Smirnov).
    """
    if not bool(z.isfinite().all()):
        return "values that are not finite"
    z = z.double()
    n, dim = z.shape
    for i in range(dim):
        x = z[:, i]
        moments = (
            ("mean", x.mean(), 0.0, 1.0),
            ("variance", x.square().mean(), 1.0, 2.0),
            ("fourth moment", x.pow(4).mean(), 3.0, 96.0),
        )
        for name, got, truth, variance in moments:
            if abs(_z_score(float(got), truth, variance, n)) > _LIMIT:
                return f"coordinate {i + 1} has the {name} {float(got):.3f} instead of {truth:.0f}"
        distance = kolmogorov_smirnov(x)
        if 2 * math.exp(-2 * n * distance**2) < P_VALUE:
            return f"the law of coordinate {i + 1} is off by {distance:.3f} (Kolmogorov–Smirnov)"
        for j in range(i):
            cross = float((x * z[:, j]).mean())
            if abs(_z_score(cross, 0.0, 1.0, n)) > _LIMIT:
                return f"coordinates {j + 1} and {i + 1} have the correlation {cross:.3f} instead of 0"
    return ""


def kolmogorov_smirnov(x: Tensor) -> float:
    """Largest distance between the empirical distribution function of `x [N]` and that of N(0, 1)."""
    cdf = torch.special.ndtr(x.double().sort().values)
    n = len(x)
    steps = torch.arange(n + 1, dtype=torch.float64) / n
    return float(torch.maximum((steps[1:] - cdf).max(), (cdf - steps[:-1]).max()))


def _z_score(mean: float, truth: float, variance: float, n: int) -> float:
    return (mean - truth) / math.sqrt(variance / n)


_LIMIT = float(-torch.special.ndtri(torch.tensor(P_VALUE / 2, dtype=torch.float64)))
