"""What is added to samples before the critic sees them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Noise = Callable[[Tensor, float, torch.Generator], Tensor]
"""`noise(x, progress, generator) -> x`: progress runs from 0 to 1 over the training"""


def instance_noise(sigma: float | Callable[[float], float], until: float | None = None) -> Noise:
    """Gaussian noise of standard deviation sigma on real and fake alike (Kaae Sonderby et al., 2016).

    It gives data and fakes a common support, on which their densities can be compared.
    sigma: in units of the data, or a function of the progress in [0, 1]. until: with a number sigma, the
    share of the training at which it has fallen linearly to 0; None keeps it.
    Raises ValueError for a negative sigma or an `until` outside (0, 1].
    """
    if (not callable(sigma) and sigma < 0) or (until is not None and not 0 < until <= 1):
        raise ValueError(
            f"instance_noise needs sigma >= 0 and until in (0, 1] or None, but got {sigma}, {until}"
        )

    def at(progress: float) -> float:
        if callable(sigma):
            return sigma(progress)
        return sigma if until is None else sigma * max(0.0, 1 - progress / until)

    def noise(x: Tensor, progress: float, generator: torch.Generator) -> Tensor:
        scale = at(progress)
        if scale == 0:
            return x
        return x + scale * torch.empty_like(x).normal_(generator=generator)

    return noise
