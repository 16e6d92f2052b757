"""Tasks 1, 3, 4 and 5: the parts of the bound, against known laws and an evidence in closed form."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import Bernoulli, Independent, Normal, kl_divergence

from course_lib.checks.candidates import blame, finite
from course_lib.checks.oracle import close, need, oracle, seeded, tensor


def _guess(random: torch.Generator, rows: int = 5, d: int = 3) -> tuple[Tensor, Tensor]:
    """Mean and log-variance `[rows, d]` of a normal, no two numbers the same."""
    mean, log_var = (torch.randn(rows, d, dtype=torch.float64, generator=random) for _ in range(2))
    return mean, 0.7 * log_var - 0.5


def _normal(mean: Tensor, log_var: Tensor) -> Independent:
    return Independent(Normal(mean, (log_var / 2).exp()), 1)


@oracle
def kl(answer, seed: int) -> None:
    """`kl(mean [B, d], log_var [B, d]) -> [B]`: KL(N(mean, diag exp(log_var)) || N(0, I))."""
    mean, log_var = _guess(seeded(seed))
    zero = torch.zeros_like(mean)
    truth = kl_divergence(_normal(mean, log_var), _normal(zero, zero))
    found = _rows(answer(mean, log_var), truth, "kl")
    std = log_var.exp()  # what it is taken for by those who read log_var as the log of the deviation
    q_if_std = Independent(Normal(mean, std), 1)
    quadratic, log_part = mean.square().sum(-1), log_var.sum(-1)
    variance = log_var.exp().sum(-1)
    mistakes = (
        (-truth, "kl has the wrong sign: a divergence is never negative"),
        (2 * truth, "kl is twice too large: the factor 1/2 is missing"),
        (truth / mean.shape[1], "kl is the mean over the latent coordinates: sum over them"),
        (
            kl_divergence(q_if_std, _normal(zero, zero)),
            "log_var is the log of the *variance*; here it is taken for the log of the standard deviation",
        ),
        (kl_divergence(_normal(zero, zero), _normal(mean, log_var)), "kl is turned over: it is KL(q || p)"),
        ((quadratic + variance - 3 + log_part) / 2, "the sign of the log_var term is wrong"),
        ((quadratic + variance - log_part) / 2, "the -1 is missing: kl must be 0 for a standard normal"),
        (
            (quadratic + (log_var / 2).exp().sum(-1) - 3 - log_part) / 2,
            "the variance is exp(log_var), not the standard deviation exp(log_var / 2)",
        ),
        ((quadratic + log_var.square().sum(-1) - 3 - log_part) / 2, "the variance is exp(log_var)"),
    )
    blame(found, truth, mistakes)
    need(close(found, truth, 1e-8), f"kl is {_first(found)}, but the divergence is {_first(truth)}")
    none = _rows(answer(zero, zero), zero[:, 0], "kl")
    need(close(none, zero[:, 0]), "kl of a standard normal to itself must be 0")


@oracle
def log_bernoulli(answer, seed: int) -> None:
    """`log_bernoulli(x [B, D], logits [L, B, D]) -> [L, B]`: log p(x | z), summed over the pixels."""
    random = seeded(seed)
    logits = 2 * torch.randn(2, 4, 6, dtype=torch.float64, generator=random)
    x = torch.bernoulli(torch.full((4, 6), 0.5, dtype=torch.float64), generator=random)
    each = Bernoulli(logits=logits).log_prob(x.expand_as(logits))
    truth = each.sum(-1)
    found = _rows(answer(x, logits), truth, "log_bernoulli")
    flipped = Bernoulli(logits=-logits).log_prob(x.expand_as(logits)).sum(-1)
    mistakes = (
        (each.mean(-1), "that is the mean over the pixels: the log of a product is the *sum* of the logs"),
        (-truth, "log_bernoulli has the wrong sign: it is a log-probability, so at most 0"),
        (flipped, "ink and paper are exchanged: sigmoid(logit) is the chance of x = 1"),
        ((x * logits).sum(-1), "the normaliser is missing: - log(1 + exp(logit)) for every pixel"),
        ((x * torch.nn.functional.logsigmoid(logits)).sum(-1), "the pixels with x = 0 count as well"),
        (truth.exp(), "that is the probability: return its logarithm"),
    )
    blame(found, truth, mistakes)
    need(close(found, truth, 1e-8), f"log_bernoulli is {_first(found)}, expected {_first(truth)}")
    far = torch.tensor([[[200.0, -200.0, 200.0, -200.0]]])
    why = "a logit of 200 gives inf or nan: stay with the logits, log(sigmoid(...)) under- or overflows"
    out = answer(torch.tensor([[1.0, 0.0, 0.0, 1.0]]), far)
    finite(out, why)
    found = _rows(out, far[..., 0], "log_bernoulli")
    need(close(found, torch.full_like(found, -400.0), 1e-5), why)


@oracle
def elbo_a(answer, seed: int) -> None:
    """`elbo_a(log_lik [L, B], z [L, B, d], mean [B, d], log_var [B, d]) -> [B]`: estimator A."""
    random = seeded(seed)
    mean, log_var = _guess(random)
    z = mean + (log_var / 2).exp() * torch.randn(4, 5, 3, dtype=torch.float64, generator=random)
    log_lik = -10 + 3 * torch.randn(4, 5, dtype=torch.float64, generator=random)
    zero = torch.zeros_like(mean)
    prior, q = _normal(zero, zero).log_prob(z), _normal(mean, log_var).log_prob(z)
    truth = (log_lik + prior - q).mean(0)
    found = _rows(answer(log_lik, z, mean, log_var), truth, "elbo_a")
    as_std = Independent(Normal(mean, log_var.exp()), 1).log_prob(z)
    mistakes = (
        ((log_lik + prior - q).sum(0), "elbo_a is the sum over the draws: average over the L draws"),
        ((log_lik + prior + q).mean(0), "log q has the wrong sign: it is subtracted"),
        ((log_lik - prior - q).mean(0), "log p(z) has the wrong sign: p(x, z) = p(z) p(x | z)"),
        ((log_lik - prior + q).mean(0), "prior and guess are exchanged: + log p(z) - log q(z | x)"),
        ((log_lik + prior).mean(0), "log q(z | x) is missing"),
        ((log_lik - q).mean(0), "log p(z) is missing: the joint density is p(z) p(x | z)"),
        (log_lik.mean(0), "that is the reconstruction alone"),
        (-truth, "that is minus the bound: return the bound, which is to be raised"),
        (
            (log_lik + prior - as_std).mean(0),
            "log_var is the log of the *variance*; here it is taken for the log of the standard deviation",
        ),
        (
            (log_lik - z.square().sum(-1) / 2 + ((z - mean).square() / log_var.exp()).sum(-1) / 2).mean(0),
            "log q lacks its normaliser: - log_var / 2 for every coordinate",
        ),
        ((log_lik + (prior - q) / 3).mean(0), "sum over the latent coordinates, do not average"),
        (
            log_lik.mean(0) - kl_divergence(_normal(mean, log_var), _normal(zero, zero)),
            "that is estimator B: estimator A uses the draws z",
        ),
    )
    whole = mean.shape[1] * math.log(2 * math.pi)  # of one log density or two, which may be left out of both
    blame(found, truth, [(value + k * whole, why) for value, why in mistakes for k in (0, 0.5, -0.5, 1, -1)])
    need(close(found, truth, 1e-8), f"elbo_a is {_first(found)}, expected {_first(truth)}")
    _exact_where_the_guess_is_the_posterior(answer, random)


def _exact_where_the_guess_is_the_posterior(answer, random: torch.Generator) -> None:
    """x = z + noise of variance v: the posterior and the evidence are known, and every draw gives it."""
    v = 0.3 + torch.rand((), generator=random, dtype=torch.float64)
    x = 2 * torch.randn(4, 1, dtype=torch.float64, generator=random)
    mean, log_var = x / (1 + v), (v / (1 + v)).log().expand(4, 1).clone()
    z = mean + (log_var / 2).exp() * torch.randn(3, 4, 1, dtype=torch.float64, generator=random)
    log_lik = Normal(z, v.sqrt()).log_prob(x.expand_as(z)).sum(-1)
    evidence = Normal(0 * v, (1 + v).sqrt()).log_prob(x)[:, 0]
    found = _rows(answer(log_lik, z, mean, log_var), evidence, "elbo_a")
    need(
        close(found, evidence, 1e-8), "where q is the exact posterior, the bound must be log p(x), each time"
    )


@oracle
def elbo_b(answer, seed: int) -> None:
    """`elbo_b(log_lik [L, B], kl [B]) -> [B]`: estimator B."""
    random = seeded(seed)
    log_lik = -10 + 3 * torch.randn(4, 5, dtype=torch.float64, generator=random)
    cost = 1 + 3 * torch.rand(5, dtype=torch.float64, generator=random)
    truth = log_lik.mean(0) - cost
    found = _rows(answer(log_lik, cost), truth, "elbo_b")
    mistakes = (
        (log_lik.mean(0) + cost, "kl has the wrong sign: the bound *pays* for the divergence"),
        (log_lik.sum(0) - cost, "elbo_b is the sum over the draws: average the reconstruction over them"),
        (-truth, "that is minus the bound: return the bound, which is to be raised"),
        (log_lik.mean(0), "the divergence is missing"),
        (log_lik.mean(0) - cost / 4, "the divergence is charged once, not divided by the number of draws"),
        (log_lik.mean(0) - 4 * cost, "the divergence is charged once, not once for each draw"),
        (log_lik[0] - cost, "only the first draw is used: average over all"),
        (
            log_lik.logsumexp(0) - math.log(4) - cost,
            "average the log-likelihoods, not the likelihoods: that is another bound",
        ),
    )
    blame(found, truth, mistakes)
    need(close(found, truth, 1e-8), f"elbo_b is {_first(found)}, expected {_first(truth)}")


def _rows(value, like: Tensor, name: str) -> Tensor:
    return tensor(value, like, name)


def _first(x: Tensor) -> str:
    return f"{float(x.flatten()[0]):.4f} in the first row"
