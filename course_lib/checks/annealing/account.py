"""Tasks 4 and 5: log Z with its bounds, and resampling that spends weights without losing their sum."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from course_lib.checks.candidates import blame, finite
from course_lib.checks.oracle import need, number, oracle, parts, seeded, tensor

# -- the sandwich ------------------------------------------------------------------------------------------


@oracle
def sandwich(answer, seed: int) -> None:
    """`sandwich(log_w, log_w_reverse, log_z_base) -> (lower, log_z, upper)`."""
    random = seeded(seed)
    log_z_base = 1 + 2 * float(torch.rand((), generator=random))
    log_ratio = 0.5 + 2 * float(torch.rand((), generator=random))
    forward, reverse = _exact_walks(log_ratio, random)
    _check_sandwich(_three(answer, forward, reverse, log_z_base), forward, reverse, log_ratio, log_z_base)
    for shift in (1500.0, -1500.0):
        why = f"log-weights about {shift:+.0f}: exp over- or underflows; stay in log space (logsumexp)"
        lower, log_z, upper = _three(answer, forward + shift, reverse + shift, log_z_base, why)
        truth = (float(forward.mean()), log_ratio, float(reverse.mean()))
        for value, right in zip((lower, log_z, upper), truth, strict=True):
            need(abs(value - right - shift - log_z_base) < 1e-6, why)


def _exact_walks(log_ratio: float, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Log-weights of a path with one step between two laws on five states, each state in exact proportion.

    So E[w] = Z_1 / Z_0 over the 20 forward and E[1 / w] = Z_0 / Z_1 over the 30 reverse ones hold exactly.
    """
    base, target = torch.tensor([6, 5, 4, 3, 2]), torch.tensor([3, 2, 5, 8, 12])
    log_w = (target / target.sum()).double().log() - (base / base.sum()).double().log() + log_ratio
    forward, reverse = (log_w.repeat_interleave(times) for times in (base, target))
    return (
        forward[torch.randperm(len(forward), generator=random)],
        reverse[torch.randperm(len(reverse), generator=random)],
    )


def _three(answer, forward: Tensor, reverse: Tensor, log_z_base: float, why: str = "") -> list[float]:
    names = ("lower", "log_z", "upper")
    out = parts(answer(forward, reverse, log_z_base), names, "sandwich")
    if why:
        for value in out:
            finite(value, why)
    return [number(value, name) for value, name in zip(out, names, strict=True)]


def _check_sandwich(found: list[float], forward, reverse, log_ratio: float, log_z_base: float) -> None:
    lower, log_z, upper = found
    truth = log_ratio + log_z_base
    low, high = float(forward.mean()) + log_z_base, float(reverse.mean()) + log_z_base
    count = math.log(len(forward))
    mistakes = (
        (low, "log_z: averaging log-weights gives the lower bound; average the weights, then take the log"),
        (log_ratio, "log_z: the base's log Z is forgotten, the weights only tell log Z_1 - log Z_0"),
        (log_ratio - log_z_base, "log_z: the base's log Z has to be added, not subtracted"),
        (truth + count, f"log_z is off by log {len(forward)}: take the mean of the weights, not their sum"),
        (math.exp(truth), "log_z: that is Z, return its logarithm"),
        (math.exp(log_ratio) + log_z_base, "log_z: take the logarithm of the mean weight"),
        ((low + high) / 2, "log_z: the middle between the bounds is no estimate; the mean weight is"),
    )
    blame(log_z, truth, mistakes)
    need(
        abs(log_z - truth) < 1e-6,
        f"log_z is {log_z:.4f}, not {truth:.4f}: log Z_0 + log of the mean weight",
    )
    mistakes = (
        (truth, "lower: that is the estimate; the bound is the mean of the log-weights"),
        (low - log_z_base, "lower: the base's log Z is forgotten"),
        (high, "lower and upper are exchanged: the forward walk gives the lower bound"),
    )
    blame(lower, low, mistakes)
    need(abs(lower - low) < 1e-6, f"lower is {lower:.4f}, not {low:.4f}: log Z_0 + mean of log_w")
    mistakes = (
        (high - log_z_base, "upper: the base's log Z is forgotten"),
        (
            log_z_base - float(reverse.mean()),
            "upper: log_w_reverse counts the same way as log_w, add its mean",
        ),
        (low, "upper: it comes from the reverse walk"),
        (truth, "upper: that is an estimate; the bound is the mean of the reverse log-weights"),
        (
            float(reverse.logsumexp(0)) - math.log(len(reverse)) + log_z_base,
            "upper: the bound is the mean of the reverse log-weights; their log-mean-exp bounds nothing",
        ),
    )
    blame(upper, high, mistakes)
    need(
        abs(upper - high) < 1e-6,
        f"upper is {upper:.4f}, not {high:.4f}: log Z_0 + mean of log_w_reverse",
    )


# -- resampling --------------------------------------------------------------------------------------------

N = 12  # particles


@oracle
def resample(answer, seed: int) -> None:
    """`resample(x [n, D], log_w [n], u) -> (x [n, D], log_w [n])`: systematic, within the account."""
    random = seeded(seed)
    x = torch.randn(N, 2, generator=random)
    log_w = 1.3 * torch.randn(N, generator=random, dtype=torch.float64) + 1.5
    for u in torch.rand(8, generator=random).tolist():
        counts, new_log_w = _resampled(answer, x, log_w, u)
        _check_counts(counts, log_w)
        _check_account(new_log_w, log_w)
    _unbiased(answer, x, log_w)
    for shift in (1500.0, -1500.0):
        why = f"log-weights about {shift:+.0f}: exp over- or underflows; subtract the largest, or use softmax"
        counts, new_log_w = _resampled(answer, x, log_w + shift, 0.5, why)
        need(_within(counts, log_w) and abs(float(new_log_w[0]) - _mean(log_w) - shift) < 1e-6, why)
    dead = log_w.clone()
    dead[3:7] = -math.inf
    counts, _ = _resampled(answer, x, dead, 0.5)
    need(not bool(counts[3:7].any()), "a particle of weight 0 survives")


def _mean(log_w: Tensor) -> float:
    return float(log_w.logsumexp(0)) - math.log(N)


def _resampled(answer, x: Tensor, log_w: Tensor, u: float, why: str = "") -> tuple[Tensor, Tensor]:
    """(how often each particle was taken [n], the new log-weights [n])."""
    new_x, new_log_w = parts(answer(x, log_w, u), ("x", "log_w"), "resample")
    if why:
        finite(new_log_w, why)
    new_x, new_log_w = tensor(new_x, x, "x"), tensor(new_log_w, log_w, "log_w")
    same = (new_x[:, None] == x[None]).all(-1)  # [new, old]
    need(bool(same.any(1).all()), "x must hold copies of the particles it was given, and nothing else")
    return same.sum(0), new_log_w


def _within(counts: Tensor, log_w: Tensor) -> bool:
    wanted = N * log_w.softmax(0)
    return bool(((counts >= wanted.floor() - 1e-9) & (counts <= wanted.ceil() + 1e-9)).all())


def _check_counts(counts: Tensor, log_w: Tensor) -> None:
    wanted = N * log_w.softmax(0)
    need(not bool((counts == 1).all()), "every particle is taken once: heavy ones must be taken more often")
    worst = int((counts - wanted).abs().argmax())
    need(
        _within(counts, log_w),
        f"a particle with n w = {float(wanted[worst]):.2f} is taken {int(counts[worst])} times: "
        "a comb with the teeth (i + u) / n on the cumulated weights takes it n w times, rounded up or down",
    )


def _check_account(new: Tensor, old: Tensor) -> None:
    truth = torch.full_like(old, _mean(old))
    sums = f"log_w is off by log {N}: what must stay is the mean of the weights, not their sum"
    mistakes = (
        (torch.zeros_like(old), "log_w is reset to 0: what the path has earned so far, its log Z, is lost"),
        (old, "log_w is kept although it has been spent: copies of a heavy particle count twice"),
        (truth + math.log(N), sums),
        (truth - math.log(N), sums),
        (
            torch.full_like(old, -math.log(N)),
            "log_w is reset to -log n: what the path has earned so far is lost",
        ),
        (
            torch.full_like(old, float(old.mean())),
            "averaging log-weights changes the mean weight: take the log of the mean of the weights",
        ),
        (
            torch.full_like(old, float(old.max())),
            "log_w is that of the heaviest particle: take the mean weight",
        ),
        (truth.exp(), "these are weights: return their logarithms"),
    )
    blame(new, truth, mistakes)
    need(
        float(new.max() - new.min()) < 1e-9,
        "after resampling all weights are equal: the copies speak for them, so log_w must be too",
    )
    need(
        abs(float(new[0]) - _mean(old)) < 1e-6,
        f"log_w is {float(new[0]):.4f} afterwards, expected {_mean(old):.4f}: the mean weight must stay",
    )


def _unbiased(answer, x: Tensor, log_w: Tensor, combs: int = 100) -> None:
    """Over all positions of the comb each particle is taken n w times on average."""
    wanted = N * log_w.softmax(0)
    counts = torch.stack([_resampled(answer, x, log_w, (i + 0.5) / combs)[0] for i in range(combs)])
    need(not bool((counts == counts[0]).all()), "u is not used: it says where the comb begins")
    off = (counts.double().mean(0) - wanted).abs().max()
    need(
        float(off) < 3 / combs,
        f"averaged over u a particle is taken {float(off):.2f} times too often or too rarely: the teeth "
        "are (i + u) / n",
    )
