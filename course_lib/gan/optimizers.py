"""Gradient steps as pure functions: `(parameters, gradients, memory, lr) -> (parameters, memory)`.

Nothing is updated in place, so the same function trains a player (without a graph) and lets `unrolled`
look through the critic's next k steps (with one). Memory is None at first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

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
    """RMSprop (Tieleman & Hinton, 2012), betas[1] being its smoothing: gradients over their root mean
    square.
    """
    (v,) = memory or ([g * 0 for g in grads],)
    v = [betas[1] * a + (1 - betas[1]) * g * g for a, g in zip(v, grads, strict=True)]
    return [p - lr * g / _root(a) for p, g, a in zip(params, grads, v, strict=True)], (v,)


def adam(
    params: Tensors, grads: Tensors, memory: Any, lr: float, betas: tuple[float, float] = (0.0, 0.99)
) -> tuple[list[Tensor], Any]:
    """Adam (Kingma & Ba, 2015, algorithm 1)."""
    t, m, v = memory or (0, [g * 0 for g in grads], [g * 0 for g in grads])
    b1, b2 = betas
    t = t + 1
    m = [b1 * a + (1 - b1) * g for a, g in zip(m, grads, strict=True)]
    v = [b2 * a + (1 - b2) * g * g for a, g in zip(v, grads, strict=True)]
    size, scale = lr / (1 - b1**t), 1 / (1 - b2**t)
    return [p - size * a / _root(b * scale) for p, a, b in zip(params, m, v, strict=True)], (t, m, v)


def _root(v: Tensor, eps: float = 1e-8) -> Tensor:
    """`sqrt(v) + eps`; the 1e-24 gives the root a slope at 0, where dead units have their gradients."""
    return (v + 1e-24).sqrt() + eps
