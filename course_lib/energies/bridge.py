"""The path of landscapes that annealing walks: from one that is easy to sample to the one that is wanted."""

from __future__ import annotations

from typing import Any, TypeAlias

import torch
from torch import Tensor

from course_lib.energies.base import Energy, Landscape, value_and_grad

Beta: TypeAlias = float | Tensor


def _plus(a: Tensor, beta: Beta, b: Tensor) -> Tensor:
    """`a + beta b`, where a and b are `[C]` or `[C, D]` and beta is one number or one per chain `[C]`."""
    if not isinstance(beta, Tensor):
        return a if beta == 0 else torch.add(a, b, alpha=beta)  # b may be infinite where beta is 0
    return torch.addcmul(a, beta[:, None] if beta.dim() and b.dim() == 2 else beta, b)


class Bridge:
    """`U_b(x) = U_base(x) + b delta(x)`: the geometric path p_b ~ p_0^(1-b) p_1^b from b = 0 to b = 1.

    base: a landscape with `sample` and `log_z`. delta: any energy. `Bridge.between(base, target)` takes
    the two ends instead. The bridge keeps no cache. What a new temperature needs, the pair
    (delta, grad delta), travels in the State as its `aux`, so that no stale gradient can occur.
    """

    def __init__(self, base: Landscape, delta: Energy):
        self.base, self.delta, self.dim = base, delta, base.dim
        self._base, self._delta = value_and_grad(base), value_and_grad(delta)

    @classmethod
    def between(cls, base: Landscape, target: Energy) -> Bridge:
        """The bridge with U_1 = target: `U_b = (1 - b) U_base + b U_target`."""
        return _Between(base, target)

    def parts(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """`(U_base [C], its gradient [C, D], delta [C], its gradient [C, D])`."""
        u, grad, *_ = self._base(x)
        u_delta, grad_delta, *_ = self._delta(x)
        return u, grad, u_delta, grad_delta

    def parts_grad(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The two gradients alone, for the inner steps of a leapfrog."""
        return self._base.grad(x), self._delta.grad(x)

    def at(self, beta: Beta) -> BridgeAt:
        """The landscape at inverse temperature `beta`, one number or one per chain `[C]`."""
        return BridgeAt(self, beta)

    def move(self, state: Any, beta: Beta, new_beta: Beta) -> Any:
        """The same chains at another temperature: u and grad re-formed from `aux`, at no gradient's cost."""
        u_delta, grad_delta = state.aux
        by = new_beta - beta
        return state._replace(u=_plus(state.u, by, u_delta), grad=_plus(state.grad, by, grad_delta))


class BridgeAt(Landscape):
    """One landscape of the path. Its `value_and_grad` returns (U_b, grad U_b, delta, grad delta)."""

    def __init__(self, bridge: Bridge, beta: Beta):
        self.bridge, self.beta, self.dim = bridge, beta, bridge.dim

    def __call__(self, x: Tensor) -> Tensor:
        return self.bridge.base(x) + self.beta * self.bridge.delta(x)

    def value_and_grad(self, x: Tensor) -> tuple[Tensor, ...]:
        u, grad, u_delta, grad_delta = self.bridge.parts(x)
        return _plus(u, self.beta, u_delta), _plus(grad, self.beta, grad_delta), u_delta, grad_delta

    def grad(self, x: Tensor) -> Tensor:
        grad, grad_delta = self.bridge.parts_grad(x)
        return _plus(grad, self.beta, grad_delta)


class _Between(Bridge):
    """A bridge given by its two ends, each evaluated once per point."""

    def __init__(self, base: Landscape, target: Energy):
        super().__init__(base, lambda x: target(x) - base(x))
        self._target = value_and_grad(target)

    def parts(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        u, grad, *_ = self._base(x)
        u_target, grad_target, *_ = self._target(x)
        return u, grad, u_target - u, grad_target - grad

    def parts_grad(self, x: Tensor) -> tuple[Tensor, Tensor]:
        grad = self._base.grad(x)
        return grad, self._target.grad(x) - grad
