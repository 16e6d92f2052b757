"""Running chains: the loop around a kernel, and the search for its step size before recording."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from course_lib.energies import Energy, value_and_grad
from course_lib.sampling.compiled import Compiled
from course_lib.sampling.mcmc import HMC, Kernel, Langevin, RandomWalk, State
from course_lib.sampling.progress import counted

AnyKernel = TypeVar("AnyKernel", HMC, Langevin, RandomWalk)


class Chain(NamedTuple):
    """What a run recorded."""

    x: Tensor
    """`[T, C, D]`: every `thin`-th state after the start"""
    acceptance: Tensor
    """`[C]`: mean acceptance probability over all steps"""
    state: State
    """the last state; pass it to `run` as `x` to go on"""
    finished: bool
    """False if the run was interrupted"""


def run(
    kernel: Kernel,
    energy: Energy,
    x: Tensor | State,
    steps: int,
    *,
    thin: int = 1,
    generator: torch.Generator | None = None,
    progress: bool = False,
    compile: bool = False,
) -> Chain:
    """Take `steps` steps from `x: [C, D]` (or from the state of an earlier run) and record the chains.

    thin: record every thin-th state. compile: see `Compiled`. Interrupting a run keeps what was
    drawn so far: it returns a shorter Chain with `finished=False` and one warning. Raises ValueError for a
    bad start or count.
    """
    if steps < 1 or not 1 <= thin <= steps:
        raise ValueError(f"a run needs 1 <= thin <= steps, but got steps={steps}, thin={thin}")
    energy = value_and_grad(energy)
    kernel = Compiled(kernel) if compile else kernel
    recorded: list[Tensor] = []
    finished, done = True, 0
    with torch.no_grad():
        state = x if isinstance(x, State) else kernel.init(energy, x)
        total = torch.zeros_like(state.u)
        try:
            for t in counted(range(steps), progress):
                state, info = kernel.step(energy, state, generator=generator)
                total += info.acceptance
                done = t + 1
                if done % thin == 0:
                    recorded.append(state.x)
        except KeyboardInterrupt:
            finished = False
            warnings.warn(f"interrupted after {done} of {steps} steps; returning those", stacklevel=2)
        kept = torch.stack(recorded) if recorded else state.x.new_empty(0, *state.x.shape)
    return Chain(kept, total / max(done, 1), state, finished)


def warm_up(
    kernel: AnyKernel,
    energy: Energy,
    x: Tensor,
    steps: int,
    *,
    target: float | None = None,
    generator: torch.Generator | None = None,
) -> tuple[AnyKernel, Tensor]:
    """Find a step size by dual averaging, then freeze it: `(kernel with that step size, x [C, D])`.

    target: the acceptance to aim at; by default .8 for HMC, .574 for MALA and .234 for a random walk
    (Beskos et al., 2013; Roberts & Rosenthal, 1998; Roberts, Gelman & Gilks, 1997). The update is that of
    Hoffman & Gelman (2014, section 3.2), driven by the mean acceptance of all chains. While the step
    size still listens to the chains, they do not leave exp(-U) invariant: throw them away, keep the
    kernel, and record with `run` from the returned x.
    """
    if isinstance(kernel, Langevin) and not kernel.adjust:
        raise ValueError("unadjusted Langevin accepts everything, so there is no acceptance to tune it by")
    if target is None:
        target = 0.8 if isinstance(kernel, HMC) else 0.574 if isinstance(kernel, Langevin) else 0.234
    if steps < 1 or not 0 < target < 1:
        raise ValueError(f"warm_up needs steps >= 1 and 0 < target < 1, but got {steps} and {target}")
    energy = value_and_grad(energy)
    first = float(torch.as_tensor(kernel.step_size).log().mean())
    log_step, average, error = first, first, 0.0
    with torch.no_grad():
        state = kernel.init(energy, x)
        for t in range(1, steps + 1):
            kernel = replace(kernel, step_size=math.exp(log_step))
            state, info = kernel.step(energy, state, generator=generator)
            error += (target - info.acceptance.mean().item() - error) / (t + 10)
            log_step = first + math.log(10) - math.sqrt(t) / 0.05 * error
            average += t**-0.75 * (log_step - average)
    return replace(kernel, step_size=math.exp(average)), state.x
