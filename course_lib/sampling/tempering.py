"""Parallel tempering: hot chains roam, cold chains look closely, and neighbours swap places."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from course_lib.energies import Bridge
from course_lib.sampling.annealed import check_betas, one_kernel_per_temperature, pick
from course_lib.sampling.mcmc import Kernel, State
from course_lib.sampling.progress import counted


class Tempered(NamedTuple):
    """What a tempered run recorded; the first four fields are those of a `Chain` at beta = 1."""

    x: Tensor
    """`[T, n, D]`: the chains at beta = 1"""
    acceptance: Tensor
    """`[n]`: their mean acceptance"""
    state: State
    """all `K n` chains, temperature-major"""
    finished: bool
    swaps: Tensor
    """`[K - 1]`: mean swap acceptance between neighbouring temperatures; aim at .2 or more everywhere"""
    rates: Tensor
    """`[K]`: mean acceptance of the moves at each temperature"""


def swap(state: State, betas: Tensor, first: int, generator: torch.Generator | None) -> tuple[State, Tensor]:
    """Propose to exchange temperatures k and k + 1 for k = first, first + 2, ...: `(state, [pairs, n])`.

    state: K n chains, temperature-major, whose `aux` holds delta and its gradient. betas: `[K]`. Accepted
    with probability min(1, exp((b_{k+1} - b_k)(delta_{k+1} - delta_k))); u and grad are re-formed from
    aux, so that each chain carries the energy of the temperature it is at.
    """
    k_total, n = len(betas), len(state.u) // len(betas)
    delta = state.aux[0].view(k_total, n)
    low = torch.arange(first, k_total - 1, 2, device=delta.device)
    log_ratio = (betas[low + 1] - betas[low])[:, None] * (delta[low + 1] - delta[low])
    chance = torch.empty_like(log_ratio).uniform_(generator=generator)
    accepted = chance.log() < log_ratio
    source = torch.arange(k_total * n, device=delta.device).view(k_total, n)
    mixed = source.clone()
    mixed[low] = torch.where(accepted, source[low + 1], source[low])
    mixed[low + 1] = torch.where(accepted, source[low], source[low + 1])
    new = pick(state, mixed.flatten())
    by = (betas[:, None].expand(-1, n) - betas[mixed // n]).flatten()
    u, grad = new.u + by * new.aux[0], new.grad + by[:, None] * new.aux[1]
    return new._replace(u=u, grad=grad), log_ratio.exp().clamp(max=1)


def parallel_tempering(
    bridge: Bridge,
    n: int,
    betas: Sequence[float] | Tensor,
    kernel: Kernel | Sequence[Kernel],
    steps: int,
    *,
    thin: int = 1,
    x: Tensor | None = None,
    generator: torch.Generator | None = None,
    progress: bool = False,
) -> Tempered:
    """n independent ladders of K chains on `bridge`, one chain per temperature (Swendsen & Wang, 1986).

    betas: `[K]`, exactly 0 ... 1. kernel: one, or one per temperature (hot chains bear larger steps; the
    kernels may differ in their step size only). x: where to start, `[K n, D]` temperature-major, by default
    draws of the base. After each step every other pair of neighbours proposes to swap, even and odd pairs
    in turn. The ladder as a whole keeps its joint law, and with it exp(-U_1) at beta = 1. Interrupting keeps
    what was recorded, with one warning.
    """
    ladder = check_betas(betas)
    if min(n, steps) < 1 or not 1 <= thin <= steps:
        raise ValueError(f"tempering needs n, steps >= 1 and 1 <= thin <= steps, got {n}, {steps}, {thin}")
    kernels = one_kernel_per_temperature(kernel, len(ladder))
    if len({(type(one), repr(replace(one, step_size=1.0))) for one in kernels}) > 1:  # type: ignore[type-var]
        raise ValueError(
            f"the kernels of a ladder may differ in their step size only, but they are {kernels}"
        )
    with torch.no_grad():
        x = bridge.base.sample(len(ladder) * n, generator=generator) if x is None else x
        if x.shape != (len(ladder) * n, bridge.dim):
            raise ValueError(
                f"x must have shape [{len(ladder) * n}, {bridge.dim}], but it has {list(x.shape)}"
            )
        ladder = ladder.to(x)
        steps_per_chain = torch.stack([torch.as_tensor(one.step_size) for one in kernels]).to(x)
        all_chains: Kernel = replace(kernels[0], step_size=steps_per_chain.repeat_interleave(n))  # type: ignore[type-var]
        energy = bridge.at(ladder.repeat_interleave(n))
        state = all_chains.init(energy, x)
        recorded, finished, done = [], True, 0
        moved = torch.zeros_like(state.u)
        swapped, tried = x.new_zeros(len(ladder) - 1), x.new_zeros(len(ladder) - 1)
        try:
            for t in counted(range(steps), progress):
                state, info = all_chains.step(energy, state, generator=generator)
                moved += info.acceptance
                state, rate = swap(state, ladder, t % 2, generator)
                swapped[t % 2 :: 2] += rate.mean(1)
                tried[t % 2 :: 2] += 1
                done = t + 1
                if done % thin == 0:
                    recorded.append(state.x[-n:])
        except KeyboardInterrupt:
            finished = False
            warnings.warn(f"interrupted after {done} of {steps} steps; returning those", stacklevel=2)
    moved = moved.view(len(ladder), n) / max(done, 1)
    kept = torch.stack(recorded) if recorded else x.new_empty(0, n, bridge.dim)
    return Tempered(kept, moved[-1], state, finished, swapped / tried.clamp(min=1), moved.mean(1))
