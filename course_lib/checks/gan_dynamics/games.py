"""The games that problem set 6 is played on: V(theta, psi), lowered by theta and raised by psi."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from course_lib.checks.oracle import StudentError, Wrong, need, tensor

Value = Callable[[Tensor, Tensor], Tensor]


def bilinear(theta: Tensor, psi: Tensor) -> Tensor:
    """V = theta . psi, the game of which everything is known."""
    return (theta * psi).sum()


def curved(theta: Tensor, psi: Tensor) -> Tensor:
    """A game without symmetries, in which no mistake cancels."""
    return (theta * psi + 0.3 * theta**2 * psi - 0.25 * psi**2 * (1 + theta.roll(1) ** 2)).sum()


GAMES = (bilinear, curved)


def points(random: torch.Generator) -> tuple[Tensor, Tensor]:
    """(theta, psi), `[3]` each, all numbers between .5 and 1.5, with mixed signs."""
    size = 0.5 + torch.rand(2, 3, generator=random, dtype=torch.float64)
    return (size * torch.tensor([[1.0, -1.0, 1.0], [1.0, 1.0, -1.0]], dtype=torch.float64)).unbind()


def slopes(value: Value, theta: Tensor, psi: Tensor) -> tuple[Tensor, Tensor]:
    """(dV/dtheta, dV/dpsi) as plain numbers."""
    theta, psi = theta.detach().requires_grad_(), psi.detach().requires_grad_()
    first, second = torch.autograd.grad(value(theta, psi), (theta, psi))
    return first, second


def asked(value: Value, like: Tensor) -> Value:
    """`value` as a call-back that says what it cannot use."""

    def value_of(theta, psi):
        tensor(theta, like, "theta, as value is given it,")
        tensor(psi, like, "psi, as value is given it,")
        return value(theta, psi)

    return value_of


def heard(run: Callable):
    """What `run()` returns; a `Wrong` said by a call-back comes back through the answer as what it is."""
    try:
        return run()
    except StudentError as error:
        need(error.kind != Wrong.__name__, error.text)
        raise
