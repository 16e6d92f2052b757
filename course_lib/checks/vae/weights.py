"""Tasks 6 and 7: what weighted draws of the hidden units say, against sums over all of them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from course_lib.checks.candidates import blame, finite
from course_lib.checks.oracle import close, need, oracle, parts, seeded, tensor


@oracle
def iwae(answer, seed: int) -> None:
    """`iwae(log_w [K, B]) -> [B]`: log of the mean weight."""
    log_w = 2 * torch.randn(7, 4, dtype=torch.float64, generator=seeded(seed)) - 1
    truth = log_w.exp().mean(0).log()
    found = tensor(answer(log_w), truth, "iwae")
    count = math.log(len(log_w))
    mistakes = (
        (log_w.mean(0), "iwae is the mean of the logs: that is the ELBO; average the weights, then the log"),
        (truth + count, "iwae is off by log K: the mean of the weights, not their sum"),
        (truth - count, "log K is subtracted twice"),
        (truth.exp(), "that is the mean weight: return its logarithm"),
        (-truth, "iwae has the wrong sign"),
        (log_w.max(0).values, "that is the largest log-weight: all K count"),
    )
    blame(found, truth, mistakes)
    need(
        close(found, truth, 1e-8),
        f"iwae is {float(found[0]):.4f} in the first row, not {float(truth[0]):.4f}",
    )
    for shift in (2000.0, -2000.0):
        why = f"log-weights about {shift:+.0f}: exp over- or underflows, take the largest out first"
        out = answer(log_w + shift)
        finite(out, why)
        need(close(tensor(out, truth, "iwae"), truth + shift, 1e-9), why)
    one = tensor(answer(log_w[:1]), truth, "iwae")
    need(close(one, log_w[0]), "with K = 1 the bound is the log-weight itself")


@oracle
def helmholtz(answer, seed: int) -> None:
    """`helmholtz(log_p [K, B], log_q [K, B]) -> (weights [K, B], log_p_star [B], log_p [B])`."""
    random = seeded(seed)
    log_p, log_q, truth = _every_state(random)
    found = _answer(answer, log_p, log_q)
    _check_weights(found[0], log_p, log_q)
    _check_star(found[1], truth[0], log_p, log_q)
    _check_p(found[2], truth[1], log_p, log_q)
    for shift in (1500.0, -1500.0):
        why = f"log p(x, h) about {shift:+.0f}: exp over- or underflows; stay with the logs"
        out = answer(log_p + shift, log_q)
        if isinstance(out, tuple):
            for part in out:
                finite(part, why)
        far = _answer(answer, log_p + shift, log_q)
        same = close(far[0], found[0], 1e-8)
        need(same and close(far[1], found[1] + shift, 1e-9) and close(far[2], found[2] + shift, 1e-9), why)


def _every_state(random: torch.Generator) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
    """Six explanations of each of three pictures, each drawn exactly 24 q times, so nothing is off.

    Returns log p(x, h) and log q(h | x) of the draws, `[24, 3]`, and (log p~*, log p) by summing over all.
    """
    times = torch.tensor([3, 1, 8, 2, 6, 4])
    log_p = 1.5 * torch.randn(6, 3, generator=random, dtype=torch.float64) - 4
    log_q = (times.double() / 24).log()[:, None].expand(6, 3)
    star = 2 * ((log_p + log_q) / 2).logsumexp(0)
    state = torch.arange(6).repeat_interleave(times)[torch.randperm(24, generator=random)]
    return log_p[state], log_q[state].contiguous(), (star, log_p.logsumexp(0))


def _answer(answer, log_p: Tensor, log_q: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    names = ("weights", "log_p_star", "log_p")
    weights, star, p = parts(answer(log_p, log_q), names, "helmholtz")
    like = log_p[0]
    return tensor(weights, log_p, "weights"), tensor(star, like, "log_p_star"), tensor(p, like, "log_p")


def _check_weights(found: Tensor, log_p: Tensor, log_q: Tensor) -> None:
    log_w = (log_p - log_q) / 2
    truth = log_w.softmax(0)
    mistakes = (
        (log_w.exp(), "the weights are not normalised: divide by their sum over the K draws"),
        ((2 * log_w).softmax(0), "the root is missing: w = sqrt(p / q), half the difference of the logs"),
        ((2 * log_w).exp(), "the weights are p / q: take the root, and normalise over the K draws"),
        (log_w.softmax(1), "the weights are normalised over the batch: the draws are dimension 0"),
        (log_w.exp() / log_w.exp().sum(), "normalise for each picture: the sum is over the draws only"),
        ((-log_w).softmax(0), "the weights are turned over: w = sqrt(p / q)"),
        (((log_p + log_q) / 2).softmax(0), "h is drawn from q, so the weight is sqrt(p q) / q = sqrt(p / q)"),
        (log_w.log_softmax(0), "these are the logs of the weights"),
        (truth * len(log_w), "the weights of a picture must sum to 1, not to K"),
    )
    blame(found, truth, mistakes)
    need(close(found, truth, 1e-8), "weights are not sqrt(p / q), normalised over the K draws of a picture")


def _check_star(found: Tensor, truth: Tensor, log_p: Tensor, log_q: Tensor) -> None:
    log_w, count = (log_p - log_q) / 2, math.log(len(log_p))
    mistakes = (
        (truth / 2, "log_p_star: the sum over h is squared, so the log gets a factor 2"),
        (2 * log_w.mean(0), "log_p_star is the mean of the logs, the ELBO: average the weights first"),
        (truth + 2 * count, "log_p_star: the mean of the weights, not their sum"),
        (truth + count, "log_p_star: square the *mean* of the weights; log K comes off twice"),
        (log_p.sub(log_q).logsumexp(0) - count, "that is log p: the weights of log_p_star are the roots"),
        (
            2 * ((log_p + log_q) / 2).logsumexp(0) - 2 * count,
            "log_p_star: h is drawn from q, so each term sqrt(p q) is divided by q",
        ),
    )
    blame(found, truth, mistakes)
    need(
        close(found, truth, 1e-8),
        f"log_p_star is {float(found[0]):.4f}, the sum over all h gives {float(truth[0]):.4f}",
    )


def _check_p(found: Tensor, truth: Tensor, log_p: Tensor, log_q: Tensor) -> None:
    log_w, count = log_p - log_q, math.log(len(log_p))
    mistakes = (
        (log_w.mean(0), "log_p is the mean of the logs, the ELBO: average p / q first"),
        (truth + count, "log_p: the mean of p / q, not its sum"),
        (2 * ((log_w / 2).logsumexp(0) - count), "that is log_p_star: log_p has no root"),
        (log_p.logsumexp(0) - count, "log_p: divide by q, from which h was drawn"),
        ((log_w / 2).logsumexp(0) - count, "log_p: the weights here are p / q, without the root"),
    )
    blame(found, truth, mistakes)
    need(
        close(found, truth, 1e-8),
        f"log_p is {float(found[0]):.4f}, the sum over all h gives {float(truth[0]):.4f}",
    )


def _off(name: str, found: Tensor, truth: Tensor) -> str:
    return f"{name} is {float(found[0]):.4f} in the first row, expected {float(truth[0]):.4f}"
