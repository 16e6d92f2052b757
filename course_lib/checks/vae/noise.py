"""Task 2: the reparameterised draw, against its law, its independence and its gradient."""

from __future__ import annotations

import torch
from torch import Tensor

from course_lib.checks.invariance import normality
from course_lib.checks.oracle import close, need, oracle, seeded, tensor


@oracle
def reparameterise(answer, seed: int) -> None:
    """`reparameterise(mean [B, d], log_var [B, d], n, *, generator) -> [n, B, d]`."""
    random = seeded(seed)
    mean = 3 * torch.randn(4, 2, generator=random)
    log_var = 1.5 * torch.randn(4, 2, generator=random) + 0.5
    n = 5000
    z = _draw(answer, mean, log_var, n, seed)
    _noise(z, mean, log_var)
    again, other = (_draw(answer, mean, log_var, n, s) for s in (seed, seed + 1))
    need(torch.equal(z, again), "the same seed gives other draws: use the given generator")
    need(not torch.equal(z, other), "two generators give the same draws: use the given generator")
    _gradient(answer, mean, log_var, seed)


def _draw(answer, mean: Tensor, log_var: Tensor, n: int, seed: int) -> Tensor:
    out = answer(mean, log_var, n, generator=seeded(seed))
    return tensor(out, torch.empty(n, *mean.shape), "z")


def _noise(z: Tensor, mean: Tensor, log_var: Tensor) -> None:
    """What the draw has done with its noise; z [n, B, d]."""
    std = (log_var / 2).exp()
    eps = (z - mean) / std
    need(bool((z.std(0) > 0).all()), "all n draws are the same: make fresh noise for each of them")
    first = eps[:, :1]
    need(
        not close(eps, first.expand_as(eps), 1e-3),
        "the noise is shared by the batch: every row needs its own",
    )
    need(
        not close(eps, eps[..., :1].expand_as(eps), 1e-3),
        "the noise is shared by the latent coordinates: every one needs its own",
    )
    spread = z.std(0)
    need(
        not close(spread, log_var.exp(), 0.08),
        "the noise is multiplied by the variance exp(log_var); the standard deviation is exp(log_var / 2)",
    )
    need(
        not close(spread, log_var.abs(), 0.08), "log_var is the *log* of the variance: std = exp(log_var / 2)"
    )
    need(
        not close(spread, torch.ones_like(spread), 0.08),
        "the standard deviation is 1 everywhere: scale the noise",
    )
    off = (z.mean(0) / std).abs().max()
    need(not bool(off < 0.1), "the draws lie around 0: add the mean")
    problem = normality(eps.flatten(1))
    need(problem == "", f"(z - mean) / std is not standard normal and independent: {problem}")


def _gradient(answer, mean: Tensor, log_var: Tensor, seed: int) -> None:
    """dz / dmean = 1 and dz / dlog_var = (z - mean) / 2: what reparameterisation is for."""
    mean, log_var = mean.clone().requires_grad_(), log_var.clone().requires_grad_()
    z = answer(mean, log_var, 3, generator=seeded(seed))
    why = "no gradient flows through z: z must be a function of mean and log_var (no detach, no sampler)"
    need(type(z) is Tensor and z.requires_grad, why)
    grads = torch.autograd.grad(z.sum(), (mean, log_var), allow_unused=True)
    need(all(g is not None for g in grads), why)
    need(close(grads[0], torch.full_like(mean, 3.0), 1e-4), "dz / dmean must be 1")
    need(
        close(grads[1], ((z - mean) / 2).sum(0).detach(), 1e-4),
        "dz / dlog_var must be (z - mean) / 2: is the standard deviation detached?",
    )
