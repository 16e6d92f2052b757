"""How the two players move: every update rule is called as `rule(game) -> (critic loss, generator loss)`.

A rule takes gradients of the game's losses and hands them to `game.update`; no one else steps a player.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from course_lib.gan.arena import Arena

Losses = tuple[Tensor, Tensor]
Rule = Callable[["Arena"], Losses]


@dataclass(frozen=True)
class alternating:
    """k critic steps, each on fresh samples, then one generator step on the critic that came of it.

    until: the dynamic schedule; the critic goes on until its loss has fallen to `until`, for at most
    `at_most` steps. With seeds at once it goes on until all of them have.
    """

    k: int = 1
    until: float | None = None
    at_most: int = 20

    def __post_init__(self) -> None:
        if not 1 <= self.k <= self.at_most:
            raise ValueError(
                f"alternating needs 1 <= k <= at_most, but got k={self.k}, at_most={self.at_most}"
            )

    def __call__(self, game: Arena) -> Losses:
        for taken in range(1, self.at_most + 1):
            critic_loss = game.train_critic()
            if taken >= self.k and (self.until is None or bool((critic_loss <= self.until).all())):
                break
        return critic_loss, game.train_generator()


@dataclass(frozen=True)
class fixed_generator:
    """k critic steps, and the generator stays as it is: what does a critic learn when nobody runs from it?

    The generator may then be any module `z -> samples`, without parameters too.
    """

    k: int = 1

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ValueError(f"fixed_generator needs k >= 1 critic steps, but k is {self.k}")

    def __call__(self, game: Arena) -> Losses:
        for _ in range(self.k):
            critic_loss = game.train_critic()
        with torch.no_grad():
            return critic_loss, game.generator_loss(game.turn())


def _both(game: Arena) -> tuple[Tensor, Tensor]:
    """The losses of both players on the same samples, with a graph through both."""
    turn = game.turn()
    return game.critic_loss(turn.real, turn.fake), game.generator_loss(turn)


@dataclass(frozen=True)
class simultaneous:
    """Both players move at once from the same point: `v = (grad_D L_D, grad_G L_G)` is a vector field.

    On f = theta psi with step h it spirals outwards, growing by sqrt(1 + h^2) a step.
    """

    def __call__(self, game: Arena) -> Losses:
        d, g = _both(game)
        d_grads = game.d.gradients(d, retain_graph=True)
        g_grads = game.g.gradients(g)
        game.update(game.d, d, d_grads)
        game.update(game.g, g, g_grads)
        return d.detach(), g.detach()


@dataclass(frozen=True)
class consensus:
    """Consensus optimisation (Mescheder et al., 2017, equation 12): also descend `gamma |v|^2 / 2`.

    v is the vector field of `simultaneous`; the second term pulls both players towards where it is 0.
    """

    gamma: float = 10.0

    def __call__(self, game: Arena) -> Losses:
        d, g = _both(game)
        field = [
            *game.d.gradients(d, create_graph=True),
            *game.g.gradients(g, create_graph=True),
        ]
        size = torch.stack([v.square().sum() for v in field]).sum() / 2
        pull = torch.autograd.grad(size, [*game.d.params, *game.g.params], materialize_grads=True)
        field = [v.detach() + self.gamma * p for v, p in zip(field, pull, strict=True)]
        n = len(game.d.params)
        game.update(game.d, d, field[:n])
        game.update(game.g, g, field[n:])
        return d.detach(), g.detach()


class Foreseen:
    """A critic with parameters that are functions of others: gradients flow through them.

    Calls and methods (`features`, `encode`) use those parameters and the module's own code.
    """

    def __init__(self, module: nn.Module, names: Sequence[str], params: Sequence[Tensor]):
        self._module, self._names, self._params = _Methods(module), names, params

    def _call(self, method: str, *args: Any) -> Any:
        params = {f"module.{name}": p for name, p in zip(self._names, self._params, strict=True)}
        return torch.func.functional_call(self._module, params, (method, *args))

    def __call__(self, x: Tensor) -> Tensor:
        return self._call("__call__", x)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._module.module, name)
        return (lambda *args: self._call(name, *args)) if callable(found) else found

    def parameters(self) -> Iterable[Tensor]:
        return list(self._params)


class _Methods(nn.Module):
    """Lets `functional_call`, which only knows `forward`, call any method of a module."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def forward(self, method: str, *args: Any) -> Any:
        return getattr(self.module, method)(*args)


@dataclass(frozen=True)
class unrolled:
    """Unrolled GAN (Metz et al., 2017): the generator answers the critic as it will be k steps from now.

    The critic takes its ordinary step. Then its next k steps are computed as functions of the generator, with
    the game's optimiser and the critic's own learning rate (or `lr`), and the generator's gradient flows
    through all of them; they are not taken. On f = theta psi with plain gradient descent the gradient is
    psi + 2 k h theta; a version that stops the gradient there gets psi + k h theta. k = 0 is `alternating()`.
    """

    k: int = 5
    lr: float | None = None

    def __post_init__(self) -> None:
        if self.k < 0:
            raise ValueError(f"unrolled looks k >= 0 steps ahead, but k is {self.k}")

    def foresee(self, game: Arena, real: Tensor, fake: Tensor) -> Foreseen:
        """The critic k steps from now, on these samples, as a function of both players' parameters."""
        params, memory, parts = list(game.d.params), game.d.memory, game.remembered()
        lr = game.lr(game.d) if self.lr is None else self.lr
        for _ in range(self.k):
            loss = game.critic_loss(real, fake, Foreseen(game.critic, game.d.names, params))
            grads = torch.autograd.grad(loss.sum(), params, create_graph=True, materialize_grads=True)
            params, memory = game.optimizer(params, grads, memory, lr, game.adam_betas)
        game.recall(parts)  # what did not happen is not remembered
        return Foreseen(game.critic, game.d.names, params)

    def __call__(self, game: Arena) -> Losses:
        d = game.train_critic()
        z, real = game.latents(), game.examples()
        fake = game.fakes(z)
        g = game.generator_loss(game.turn(z, real, fake, self.foresee(game, real, fake)))
        game.update(game.g, g, game.g.gradients(g))
        return d, g.detach()


@dataclass(frozen=True)
class clipped:
    """Any rule, with every critic weight put back into [-c, c] after each critic step (Arjovsky et al.,
    2017).
    """

    rule: Rule
    c: float = 0.01

    def __post_init__(self) -> None:
        if not self.c > 0:
            raise ValueError(f"clipped needs a bound c > 0, but c is {self.c}")

    def __call__(self, game: Arena) -> Losses:
        before, game.d.project = game.d.project, lambda p: p.clamp(-self.c, self.c)
        try:
            return self.rule(game)
        finally:
            game.d.project = before
