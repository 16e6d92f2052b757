"""What an annealing explorer shows: one run of `sampling.ais`, temperature by temperature. No widget here."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from course_lib.energies import Bridge, on_grid
from course_lib.energies.base import Box
from course_lib.sampling import HMC, Annealed, ais, geometric_betas, log_mean_exp, sigmoid_betas, weight_ess

SCHEDULES = ("linear", "sigmoid", "geometric")
FIRST = 1e-3  # the first temperature of a geometric schedule
JITTER = 0.3  # of the step sizes, against paths that come home
RESAMPLE_BELOW = 0.5
LIGHTEST, HEAVIEST = -30.0, 10.0  # log (w / mean w) travels within these limits
LEVELS = 65535  # as 16-bit numbers


class Frames(NamedTuple):
    """One annealed population, T + 1 pictures of it and the account of each."""

    betas: Tensor
    """`[T + 1]`"""
    x: Tensor
    """`[T + 1, n, 2]`: after the moves at each temperature"""
    log_share: Tensor
    """`[T + 1, n]`: log of the weight over the mean weight; 0 is an average particle"""
    ess: Tensor
    """`[T + 1]`: effective number of particles"""
    log_z: Tensor
    """`[T + 1]`: the estimate of log Z of the landscape at each temperature"""
    error: Tensor
    """`[T + 1]`: its standard error; NaN once particles have been resampled and depend on each other"""
    acceptance: Tensor
    """`[T + 1]`: of the moves at each temperature; NaN at the first, where nothing moves"""


def schedule(name: str, temperatures: int) -> Tensor:
    """The inverse temperatures 0 ... 1, `[T + 1]`."""
    if name == "sigmoid":
        return sigmoid_betas(temperatures)
    if name == "geometric":
        return geometric_betas(temperatures, FIRST)
    return torch.linspace(0, 1, temperatures + 1, dtype=torch.float64)


def anneal(
    bridge: Bridge, n: int, betas: Tensor, kernel: HMC, resample: bool, seed: int
) -> tuple[Annealed, Frames]:
    """`ais` with every population kept, and the account after every temperature."""
    result = ais(
        bridge,
        n,
        betas,
        kernel,
        resample_below=RESAMPLE_BELOW if resample else None,
        keep=range(len(betas)),
        generator=torch.Generator().manual_seed(seed),
    )
    log_w = torch.stack([one.log_w for one in result.kept])
    x, mean, effective = torch.stack([one.x for one in result.kept]), log_mean_exp(log_w), weight_ess(log_w)
    # the relative variance of n weights is n / ESS - 1, and log has slope 1 / Z
    error = (1 / effective - 1 / n).clamp(min=0).sqrt()
    if resample:
        error = torch.full_like(error, math.nan)
    nothing = torch.full((1,), math.nan, dtype=result.acceptance.dtype)
    acceptance = torch.cat([nothing, result.acceptance])
    frames = Frames(betas, x, log_w - mean[:, None], effective, mean + result.log_z_base, error, acceptance)
    return result, frames


class Truth:
    """log Z of the landscapes along a 2-D bridge, by quadrature; `at(betas)` is NaN where it cannot be told.

    The grid reaches well beyond the draws of the base and is refined until log Z no longer changes: a
    landscape too sharp for it has no truth here rather than a wrong one.
    """

    ACCURACY = 0.003  # nats
    WORK = 8_000_000  # exponentials per call of `at`, so that a slider is answered soon

    def __init__(self, bridge: Bridge):
        middle, half = _extent(bridge)
        sides = (middle[0] - half, middle[0] + half, middle[1] - half, middle[1] + half)
        probes, before, self.parts = torch.tensor([0.0, 0.1, 1.0], dtype=torch.float64), None, None
        for points in (121, 241, 481, 961):
            base, delta = (on_grid(part, sides, points)[2].double() for part in (bridge.base, bridge.delta))
            parts = base.flatten(), delta.flatten(), 2 * math.log(2 * half / (points - 1))
            now = _log_z(parts, probes)
            known = bridge.base.log_z is None or abs(now[0] - bridge.base.log_z) < self.ACCURACY
            if before is not None and known and (now - before).abs().max() < self.ACCURACY:
                self.parts = parts
                return
            before = now

    def at(self, betas: Tensor) -> Tensor:
        """log Z `[T]` at `betas [T]`; where there are many, NaN at all but some of them and the last."""
        values = torch.full(betas.shape, math.nan, dtype=torch.float64)
        if self.parts is not None:
            every = max(1, math.ceil(len(betas) * len(self.parts[0]) / self.WORK))
            some = sorted({*range(0, len(betas), every), len(betas) - 1})
            values[some] = _log_z(self.parts, betas[some])
        return values


def _log_z(parts: tuple[Tensor, Tensor, float], betas: Tensor) -> Tensor:
    base, delta, log_cell = parts
    return torch.stack([(-base - beta * delta).logsumexp(0) for beta in betas.tolist()]) + log_cell


def _extent(bridge: Bridge) -> tuple[list[float], float]:
    x = bridge.base.sample(4000, generator=torch.Generator().manual_seed(0)).double().cpu()
    low, high = x.amin(0), x.amax(0)
    return ((low + high) / 2).tolist(), 0.75 * (high - low).max().item()


def grids(bridge: Bridge, box: Box, size: int) -> tuple[Tensor, Tensor]:
    """U_base and delta on a grid, `[size, size]` each, rows upwards: every U_beta is base + beta delta."""
    base, delta = (on_grid(part, box, size)[2].float().cpu() for part in (bridge.base, bridge.delta))
    if not (base.isfinite().all() and delta.isfinite().all()):
        raise ValueError(
            f"the landscapes are not finite everywhere in the box {tuple(box)}: give another box="
        )
    return base, delta


def as_shares(log_share: Tensor) -> bytes:
    """`[T + 1, n]` uint16, from `LIGHTEST` to `HEAVIEST`."""
    scaled = (log_share.clamp(LIGHTEST, HEAVIEST) - LIGHTEST) / (HEAVIEST - LIGHTEST)
    return np.rint(scaled.cpu().numpy() * LEVELS).astype("<u2").tobytes()


def as_curves(frames: Frames, truth: Tensor) -> bytes:
    """`[6, T + 1]` float32: betas, ESS, log Z, its error, the truth, acceptance."""
    rows = (frames.betas, frames.ess, frames.log_z, frames.error, truth, frames.acceptance)
    return torch.stack([row.detach().cpu().float() for row in rows]).contiguous().numpy().tobytes()
