"""Completion by optimisation: gradient descent on the observed loss, from one start or the best of many."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from course_lib.cogen.network import frozen
from course_lib.cogen.posterior import LatentPosterior
from course_lib.sampling.progress import counted


class Descent(NamedTuple):
    """Where the descent ended: n points for each of B observations."""

    z: Tensor
    """`[B, n, d]`"""
    x: Tensor
    """`[B, n, D]`, G(z)"""
    loss: Tensor
    """`[B, n]`: the observed loss ||observe(G(z)) - x_o||^2"""

    def best(self) -> Tensor:
        """G(z) of the smallest observed loss of each observation, `[B, D]`."""
        return self.x[torch.arange(len(self.x)), self.loss.argmin(1)]


def shaped(posterior: LatentPosterior, z: Tensor) -> Tensor:
    """`z [B, n, d]` as rows `[B n, d]`; ValueError for any other shape."""
    observations = len(posterior.x_o)
    if z.dim() != 3 or len(z) != observations or z.shape[2] != posterior.dim:
        raise ValueError(
            f"z must have shape [{observations}, n, {posterior.dim}], but it has {list(z.shape)}"
        )
    return z.flatten(0, 1)


def descend(
    posterior: LatentPosterior,
    z: Tensor,
    steps: int = 1000,
    lr: float = 0.01,
    *,
    optimizer: Literal["sgd", "adam"] = "sgd",
    prior_weight: float = 0.0,
    progress: bool = False,
) -> Descent:
    """Gradient descent on the observed loss from `z: [B, n, d]` (Yeh et al., 2017; the paper's baseline).

    The loss of each row is summed over what is seen and rows are never averaged, so no row's learning rate
    depends on the others. prior_weight: adds prior_weight |z|^2, a maximum a posteriori estimate. Applied to
    samples it *polishes* them; their weights no longer mean anything afterwards.
    """
    if optimizer not in ("sgd", "adam") or steps < 0 or not lr > 0:
        raise ValueError(
            f'descend takes "sgd" or "adam", steps >= 0, lr > 0; got {optimizer!r}, {steps}, {lr}'
        )
    shape = z.shape
    rows = shaped(posterior, z).detach().T.contiguous().T
    fit = posterior.fit
    noise = fit.per_chain(fit.noise_var, len(rows)).to(rows)[:, None]
    first, second = torch.zeros_like(rows), torch.zeros_like(rows)
    with torch.no_grad(), frozen(posterior.generator):
        for t in counted(range(1, steps + 1), progress):
            grad = (
                -2 * noise * fit.grad(rows) + 2 * prior_weight * rows
            )  # of the loss, not of the log density
            if optimizer == "adam":
                first, second = 0.9 * first + 0.1 * grad, 0.999 * second + 0.001 * grad.square()
                grad = (first / (1 - 0.9**t)) / ((second / (1 - 0.999**t)).sqrt() + 1e-8)
            rows = rows - lr * grad
        x, loss = fit.generate(rows), fit.squared_error(rows)
    return Descent(rows.reshape(shape), x.view(*shape[:2], -1), loss.view(shape[:2]))


def best_of(
    posterior: LatentPosterior,
    n: int = 5000,
    steps: int = 1000,
    lr: float = 0.01,
    *,
    keep: int = 1,
    optimizer: Literal["sgd", "adam"] = "sgd",
    prior_weight: float = 0.0,
    generator: torch.Generator | None = None,
) -> Descent:
    """Descend from the `keep` best of n draws of the prior: the paper's strong baseline with n = 5,000."""
    if not 1 <= keep <= n:
        raise ValueError(f"best_of needs 1 <= keep <= n, but got keep={keep}, n={n}")
    observations = len(posterior.x_o)
    pool = posterior.prior.sample(n, generator=generator)
    with torch.no_grad(), frozen(posterior.generator):
        loss = posterior.fit.squared_error(pool.repeat(observations, 1)).view(observations, n)
    start = pool[loss.topk(keep, dim=1, largest=False).indices]
    return descend(posterior, start, steps, lr, optimizer=optimizer, prior_weight=prior_weight)


def restarts(
    posterior: LatentPosterior,
    n: int,
    steps: int = 500,
    lr: float = 0.05,
    *,
    optimizer: Literal["sgd", "adam"] = "adam",
    prior_weight: float = 0.0,
    generator: torch.Generator | None = None,
) -> Descent:
    """Descend from n fresh draws of the prior per observation: what equal gradients buy without sampling."""
    z = posterior.prior.sample(len(posterior.x_o) * n, generator=generator)
    z = z.view(len(posterior.x_o), n, posterior.dim)
    return descend(posterior, z, steps, lr, optimizer=optimizer, prior_weight=prior_weight)
