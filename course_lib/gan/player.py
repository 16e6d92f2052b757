"""One side of the game."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn


class Diverged(ArithmeticError):
    """A loss or a gradient is no longer a finite number."""


class Player:
    """A network, its learning rate and what its optimiser remembers."""

    def __init__(self, name: str, module: nn.Module, lr: float):
        if not lr > 0:
            raise ValueError(f"the {name}'s learning rate must be positive, but it is {lr}")
        named = [(n, p) for n, p in module.named_parameters() if p.requires_grad]
        self.name, self.module, self.lr = name, module, lr
        self.names, self.params = [n for n, _ in named], [p for _, p in named]
        self.memory: Any = None
        self.project: Callable[[Tensor], Tensor] = lambda p: p

    def gradients(self, loss: Tensor, **how: bool) -> Sequence[Tensor]:
        """The gradients of the losses of all seeds with respect to this player."""
        if not self.params:
            raise ValueError(
                f"the {self.name} has no parameters to learn; rule=fixed_generator() leaves it alone"
            )
        return torch.autograd.grad(loss.sum(), self.params, materialize_grads=True, **how)
