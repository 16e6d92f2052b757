"""The minibatch loop that both machines share, and what it leaves behind."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from course_lib.vae.estimators import sgvb_b
from course_lib.vae.model import VAE


@dataclass
class History:
    """One record per epoch."""

    bound: list[float] = field(default_factory=list)
    """mean training objective of the epoch, nats per example (an evidence lower bound for the VAE)"""
    watched: list = field(default_factory=list)
    """what `watch(model)` returned after each epoch"""
    finished: bool = True
    """False if the run was interrupted"""


def climb(
    model: nn.Module,
    data: Tensor,
    objective: Callable[[Tensor], Tensor],
    *,
    epochs: int,
    batch: int,
    lr: float,
    watch: Callable[[nn.Module], object] | None,
    generator: torch.Generator | None,
    progress: bool,
) -> History:
    """Ascend the mean of `objective(x [M, D]) -> [M]` by Adam over shuffled minibatches.

    Interrupting keeps the model and the epochs done, with one warning. Raises ValueError where the objective
    is no longer finite, with the weights of the last good epoch put back.
    """
    if epochs < 1 or batch < 1 or not lr > 0:
        raise ValueError(f"training needs epochs, batch >= 1 and lr > 0, but got {epochs}, {batch}, {lr}")
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    history, rounds = History(), range(epochs)
    if progress:
        from tqdm.auto import tqdm

        rounds = tqdm(rounds, desc="epochs")
    try:
        for epoch in rounds:
            good = {name: value.clone() for name, value in model.state_dict().items()}
            total = torch.zeros((), device=data.device)
            order = torch.randperm(len(data), generator=generator, device=data.device)
            for index in order.split(batch):
                values = objective(data[index])
                optimizer.zero_grad()
                (-values.mean()).backward()
                optimizer.step()
                total += values.detach().sum()
            bound = total.item() / len(data)
            if not math.isfinite(bound):
                model.load_state_dict(good)
                raise ValueError(
                    f"the objective became {bound} in epoch {epoch + 1}: try a smaller lr than {lr}"
                )
            history.bound.append(bound)
            if watch is not None:
                history.watched.append(watch(model))
    except KeyboardInterrupt:
        history.finished = False
        warnings.warn(f"interrupted after {len(history.bound)} of {epochs} epochs", stacklevel=3)
    return history


def train(
    model: VAE,
    data: Tensor,
    estimator: Callable[..., Tensor] = sgvb_b,
    *,
    L: int = 1,
    epochs: int = 60,
    batch: int = 100,
    lr: float = 2e-3,
    watch: Callable[[nn.Module], object] | None = None,
    generator: torch.Generator | None = None,
    progress: bool = False,
) -> History:
    """Auto-encoding variational Bayes (Kingma & Welling, 2014, algorithm 1), M = 100 and L = 1 by default.

    data: `[N, D]`. estimator: `sgvb_a`, `sgvb_b`, `score_function` or a function of the same form. watch:
    called with the model after each epoch. Returns the History; the model is trained in place.
    """
    model.check(data)
    return climb(
        model,
        data,
        lambda x: estimator(model, x, L, generator=generator),
        epochs=epochs,
        batch=batch,
        lr=lr,
        watch=watch,
        generator=generator,
        progress=progress,
    )
