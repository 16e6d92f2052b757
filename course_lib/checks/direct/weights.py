"""Tasks 5 and 6: what weighted draws say, against samples in exact proportions and known integrals."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from course_lib import energies
from course_lib.checks.candidates import blame, finite
from course_lib.checks.oracle import close, need, number, oracle, parts, seeded, tensor


@oracle
def importance(answer, seed: int) -> None:
    """`importance(log_p [n], log_q [n], f [n, K]) -> (log_z, mean [K])` from n draws of q."""
    random = seeded(seed)
    log_p, log_q, f, log_z, mean = _exact_sample(random)
    found = _estimates(answer, log_p, log_q, f)
    _check_log_z(found[0], log_z, log_p - log_q)
    _check_mean(found[1], mean, log_p, log_q, f)
    for shift in (2000.0, -2000.0):
        why = (
            f"with log p~ about {shift:+.0f} an estimate is wrong: exp over- or underflows; stay in log space"
        )
        far = _estimates(answer, log_p + shift, log_q, f, why)
        need(abs(far[0] - log_z - shift) < 1e-6 and close(far[1], mean, 1e-6), why)
    _empty_places(answer, log_p, log_q, f)
    _known_integral(answer, random)


def _exact_sample(random: torch.Generator):
    """(log_p, log_q, f, log Z_p, E_p[f]): each of six states drawn exactly n q times, so nothing is off."""
    times = torch.tensor([3, 1, 4, 2, 6, 4])
    log_p = 1.5 * torch.randn(6, generator=random, dtype=torch.float64) + 2
    f = torch.randn(6, 3, generator=random, dtype=torch.float64)
    state = torch.arange(6).repeat_interleave(times)[torch.randperm(20, generator=random)]
    log_q = (times / 20.0).double().log()
    return log_p[state], log_q[state], f[state], float(log_p.logsumexp(0)), log_p.softmax(0) @ f


def _estimates(answer, log_p: Tensor, log_q: Tensor, f: Tensor, why: str = "") -> tuple[float, Tensor]:
    log_z, mean = parts(answer(log_p, log_q, f), ("log_z", "mean"), "importance")
    if why:
        finite(log_z, why)
        finite(mean, why)
    return number(log_z, "log_z"), tensor(mean, f[0], "mean")


def _check_log_z(log_z: float, truth: float, log_w: Tensor) -> None:
    count = math.log(len(log_w))
    mistakes = (
        (
            float(log_w.mean()),
            "log_z: the mean of the log-weights is only a lower bound; average the weights, not their logs",
        ),
        (truth + count, f"log_z is off by log {len(log_w)}: Z is the mean of the weights, not their sum"),
        (math.exp(truth), "log_z: that is Z, return its logarithm"),
        (float((-log_w).logsumexp(0)) - count, "log_z: the weights are turned over, they are w = p~ / q"),
        (-truth, "log_z has the wrong sign"),
    )
    blame(log_z, truth, mistakes)
    need(
        abs(log_z - truth) < 1e-6,
        f"log_z is {log_z:.4f}, but the weights p~ / q have a mean with the logarithm {truth:.4f}",
    )


def _check_mean(mean: Tensor, truth: Tensor, log_p: Tensor, log_q: Tensor, f: Tensor) -> None:
    log_w = log_p - log_q
    w = log_w.exp()
    mistakes = (
        (f.mean(0), "mean: the draws are not weighted, this is the mean under q"),
        (w @ f / len(w), "mean: the self-normalisation is forgotten; Z is not known, divide by the sum of w"),
        (w @ f, "mean: divide the weighted sum by the sum of the weights"),
        (log_p.softmax(0) @ f, "mean: the weights are p~ alone, but the draws come from q: w = p~ / q"),
        ((-log_w).softmax(0) @ f, "mean: the weights are turned over, they are w = p~ / q"),
        (log_w @ f / log_w.sum(), "mean: the weights are exp(log p~ - log q), not the difference itself"),
    )
    blame(mean, truth, mistakes)
    need(
        close(mean, truth, 1e-6),
        f"mean is {_listed(mean)}, but the weighted mean of f is {_listed(truth)}",
    )


def _listed(x: Tensor) -> str:
    return str([round(v, 4) for v in x.tolist()])


def _empty_places(answer, log_p: Tensor, log_q: Tensor, f: Tensor) -> None:
    """Draws of q where p~ is 0: they count in n, with weight 0."""
    log_p = log_p.clone()
    log_p[:5] = -math.inf
    log_w = log_p - log_q
    found = _estimates(answer, log_p, log_q, f)
    truth = float(log_w.logsumexp(0)) - math.log(len(log_w))
    need(
        abs(found[0] - truth) < 1e-6,
        f"log_z is {found[0]:.4f} instead of {truth:.4f}: where p~ = 0 a draw weighs 0 and still counts",
    )
    need(close(found[1], log_w.softmax(0) @ f, 1e-6), "where p~ = 0 a draw has weight 0 in the mean")


def _known_integral(answer, random: torch.Generator, n: int = 20_000) -> None:
    """The log of a gamma variable by draws of a heavy-tailed t: Z and the mean are known functions."""
    shape = 1.5 + float(torch.rand((), generator=random))
    target, proposal = energies.LogGamma(shape, 1.0, 1), energies.StudentT(3.0, 1)
    x = proposal.sample(n, generator=random).double()
    log_p, log_q = -target(x), -proposal(x) - proposal.log_z
    log_z, mean = _estimates(answer, log_p, log_q, x)
    w = (log_p - log_q - target.log_z).exp()  # in units of the true Z
    truth = float(torch.digamma(torch.tensor(shape, dtype=torch.float64)))
    z = (math.exp(log_z - target.log_z) - 1) / float(w.std() / math.sqrt(n))
    need(abs(z) < 5, f"E[w] = Z fails for a gamma density: the mean weight is {z:+.1f} standard errors off Z")
    z = float(mean - truth) / float((w * (x[:, 0] - truth)).std() / math.sqrt(n))
    need(
        abs(z) < 5, f"the mean of a log-gamma variable is {z:+.1f} standard errors off the truth {truth:.3f}"
    )


# -- what the weights are worth ----------------------------------------------------------------------------


@oracle
def weight_ess(answer, seed: int) -> None:
    """`weight_ess(log_w [n]) -> number`: how many equally weighted draws these are worth."""
    random = seeded(seed)
    log_w = 1.2 * torch.randn(40, generator=random, dtype=torch.float64) - 1
    _check_ess(number(answer(log_w), "weight_ess"), log_w)
    truth = _ess(log_w)
    for shift in (2000.0, -2000.0):
        why = (
            f"log-weights about {shift:+.0f}: exp over- or underflows, subtract the largest log-weight first"
        )
        out = answer(log_w + shift)
        finite(out, why)
        need(abs(number(out, "weight_ess") - truth) < 1e-6, why)
    equal = number(answer(torch.full((17,), 3.0, dtype=torch.float64)), "weight_ess")
    need(abs(equal - 17) < 1e-6, f"17 equal weights have the ess {equal:.3f}: they are worth 17 draws")
    alone = torch.full((17,), -math.inf, dtype=torch.float64)
    alone[5] = 0.0
    one = number(answer(alone), "weight_ess")
    need(
        abs(one - 1) < 1e-6,
        f"one weight of 1 and sixteen of 0 have the ess {one:.3f}: they are worth one draw",
    )


def _ess(log_w: Tensor) -> float:
    return 1 / float(log_w.softmax(0).square().sum())


def _check_ess(value: float, log_w: Tensor) -> None:
    w, share, n = log_w.exp(), log_w.softmax(0), len(log_w)
    truth = _ess(log_w)
    mistakes = (
        (n, "that is n: weights that differ are worth less than n draws"),
        (truth / n, "that is the share ess / n: return the number of draws"),
        (1 / truth, "that is 1 / ess: (sum of w)^2 over the sum of w^2, not the other way round"),
        (1 / w.square().sum(), "the weights are not normalised: divide by their sum first"),
        (truth * n, "below stands the sum of w^2, not their mean"),
        (w.sum() / w.square().sum(), "the sum of the weights must be squared"),
        (log_w.sum().square() / log_w.square().sum(), "these are log-weights: take exp first"),
        (
            (-share * share.log()).sum().exp(),
            "exp(entropy) is another measure; here (sum of w)^2 / sum of w^2",
        ),
        (1 / share.max(), "that is 1 / the largest share; the ess counts all weights"),
    )
    blame(value, truth, mistakes)
    need(abs(value - truth) < 1e-6, f"the ess of these {n} weights is {truth:.3f}, not {value:.3f}")
