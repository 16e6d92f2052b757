"""Annealed importance sampling: walk from an easy landscape to the wanted one and keep the account."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from course_lib.energies import Bridge
from course_lib.energies.bridge import Beta
from course_lib.sampling.compiled import Compiled
from course_lib.sampling.diagnostics import log_mean_exp, weight_ess
from course_lib.sampling.importance import systematic
from course_lib.sampling.mcmc import Kernel, State
from course_lib.sampling.progress import counted


class Kept(NamedTuple):
    """The population at one temperature, for pictures."""

    beta: Tensor
    x: Tensor
    log_w: Tensor


class Annealed(NamedTuple):
    """Weighted draws of the target, and what they say about its normaliser. G groups of n chains."""

    x: Tensor
    """`[G n, D]`, group-major"""
    log_w: Tensor
    """`[G, n]` (`[n]` for one group): E[exp(log_w)] = Z_1 / Z_0; in reverse E[exp(-log_w)] = Z_0 / Z_1"""
    log_z: Tensor
    """`[G]` (scalar for one): the estimate of log Z_1"""
    weight_ess: Tensor
    """`[G]` (scalar for one)"""
    acceptance: Tensor
    """`[T]`: mean acceptance at each temperature; `[T, G]` from `smc` with several groups"""
    kept: list[Kept]
    """the populations that `keep` asked for"""
    log_z_base: float
    """log Z_0"""
    betas: Tensor
    """the temperatures, `[T + 1]`, or `[T + 1, G]` where each group chose its own"""
    finished: bool
    """False if interrupted: everything then speaks of the last temperature reached"""


class Sandwich(NamedTuple):
    """Bounds of log Z from both sides, with their standard errors; in expectation lower <= log Z <= upper."""

    lower: float
    upper: float
    gap: float
    lower_se: float
    upper_se: float


def sigmoid_betas(n: int, low: float = -4.0, high: float = 4.0) -> Tensor:
    """n transitions, n + 1 inverse temperatures: a sigmoid from `low` to `high`, rescaled to end at 0 and 1.

    Wu et al. (2017). Without the rescaling the path would end at sigmoid(high) and miss the target.
    """
    if n < 1 or not low < high:
        raise ValueError(f"sigmoid_betas needs n >= 1 and low < high, but got n={n}, {low}, {high}")
    s = torch.linspace(low, high, n + 1, dtype=torch.float64).sigmoid()
    betas = (s - s[0]) / (s[-1] - s[0])
    betas[0], betas[-1] = 0.0, 1.0
    return betas


def geometric_betas(n: int, first: float) -> Tensor:
    """n transitions, n + 1 inverse temperatures: 0, then n values from `first` to 1 with a constant ratio.

    Right where the likelihood is sharp: `first` about one over its strength.
    """
    if n < 1 or not 0 < first <= 1:
        raise ValueError(f"geometric_betas needs n >= 1 and 0 < first <= 1, but got n={n}, first={first}")
    steps = torch.linspace(0, 1, n, dtype=torch.float64) if n > 1 else torch.ones(1, dtype=torch.float64)
    betas = torch.cat([torch.zeros(1, dtype=torch.float64), (math.log(first) * (1 - steps)).exp()])
    betas[-1] = 1.0
    return betas


def check_betas(betas: Sequence[float] | Tensor) -> Tensor:
    """The inverse temperatures, float64 `[T + 1]`; ValueError unless they rise from exactly 0 to 1."""
    b = torch.as_tensor(betas, dtype=torch.float64).cpu()
    if b.dim() != 1 or len(b) < 2 or b[0] != 0 or b[-1] != 1 or not (b.diff() >= 0).all():
        shown = [round(v, 4) for v in b.flatten()[:3].tolist() + b.flatten()[-3:].tolist()]
        raise ValueError(
            f"betas must rise from exactly 0 to exactly 1, but they are {shown[:3]} ... {shown[3:]}; "
            "use sigmoid_betas(n) or geometric_betas(n, first)"
        )
    return b


def one_kernel_per_temperature(kernel: Kernel | Sequence[Kernel], count: int) -> list[Kernel]:
    """`kernel` repeated, or the list itself after checking its length."""
    kernels = list(kernel) if isinstance(kernel, Sequence) else [kernel] * count
    if len(kernels) != count:
        raise ValueError(f"{count} kernels are needed, one per temperature, but {len(kernels)} were given")
    return kernels


def base_log_z(bridge: Bridge) -> float:
    """log Z of the base, without which no weight says anything about the target."""
    if bridge.base.log_z is None:
        raise ValueError(f"annealing needs a base with a known log_z; {type(bridge.base).__name__} has none")
    return bridge.base.log_z


def pick(state: State, index: Tensor) -> State:
    """The chains `index: [C']` of a state."""
    x = state.x[index].T.contiguous().T
    return State(x, state.u[index], state.grad[index], tuple(part[index] for part in state.aux))


def resample_groups(
    state: State, log_w: Tensor, chosen: Tensor, generator: torch.Generator | None
) -> tuple[State, Tensor]:
    """Resample the groups `chosen: [G]` of weights `[G, n]`, whose log-weights become their log-mean-exp."""
    groups, n = log_w.shape
    index = systematic(log_w, generator=generator)
    index = torch.where(chosen[:, None], index, torch.arange(n, device=index.device))
    index = (index + n * torch.arange(groups, device=index.device)[:, None]).flatten()
    log_w = torch.where(chosen[:, None], log_mean_exp(log_w)[:, None].expand(-1, n), log_w)
    return pick(state, index), log_w


def ais(
    bridge: Bridge,
    n: int,
    betas: Sequence[float] | Tensor,
    kernel: Kernel | Sequence[Kernel],
    *,
    moves: int = 1,
    groups: int = 1,
    resample_below: float | None = None,
    keep: Iterable[int] = (),
    generator: torch.Generator | None = None,
    progress: bool = False,
    compile: bool = False,
) -> Annealed:
    """Annealed importance sampling (Neal, 2001): n weighted draws of U_1 and an unbiased estimate of Z_1.

    bridge: from a base that is sampled exactly. betas: `[T + 1]`, exactly 0 ... 1. kernel: one, or one per
    transition. moves: kernel steps per temperature. groups: independent populations of n chains.
    resample_below: resample a group when its ESS falls below this share of n. keep: temperature indices
    0 ... T whose populations are kept. compile: see `Compiled`.

    At each temperature the chains are first weighed, log w -= (b_t - b_{t-1}) delta(x), and then moved at
    b_t. For any schedule and kernel E[exp(log_w)] = Z_1 / Z_0; `log_z` adds log Z_0. Interrupting returns
    the population at the temperature reached, with one warning.
    """
    betas = check_betas(betas)
    kernels = one_kernel_per_temperature(kernel, len(betas) - 1)
    log_z_base = base_log_z(bridge)
    if min(n, groups, moves) < 1:
        raise ValueError(f"ais needs n, groups, moves >= 1, but got {n}, {groups}, {moves}")
    if compile:
        wrapped = {id(one): Compiled(one) for one in kernels}  # one kernel, one graph, one warning
        kernels = [wrapped[id(one)] for one in kernels]
    keep, kept, acceptance, finished, t = set(keep), [], [], True, 0
    if keep and not (min(keep) >= 0 and max(keep) < len(betas)):
        raise ValueError(f"keep lists temperature indices 0 ... {len(betas) - 1}, but got {sorted(keep)}")
    with torch.no_grad():
        x = bridge.base.sample(groups * n, generator=generator)
        state = kernels[0].init(bridge.at(0.0), x)
        log_w = torch.zeros(groups, n, dtype=torch.float64, device=x.device)
        if 0 in keep:
            kept.append(Kept(betas[0], state.x, log_w))
        try:
            for t in counted(range(1, len(betas)), progress):
                before, beta = betas[t - 1].item(), betas[t].item()
                weighed = log_w - (beta - before) * state.aux[0].double().view(groups, n)
                chosen = state
                if resample_below is not None:
                    low = weight_ess(weighed) < resample_below * n
                    if low.any():
                        chosen, weighed = resample_groups(state, weighed, low, generator)
                moved, rate = move_at(bridge, chosen, before, beta, kernels[t - 1], moves, generator)
                # Only now, so that an interrupt leaves the weights and the chains of one temperature.
                state, log_w = moved, weighed
                acceptance.append(rate.mean())
                if t in keep:
                    kept.append(Kept(betas[t], state.x, log_w))
        except KeyboardInterrupt:
            finished, t = False, len(acceptance)
            warnings.warn(f"interrupted at temperature {t} of {len(betas) - 1}", stacklevel=2)
    return summarise(state.x, log_w, log_z_base, acceptance, kept, betas[: t + 1], finished)


def move_at(
    bridge: Bridge,
    state: State,
    before: Beta,
    beta: Beta,
    kernel: Kernel,
    moves: int,
    generator: torch.Generator | None,
) -> tuple[State, Tensor]:
    """The chains moved to the landscape at `beta` and stepped there, and their mean acceptance `[C]`."""
    state, energy = bridge.move(state, before, beta), bridge.at(beta)
    total = torch.zeros_like(state.u)
    for _ in range(moves):
        state, info = kernel.step(energy, state, generator=generator)
        total += info.acceptance
    return state, total / moves


def summarise(
    x: Tensor,
    log_w: Tensor,
    log_z_base: float,
    acceptance: list[Tensor],
    kept: list[Kept],
    betas: Tensor,
    finished: bool,
) -> Annealed:
    one = len(log_w) == 1
    log_z, effective = log_mean_exp(log_w) + log_z_base, weight_ess(log_w)
    if one:
        log_w, log_z, effective = log_w[0], log_z[0], effective[0]
        kept = [Kept(beta, points, w[0]) for beta, points, w in kept]
        acceptance, betas = [rate.mean() for rate in acceptance], betas.flatten()
    rates = torch.stack(acceptance) if acceptance else x.new_empty(0)
    return Annealed(x, log_w, log_z, effective, rates, kept, log_z_base, betas, finished)


def ais_reverse(
    bridge: Bridge,
    x: Tensor,
    betas: Sequence[float] | Tensor,
    kernel: Kernel | Sequence[Kernel],
    *,
    moves: int = 1,
    generator: torch.Generator | None = None,
) -> Annealed:
    """AIS walked backwards, from exact draws `x: [n, D]` of the target to the base.

    Here E[exp(-log_w)] = Z_0 / Z_1, so that the mean of log_w is an upper bound of log Z_1 / Z_0
    (Grosse, Ghahramani & Adams, 2015). Only where exact target draws exist, as for simulated data.
    """
    betas = check_betas(betas)
    kernels = one_kernel_per_temperature(kernel, len(betas) - 1)
    if moves < 1:
        raise ValueError(f"ais_reverse needs moves >= 1, but got {moves}")
    log_z_base, acceptance = base_log_z(bridge), list[Tensor]()
    with torch.no_grad():
        state = kernels[-1].init(bridge.at(1.0), x)
        log_w, at = torch.zeros(1, len(x), dtype=torch.float64, device=x.device), 1.0
        for t in range(len(betas) - 1, 0, -1):
            before, beta = betas[t - 1].item(), betas[t].item()
            state, rate = move_at(bridge, state, at, beta, kernels[t - 1], moves, generator)
            log_w, at = log_w - (beta - before) * state.aux[0].double(), beta
            acceptance.insert(0, rate.mean())
    result = summarise(state.x, -log_w, log_z_base, acceptance, [], betas, True)
    return result._replace(log_w=log_w[0], log_z=log_z_base - log_mean_exp(-log_w)[0])


def sandwich(forward: Annealed, reverse: Annealed) -> Sandwich:
    """Bidirectional Monte Carlo: E[log w forward] <= log Z_1 - log Z_0 <= E[log w reverse].

    The mean of log-weights is a bound, not an estimate; the gap shrinks like 1 / T as the path is refined,
    and says how far either side can be off.
    """
    bounds, errors = [], []
    for result in (forward, reverse):
        log_w = result.log_w.flatten()
        bounds.append(log_w.mean().item() + result.log_z_base)
        errors.append(log_w.std().item() / len(log_w) ** 0.5)
    return Sandwich(bounds[0], bounds[1], bounds[1] - bounds[0], errors[0], errors[1])
