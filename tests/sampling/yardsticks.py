"""The exact-start test: draws from the truth must still be draws from the truth after k transitions.

After the idea of Gandy & Scott (2020): no burn-in, no tuning of tolerances, and sharp where acceptance is
.7 to .85. Symmetric targets and tiny steps hide bugs, so the targets are skewed, bent and multi-scale.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from scipy import stats
from torch import Tensor

from course_lib.energies import Banana, Funnel, Landscape, LogGamma
from course_lib.sampling import Kernel


@dataclass
class Verdict:
    p_value: float
    acceptance: float
    squared_jump: float


def to_normal(energy: Landscape, x: Tensor) -> Tensor:
    """Map exact draws of `energy` to independent standard normals, `[C, D]`."""
    if isinstance(energy, Banana):
        return torch.stack([x[:, 0], x[:, 1] - energy.b * (x[:, 0] ** 2 - 1)], 1)
    if isinstance(energy, Funnel):
        return torch.cat([x[:, :1] / energy.scale, x[:, 1:] * (-x[:, :1] / 2).exp()], 1)
    if isinstance(energy, LogGamma):
        u = stats.gamma.cdf(x.exp().numpy(), energy.shape, scale=1 / energy.rate).clip(1e-12, 1 - 1e-12)
        return torch.from_numpy(stats.norm.ppf(u))
    raise ValueError(f"no map to normals for {type(energy).__name__}")


def normality_p_value(z: Tensor) -> float:
    """Smallest Bonferroni-corrected p over KS tests, moments 1, 2, 4 and cross moments; 0 if not finite."""
    if not z.isfinite().all():
        return 0.0  # a NaN would pass every comparison below
    z, n = z.double(), len(z)
    dims = range(z.shape[1])
    p = [stats.kstest(z[:, d].numpy(), "norm").pvalue for d in dims]
    for power, mean, sd in ((1, 0, 1), (2, 1, math.sqrt(2)), (4, 3, math.sqrt(96))):
        p += [2 * stats.norm.sf(abs(((z[:, d] ** power).mean().item() - mean) / sd) * n**0.5) for d in dims]
    p += [2 * stats.norm.sf(abs((z[:, 0] * z[:, d]).mean().item()) * n**0.5) for d in dims if d]
    return min(1.0, min(p) * len(p))


def exact_start(kernel: Kernel, energy: Landscape, *, n: int = 20_000, k: int = 20, seed: int = 0) -> Verdict:
    """Run n chains for k steps from exact draws and test what comes out."""
    generator = torch.Generator().manual_seed(seed)
    start = energy.sample(n, generator=generator)
    state, acceptance = kernel.init(energy, start), 0.0
    for _ in range(k):
        state, info = kernel.step(energy, state, generator=generator)
        acceptance += info.accepted.double().mean().item() / k
    jump = (state.x - start).square().sum(1).mean().item()
    return Verdict(normality_p_value(to_normal(energy, state.x)), acceptance, jump)
