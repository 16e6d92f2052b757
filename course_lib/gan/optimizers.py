"""Gradient steps as pure functions: `(parameters, gradients, memory, lr) -> (parameters, memory)`.

Nothing is updated in place, so the same function trains a player (without a graph) and lets `unrolled`
look through the critic's next k steps (with one). Memory is None at first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

Tensors = Sequence[Tensor]


class Optimizer(Protocol):
    """What `Game` asks of an optimiser; `functools.partial` sets what it does not pass."""

    def __call__(
        self, params: Tensors, grads: Tensors, memory: Any, lr: float, betas: tuple[float, float]
    ) -> tuple[list[Tensor], Any]: ...


def sgd(
    params: Tensors, grads: Tensors, memory: Any, lr: float, betas: tuple[float, float] = (0.0, 0.0)
) -> tuple[list[Tensor], Any]:
    """Plain gradient descent."""
    return [p - lr * g for p, g in zip(params, grads, strict=True)], memory


def rmsprop(
    params: Tensors, grads: Tensors, memory: Any, lr: float, betas: tuple[float, float] = (0.0, 0.99)
) -> tuple[list[Tensor], Any]:
    """RMSprop (Tieleman & Hinton, 2012): g over the root of the mean of g^2, smoothed with betas[1]."""
    (v,) = memory or (_zeros(grads),)
    v = [_smooth_square(a, g, betas[1]) for a, g in zip(v, grads, strict=True)]
    return [_step(p, g, a, lr, 1e-8) for p, g, a in zip(params, grads, v, strict=True)], (v,)


def adam(
    params: Tensors, grads: Tensors, memory: Any, lr: float, betas: tuple[float, float] = (0.0, 0.99)
) -> tuple[list[Tensor], Any]:
    """Adam (Kingma & Ba, 2015, algorithm 1, in the order of their section 2 that needs fewer products)."""
    t, m, v = memory or (0, _zeros(grads), _zeros(grads))
    b1, b2 = betas
    m = [torch.lerp(a, g, 1 - b1) for a, g in zip(m, grads, strict=True)]
    v = [_smooth_square(a, g, b2) for a, g in zip(v, grads, strict=True)]
    scale = math.sqrt(1 - b2 ** (t + 1))  # m / (sqrt(v / scale^2) + eps) = scale m / (sqrt(v) + scale eps)
    size = lr * scale / (1 - b1 ** (t + 1))
    new = [_step(p, a, b, size, 1e-8 * scale) for p, a, b in zip(params, m, v, strict=True)]
    return new, (t + 1, m, v)


def _zeros(like: Tensors) -> list[Tensor]:
    return [torch.zeros_like(g) for g in like]


def _smooth_square(v: Tensor, g: Tensor, beta: float) -> Tensor:
    return torch.addcmul(beta * v, g, g, value=1 - beta)


def _step(p: Tensor, direction: Tensor, v: Tensor, size: float, eps: float) -> Tensor:
    """`p - size direction / (sqrt(v) + eps)`; 1e-24 gives the root a slope at 0, where dead units are."""
    return torch.addcdiv(p, direction, (v + 1e-24).sqrt() + eps, value=-size)
