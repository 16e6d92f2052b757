"""What a generator can be asked beyond fooling its critic: terms that are added to its loss.

A term is called as `term(turn) -> [...]`, `turn` being everything that is known when the generator moves.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, softplus

from course_lib.gan.objectives import Objective
from course_lib.gan.penalties import CriticFn

Encode = Callable[[Tensor], Tensor]


@dataclass
class Turn:
    """The generator's turn. Samples are as the critic sees them, `[..., B, features]`, noise included."""

    generator: nn.Module
    critic: Any
    """the critic that the generator answers: today's, or the one that `unrolled` foresees"""
    z: Tensor
    fake: Tensor
    fake_logits: Tensor
    step: int
    objective: Objective
    random: torch.Generator
    draw: Callable[[], Tensor]

    @cached_property
    def real(self) -> Tensor:
        """A batch of data, drawn when a term first asks for it."""
        return self.draw()

    def rows(self, x: Tensor) -> Tensor:
        """Samples as rows of features, `[..., B, F]`."""
        return x.flatten(self.fake_logits.dim())


Term = Callable[[Turn], Tensor]


def squared_norm(tensors: Iterable[Tensor], lead: torch.Size) -> Tensor:
    """The squared norm of all tensors together, one per seed: `lead` is `[]` or `[S]`."""
    return torch.stack([t.square().reshape(*lead, -1).sum(-1) for t in tensors]).sum(0)


@dataclass(frozen=True, eq=False)
class feature_matching:
    """Match the mean feature of the data, `weight |E f(x) - E f(G(z))|^2` (Salimans et al., 2016).

    features: `[..., B, D] -> [..., B, F]`; by default the critic's last hidden layer. It replaces the
    generator's objective in the paper: `Game(…, objective=critic_only(nonsaturating),
    terms=[feature_matching()])`. Blind to everything but the mean: with linear features any spread will do.
    """

    features: Encode | None = None
    weight: float = 1.0

    def __call__(self, turn: Turn) -> Tensor:
        features = self.features or turn.critic.features
        with torch.no_grad():
            wanted = features(turn.real).mean(-2)
        return self.weight * (features(turn.fake).mean(-2) - wanted).square().sum(-1)


@dataclass(frozen=True, eq=False)
class pull_away:
    """The repelling term of EBGAN, `weight / (B (B - 1)) sum_{i != j} cos^2(s_i, s_j)` (Zhao et al., 2016).

    encode: `[..., B, D] -> [..., B, K]`, the codes s; by default the critic's own `encode`. 0 for orthogonal
    codes, `weight` for parallel ones, whatever their lengths and signs.
    """

    encode: Encode | None = None
    weight: float = 0.1

    def __call__(self, turn: Turn) -> Tensor:
        codes = normalize((self.encode or turn.critic.encode)(turn.fake), dim=-1)
        squared = (codes @ codes.mT).square()
        n = codes.shape[-2]
        if n < 2:
            raise ValueError("pull_away compares the samples of a batch, so a batch needs at least 2")
        off_diagonal = squared.sum((-1, -2)) - squared.diagonal(dim1=-2, dim2=-1).sum(-1)
        return self.weight * off_diagonal / (n * (n - 1))


@dataclass(frozen=True, eq=False)
class historical_average:
    """Tie a player to its own past, `weight |theta - mean of theta so far|^2` (Salimans et al., 2016).

    In the paper both players pay it: `past = historical_average(w); Game(…, terms=[past],
    penalty=past.penalty)`. It turns the orbits of a bilinear game into spirals inwards; on networks weight 1
    freezes training.
    """

    weight: float = 0.01
    memory: dict[str, tuple[int, list[Tensor]]] = field(default_factory=dict)

    def __call__(self, turn: Turn) -> Tensor:
        return self._distance("generator", turn.generator.parameters(), turn.fake_logits.shape[:-1])

    def penalty(
        self, critic: Any, real: Tensor, fake: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """The same for the critic, as a penalty."""
        lead = real.shape[:1] if getattr(critic, "seeds", None) else torch.Size()
        return self._distance("critic", critic.parameters(), lead)

    def _distance(self, player: str, parameters: Iterable[Tensor], lead: torch.Size) -> Tensor:
        now = list(parameters)
        count, mean = self.memory.get(player, (0, [p.detach() for p in now]))
        mean = [torch.lerp(m, p.detach(), 1 / (count + 1)) for m, p in zip(mean, now, strict=True)]
        self.memory[player] = (count + 1, mean)
        return self.weight * squared_norm([p - m for p, m in zip(now, mean, strict=True)], lead)


def js_constraint(logits: Tensor) -> Tensor:
    """`f_1(D) = log 2 (1 - D)`, the constraint D <= 1/2 of the original GAN, from logits."""
    return math.log(2) - softplus(logits)


def dual_step(
    density: Tensor, logits: Tensor, alpha: float, f_1: Callable[[Tensor], Tensor] = js_constraint
) -> Tensor:
    """`p~ = p - alpha f_1(D)` (Chen et al., 2018, equation 11): more mass where the critic finds too little.

    The fake density is the multiplier of the constraint f_1(D) >= 0, and this is its subgradient step. With
    the best critic, logit log p_data / p, it goes to p_data, linearly with factor 1 - alpha / (2 p_data).
    """
    return density - alpha * f_1(logits)


@dataclass(frozen=True, eq=False)
class kernel_matching:
    """The generator's step in the primal-dual GAN (Chen et al., 2018, algorithm 1; use it with `minimax`).

    The fake density at the data is read with a kernel, `p(x_i) = mean_j k(G(z_j) - x_i)` with
    `k(d) = exp(-|d|^2 / 2 sigma^2)` (equation 12). The dual step raises it where the critic finds the data
    uncovered, `p~ = p - alpha f_1(D)` (11), and the term is `weight mean_i (p~(x_i) - p(x_i))^2` with p~ held
    fixed (13). f_1: the constraint, as a function of the logit.
    """

    sigma: float = 0.5
    alpha: float = 0.1
    weight: float = 1.0
    f_1: Callable[[Tensor], Tensor] = js_constraint

    def __call__(self, turn: Turn) -> Tensor:
        x, y = turn.rows(turn.real), turn.rows(turn.fake)
        # |x - y|^2 by hand: torch.cdist cannot be differentiated twice, which `consensus` asks for.
        squared = x.square().sum(-1)[..., :, None] + y.square().sum(-1)[..., None, :] - 2 * x @ y.mT
        density = (-squared / (2 * self.sigma**2)).exp().mean(-1)
        with torch.no_grad():
            wanted = dual_step(density, turn.critic(turn.real), self.alpha, self.f_1)
        return self.weight * (wanted - density).square().mean(-1)


@dataclass(frozen=True, eq=False)
class locally_stable:
    """Nagarajan & Kolter (2017): the generator also lowers `eta |grad_D V|^2`, what the critic could gain.

    V is the critic's part of the game, without penalties. A regulariser of the generator: goes with any rule.
    """

    eta: float = 0.5

    def __call__(self, turn: Turn) -> Tensor:
        critic: CriticFn = turn.critic
        value = turn.objective.d(critic(turn.real), turn.fake_logits)
        slopes = torch.autograd.grad(value.sum(), list(turn.critic.parameters()), create_graph=True)
        return self.eta * squared_norm(slopes, value.shape)
