"""Sequential Monte Carlo: annealing that chooses its own temperatures, steps and directions as it goes."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace

import torch
from torch import Tensor

from course_lib.energies import Bridge
from course_lib.sampling.annealed import Annealed, Kept, base_log_z, move_at, resample_groups, summarise
from course_lib.sampling.diagnostics import log_mean_exp, weight_ess
from course_lib.sampling.importance import systematic
from course_lib.sampling.mcmc import HMC
from course_lib.sampling.progress import counted


def next_beta(log_w: Tensor, delta: Tensor, beta: Tensor, cess: float) -> Tensor:
    """The largest next temperature of each group, `[G]`, that keeps the conditional ESS at `cess`.

    log_w, delta: `[G, n]`. The conditional ESS (Zhou, Johansen & Aston, 2016) of the incremental weights
    v = exp(-(b' - b) delta) is (sum W v)^2 / sum W v^2, a share of 1; found by bisection.
    """
    weight = log_w.softmax(1)

    def enough(new: Tensor) -> Tensor:
        log_v = -(new - beta)[:, None] * delta
        v = (log_v - log_v.amax(1, keepdim=True)).exp()
        return (weight * v).sum(1).square() / (weight * v.square()).sum(1) >= cess

    low, high = beta.clone(), torch.ones_like(beta)
    whole = enough(high)
    for _ in range(40):
        middle = (low + high) / 2
        ok = enough(middle)
        low, high = torch.where(ok, middle, low), torch.where(ok, high, middle)
    return torch.where(whole, torch.ones_like(beta), low)


def population_factor(x: Tensor, log_w: Tensor, ridge: float = 1e-3) -> Tensor:
    """Cholesky factor `[G, D, D]` of each group's weighted covariance, with a small ridge."""
    groups, n = log_w.shape
    x, w = x.reshape(groups, n, -1).double(), log_w.softmax(1)[..., None]
    centred = x - (w * x).sum(1, keepdim=True)
    eye = torch.eye(x.shape[-1], dtype=x.dtype, device=x.device)
    cov = (w * centred).mT @ centred
    scale = cov.diagonal(dim1=1, dim2=2).mean(1)[:, None, None].clamp(min=1e-12)
    return torch.linalg.cholesky(cov + ridge * scale * eye)


def warm_population(
    bridge: Bridge, n: int, groups: int, draws: int, generator: torch.Generator | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Importance sampling for the first stretch: `(x [G n, D], beta [G], log Z_beta / Z_0 [G])`.

    Of `draws` prior draws per group, n are resampled at the temperature where their ESS is about n.
    """
    x = bridge.base.sample(groups * draws, generator=generator)
    delta = bridge.delta(x).double().view(groups, draws)
    start = torch.zeros(groups, dtype=torch.float64, device=x.device)
    beta = next_beta(torch.zeros_like(delta), delta, start, min(1.0, n / draws))
    log_w = -beta[:, None] * delta
    index = systematic(log_w, n, generator=generator)
    index = index + draws * torch.arange(groups, device=x.device)[:, None]
    return x[index.flatten()], beta, log_mean_exp(log_w)


def smc(
    bridge: Bridge,
    n: int,
    *,
    kernel: HMC | None = None,
    moves: int = 2,
    cess: float = 0.9,
    warm_start: int = 0,
    groups: int = 1,
    resample_below: float = 0.5,
    target: float | None = 0.65,
    keep: bool = False,
    max_temperatures: int = 1000,
    generator: torch.Generator | None = None,
    progress: bool = False,
) -> Annealed:
    """A sequential Monte Carlo sampler (Del Moral, Doucet & Jasra, 2006) along `bridge`, G groups of n.

    Each group goes on by the temperature step that keeps its conditional ESS at `cess`, resamples when its
    ESS falls below `resample_below` n, and moves by HMC in the coordinates of its own covariance.
    warm_start: that many prior draws per group, importance-resampled to n, replace the first temperatures.
    target: acceptance at which each group's step size is held (None: the kernel's own). keep: keep every
    population. The result is resampled once more, so x are equally weighted; `weight_ess`
    is that before the last resampling, `log_z` the evidence.

    Adapting makes the estimate consistent rather than unbiased (Beskos et al., 2016): the bias falls
    like 1 / n. For an unbiased one, freeze what was found: with one group and no warm start, `betas` of the
    result are a schedule for `ais`, whose step sizes `pilot` finds. Interrupting returns the weighted
    population at the temperatures reached, with one warning.
    """
    if min(n, groups, moves) < 1 or not 0 < cess < 1 or (warm_start and warm_start < n):
        raise ValueError(
            "smc needs n, groups, moves >= 1, 0 < cess < 1 and warm_start = 0 or >= n, "
            f"but got n={n}, groups={groups}, moves={moves}, cess={cess}, warm_start={warm_start}"
        )
    log_z_base = base_log_z(bridge)
    kernel = HMC(0.3, 5, jitter=0.5) if kernel is None else kernel
    one = torch.zeros(groups, dtype=torch.float64)
    with torch.no_grad():
        if warm_start:
            x, beta, log_z = warm_population(bridge, n, groups, warm_start, generator)
        else:
            x, beta, log_z = bridge.base.sample(groups * n, generator=generator), one, one
        beta = beta.to(x.device)
        log_w = log_z.to(x.device)[:, None].expand(-1, n)
        step = torch.full((groups,), math.log(kernel.step_size), dtype=torch.float64, device=x.device)
        state = kernel.init(bridge.at(_chains(beta, n, x)), x)
        betas, acceptance = [beta], []
        kept = [Kept(beta, state.x, log_w)] if keep else []
        finished = True
        try:
            for _ in counted(range(max_temperatures), progress):
                delta = state.aux[0].double().view(groups, n)
                new = next_beta(log_w, delta, beta, cess)
                weighed, chosen = log_w - (new - beta)[:, None] * delta, state
                low = weight_ess(weighed) < resample_below * n
                if low.any():
                    chosen, weighed = resample_groups(state, weighed, low, generator)
                adapted = replace(
                    kernel,
                    step_size=_chains(step.exp(), n, x),
                    metric=population_factor(chosen.x, weighed).to(x.dtype),
                )
                path = (_chains(beta, n, x), _chains(new, n, x))
                moved, rate = move_at(bridge, chosen, *path, adapted, moves, generator)
                # Only now, so that an interrupt leaves the weights and the chains of one temperature.
                state, log_w, beta = moved, weighed, new
                betas.append(beta)
                acceptance.append(rate.view(groups, n).mean(1))
                if target is not None:
                    step = step + 0.2 * (acceptance[-1] - target)
                if keep:
                    kept.append(Kept(beta, state.x, log_w))
                if (beta >= 1).all():
                    break
            else:
                raise RuntimeError(
                    f"smc did not reach beta = 1 in {max_temperatures} temperatures (it is at "
                    f"{beta.tolist()}); lower cess or raise max_temperatures"
                )
        except KeyboardInterrupt:
            finished = False
            warnings.warn(f"interrupted after {len(acceptance)} temperatures", stacklevel=2)
        effective = weight_ess(log_w)
        if finished:
            everyone = torch.ones(groups, dtype=torch.bool, device=x.device)
            state, log_w = resample_groups(state, log_w, everyone, generator)
    result = summarise(state.x, log_w, log_z_base, acceptance, kept, torch.stack(betas), finished)
    return result._replace(weight_ess=effective[0] if groups == 1 else effective)


def _chains(per_group: Tensor, n: int, like: Tensor) -> Tensor:
    """`[G]` -> `[G n]`, one value per chain, in the dtype of x."""
    return per_group.to(like.dtype).repeat_interleave(n)
