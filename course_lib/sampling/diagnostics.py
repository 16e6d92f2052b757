"""What a finished run is worth: effective sample size and R-hat of chains, and of weights.

The definitions are those of Vehtari, Gelman, Simpson, Carpenter & Bürkner (2021), as in Stan and ArviZ.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor


def _split(x: Tensor) -> Tensor:
    """`[T, C]` -> `[T // 2, 2 C]`: each chain as two, so that a drift within a chain shows."""
    half = len(x) // 2
    return torch.cat([x[:half], x[-half:]], 1)


def _rank_normalise(x: Tensor) -> Tensor:
    """Replace values by the normal scores of their ranks: robust to heavy tails, blind to the scale."""
    flat = x.flatten()
    _, group, count = flat.unique(return_inverse=True, return_counts=True)
    rank = (count.cumsum(0) - (count.double() - 1) / 2)[group]  # ties share their mean rank
    return torch.special.ndtri((rank - 3 / 8) / (len(flat) + 1 / 4)).view_as(x)


def _autocovariance(x: Tensor) -> Tensor:
    """`[T, C]` -> `[T, C]`: covariance of each chain with itself, lag by lag (by FFT)."""
    n = len(x)
    frequencies = torch.fft.rfft(x - x.mean(0), n=2 * n, dim=0)
    return torch.fft.irfft(frequencies.abs().square(), n=2 * n, dim=0)[:n] / n


def _ess_one(x: Tensor) -> float:
    """Effective sample size of `[T, C]` by Geyer's initial monotone sequence."""
    n, chains = x.shape
    if (x.max() - x.min()) < 1e-15:
        return float(x.numel())
    covariance = _autocovariance(x).mean(1)
    within = covariance[0] * n / (n - 1)
    total = covariance[0] + (x.mean(0).var() if chains > 1 else 0.0)
    rho = 1 - (within - covariance) / total
    rho[0] = 1.0
    # For a reversible chain the sums of neighbours are positive and falling: what is not is noise.
    pairs = rho[: 2 * max(1, (n - 1) // 2)].view(-1, 2).sum(1)
    stops = (pairs <= 0).nonzero()
    end = int(stops[0]) if len(stops) else len(pairs) - 1
    falling = pairs[: end + 1].cummin(0).values[:end]
    tau = (2 * falling.sum() - 1 + rho[2 * end].clamp(min=0)).item()
    return x.numel() / max(tau, 1 / math.log10(x.numel()))


def _per_dimension(x: Tensor, statistic: Callable[[Tensor], float]) -> Tensor:
    x = torch.as_tensor(x).detach().double().cpu()
    if x.dim() not in (2, 3):
        raise ValueError(f"chains have shape [T, C] or [T, C, D], but x has shape {list(x.shape)}")
    if len(x) < 4 or x.numel() == 0:
        raise ValueError(f"at least 4 steps of one chain are needed to judge it, but x is {list(x.shape)}")
    if not x.isfinite().all():
        return torch.full(x.shape[2:], math.nan, dtype=torch.float64)
    if x.dim() == 2:
        return torch.tensor(statistic(x), dtype=torch.float64)
    return torch.tensor([statistic(x[..., d]) for d in range(x.shape[-1])], dtype=torch.float64)


def ess(x: Tensor) -> Tensor:
    """Effective sample size (bulk) of chains `[T, C, D]` -> `[D]`, or `[T, C]` -> scalar.

    How many independent draws would estimate the mean as well: T C / (1 + 2 sum of autocorrelations),
    over split chains of rank-normalised values (Vehtari et al., 2021, section 4). Float64, on the CPU.
    """
    return _per_dimension(x, lambda one: _ess_one(_rank_normalise(_split(one))))


def _median(x: Tensor) -> Tensor:
    ordered = x.flatten().sort().values  # torch's own quantile refuses more than 16 million values
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2


def _rhat_one(x: Tensor) -> float:
    n = len(x)
    within, between = x.var(0).mean(), n * x.mean(0).var()
    return ((between / within + n - 1) / n).sqrt().item()


def rhat(x: Tensor) -> Tensor:
    """R-hat of chains `[T, C, D]` -> `[D]`, or `[T, C]` -> scalar: 1 where all chains agree.

    Worry above 1.01. The larger of split R-hat of rank-normalised values and of their distances from
    the median, so that both another place and another width are seen (Vehtari et al., 2021, section 4).
    """

    def larger(one: Tensor) -> float:
        halves = _split(one)
        folded = (halves - _median(halves)).abs()
        return max(_rhat_one(_rank_normalise(halves)), _rhat_one(_rank_normalise(folded)))

    return _per_dimension(x, larger)


def log_mean_exp(log_w: Tensor, dim: int = -1) -> Tensor:
    """log of the mean of exp(log_w) along `dim`, without leaving log space (float64)."""
    if log_w.numel() == 0:
        raise ValueError(f"there are no weights to average: log_w has shape {list(log_w.shape)}")
    return log_w.double().logsumexp(dim) - math.log(log_w.shape[dim])


def weight_ess(log_w: Tensor, dim: int = -1) -> Tensor:
    """Effective number of weighted draws, (sum w)^2 / sum w^2, from log-weights; between 1 and n."""
    if log_w.numel() == 0:
        raise ValueError(f"there are no weights to judge: log_w has shape {list(log_w.shape)}")
    log_w = log_w.double()
    return (2 * log_w.logsumexp(dim) - (2 * log_w).logsumexp(dim)).exp()


def pareto_k(log_w: Tensor) -> Tensor:
    """Tail index k of the weights `[n]`, by a generalised Pareto fit to the largest of them.

    Weights have about 1 / k finite moments: below .5 all is well, above .7 no estimate from them can be
    trusted at any practical n (Vehtari, Simpson, Gelman, Yao & Gabry, 2024). Fit by Zhang & Stephens (2009).
    """
    log_w = log_w.detach().double().cpu().flatten()
    if log_w.isnan().any():
        raise ValueError("the log-weights hold NaN")
    tail = math.ceil(min(0.2 * len(log_w), 3 * len(log_w) ** 0.5))
    if tail < 5:
        raise ValueError(f"the tail of {len(log_w)} weights is too short for a Pareto fit; 25 are needed")
    ordered = (log_w - log_w.max()).sort().values
    if ordered[0] > -1e-5:  # all weights are equal, to the rounding of float32 energies: no tail at all
        return torch.tensor(-math.inf, dtype=torch.float64)
    # Weights so small that their exponential underflows cannot be told from zero.
    cut = ordered[-tail - 1].clamp(min=math.log(torch.finfo(torch.float64).tiny))
    excess = ordered[ordered > cut].exp() - cut.exp()
    return torch.tensor(math.inf if len(excess) <= 4 else _fit_pareto(excess), dtype=torch.float64)


def _fit_pareto(x: Tensor) -> float:
    """Shape k of a generalised Pareto law for sorted excesses `[m]`, with the weak prior of Vehtari et al."""
    m = len(x)
    grid = torch.arange(1, 30 + int(m**0.5) + 1, dtype=torch.float64)
    b = 1 / x[-1] + (1 - (len(grid) / (grid - 0.5)).sqrt()) / (3 * x[int(m / 4 + 0.5) - 1])
    k = torch.log1p(-b[:, None] * x).mean(1)
    weight = (m * ((-b / k).log() - k - 1)).softmax(0)
    mean_b = (weight * b).sum()
    k_hat = torch.log1p(-mean_b * x).mean()
    return ((m * k_hat + 5) / (m + 10)).item()
