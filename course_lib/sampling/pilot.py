"""A pilot run: find a step size for every temperature, then freeze them all for the run that counts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from course_lib.energies import Bridge
from course_lib.sampling.annealed import check_betas, move_at
from course_lib.sampling.mcmc import HMC


def pilot(
    bridge: Bridge,
    n: int,
    betas: Sequence[float] | Tensor,
    kernel: HMC,
    *,
    groups: int = 1,
    target: float = 0.75,
    gain: float = 0.3,
    generator: torch.Generator | None = None,
) -> list[HMC]:
    """One HMC kernel per transition, its step size held near `target` acceptance in a run thrown away.

    n, groups: as in `ais`; all G n chains share one step size per temperature. The step grows or shrinks by
    exp(gain (acceptance - target)) from one temperature to the next. A kernel that went on adapting during
    the weighted run would bias its weights; these are frozen.
    """
    betas = check_betas(betas)
    log_step, found = math.log(kernel.step_size), []
    with torch.no_grad():
        x = bridge.base.sample(groups * n, generator=generator)
        state = kernel.init(bridge.at(0.0), x)
        for before, beta in zip(betas[:-1].tolist(), betas[1:].tolist(), strict=True):
            found.append(replace(kernel, step_size=math.exp(log_step)))
            state, rate = move_at(bridge, state, before, beta, found[-1], 1, generator)
            log_step += gain * (rate.mean().item() - target)
    return found
