"""Estimates of the evidence lower bound, and of its gradient: two by reparameterisation, one by score.

Kingma & Welling (2014): L(x) = E_q[log p(x, z) - log q(z | x)] <= log p(x). Each function returns nats per
example, `[B]`; all but `iwae_bound` have the same expectation, and differ in the variance of their gradients.
"""

from __future__ import annotations

import torch
from torch import Tensor

from course_lib.sampling import log_mean_exp
from course_lib.vae.model import VAE, log_normal, log_standard_normal


def kl_to_standard_normal(mean: Tensor, log_var: Tensor) -> Tensor:
    """KL(N(mean, diag exp(log_var)) || N(0, I)) in nats, `[B, d] -> [B]` (appendix B of the paper)."""
    return (mean.square() + log_var.exp() - 1 - log_var).sum(-1) / 2


def reparameterise(mean: Tensor, log_var: Tensor, n: int, generator: torch.Generator | None = None) -> Tensor:
    """z = mean + std * eps with fresh eps for every example and draw: `[B, d] -> [n, B, d]`."""
    eps = torch.empty(n, *mean.shape, dtype=mean.dtype, device=mean.device).normal_(generator=generator)
    return mean + (log_var / 2).exp() * eps


def _check(x: Tensor, model: VAE, draws: int, name: str) -> None:
    model.check(x)
    if draws < 1:
        raise ValueError(f"{name} must be at least 1, but it is {draws}")


def sgvb_a(model: VAE, x: Tensor, L: int = 1, *, generator: torch.Generator | None = None) -> Tensor:
    """Estimator A: mean over L draws of log p(x, z) - log q(z | x); `x [B, D] -> [B]` (equation 6)."""
    _check(x, model, L, "L")
    mean, log_var = model.encode(x)
    z = reparameterise(mean, log_var, L, generator)
    joint = model.log_likelihood(x, z) + log_standard_normal(z)
    return (joint - log_normal(z, mean, log_var)).mean(0)


def sgvb_b(model: VAE, x: Tensor, L: int = 1, *, generator: torch.Generator | None = None) -> Tensor:
    """Estimator B: -KL(q || prior) in closed form, plus the mean of log p(x | z); `[B]` (equation 7)."""
    _check(x, model, L, "L")
    mean, log_var = model.encode(x)
    z = reparameterise(mean, log_var, L, generator)
    return model.log_likelihood(x, z).mean(0) - kl_to_standard_normal(mean, log_var)


def score_function(
    model: VAE,
    x: Tensor,
    L: int = 1,
    *,
    leave_one_out: bool = False,
    generator: torch.Generator | None = None,
) -> Tensor:
    """The bound with the score-function gradient, f grad log q(z | x): no path through z; `[B]`.

    Its value is that of estimator A. leave_one_out: subtract from each of the L >= 2 draws' f the mean of the
    others, which leaves the expectation as it is and removes most of the variance (Mnih & Rezende, 2016).
    """
    _check(x, model, L, "L")
    if leave_one_out and L < 2:
        raise ValueError(
            f"leave_one_out compares a draw with the others: L must be at least 2, but it is {L}"
        )
    mean, log_var = model.encode(x)
    z = reparameterise(mean, log_var, L, generator).detach()
    log_q = log_normal(z, mean, log_var)
    f = model.log_likelihood(x, z) + log_standard_normal(z) - log_q.detach()
    reward = f.detach()
    baseline = (reward.sum(0) - reward) / (L - 1) if leave_one_out else 0.0
    # The second term is zero in value; its gradient is that of the expectation with respect to q.
    return (f + (reward - baseline) * (log_q - log_q.detach())).mean(0)


def iwae_bound(model: VAE, x: Tensor, K: int = 50, *, generator: torch.Generator | None = None) -> Tensor:
    """log 1/K sum_k p(x, z_k) / q(z_k | x), `[B]`; rises to log p(x) with K (Burda et al., 2016)."""
    _check(x, model, K, "K")
    mean, log_var = model.encode(x)
    z = reparameterise(mean, log_var, K, generator)
    joint = model.log_likelihood(x, z) + log_standard_normal(z)
    return log_mean_exp(joint - log_normal(z, mean, log_var), 0)
