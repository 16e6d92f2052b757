"""The two players and what they play with: samples, losses and moves, but no loop.

What makes one GAN differ from another is passed in, each on an axis of its own: an objective, a penalty,
terms, an update rule, a data schedule, noise. Nothing in here knows which one it was given.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from course_lib.gan.noise import Noise
from course_lib.gan.objectives import Objective, nonsaturating
from course_lib.gan.optimizers import Optimizer, adam
from course_lib.gan.penalties import CriticFn, Penalty
from course_lib.gan.player import Diverged, Player
from course_lib.gan.rules import Rule, alternating
from course_lib.gan.terms import Term, Turn

ALTERNATING = alternating()


class Arena:
    """The parts of a game and what can be done with them; see `Game`."""

    def __init__(
        self,
        generator: nn.Module,
        critic: nn.Module,
        data: Any,
        *,
        latent: Literal["normal", "uniform"] = "normal",
        objective: Objective = nonsaturating,
        penalty: Penalty | None = None,
        terms: Sequence[Term] = (),
        rule: Rule = ALTERNATING,
        optimizer: Optimizer = adam,
        lr: float | tuple[float, float] = 2e-3,
        adam_betas: tuple[float, float] = (0.0, 0.99),
        decay: bool = True,
        noise: Noise | None = None,
        batch: int = 128,
        ema: float | None = 0.995,
        seed: int = 0,
    ):
        if latent not in ("normal", "uniform") or batch < 1 or (ema is not None and not 0 <= ema < 1):
            raise ValueError(
                'a game needs latent "normal" or "uniform", batch >= 1 and ema in [0, 1) or None, but got '
                f"latent={latent!r}, batch={batch}, ema={ema}"
            )
        rates = lr if isinstance(lr, tuple) else (lr, lr)
        self.generator, self.critic, self.data, self.latent = generator, critic, data, latent
        self.objective, self.penalty, self.terms = objective, penalty, tuple(terms)
        self.rule, self.noise = rule, noise
        self.optimizer, self.adam_betas, self.decay = optimizer, adam_betas, decay
        self.batch, self.smoothing = batch, ema
        self.g = Player("generator", generator, rates[0])
        self.d = Player("critic", critic, rates[1])
        self.average = copy.deepcopy(generator).requires_grad_(False) if ema is not None else generator
        self.step = self.start = 0
        self.horizon: int | None = None
        if not self.d.params:
            raise ValueError("the critic has no parameters to learn")
        device = self.d.params[0].device
        self.random = torch.Generator(device).manual_seed(seed)  # what the game draws from
        self.look = torch.Generator(device).manual_seed(seed + 1)  # what onlookers draw from
        self._check()

    # -- what the players see ---------------------------------------------------------------------------

    @property
    def seeds(self) -> int | None:
        """How many games are played at once; None for a single one without the axis."""
        return getattr(self.generator, "seeds", None)

    @property
    def progress(self) -> float:
        """How much of the training is done, from 0 to 1; 0 in a game without an end."""
        return 0.0 if self.horizon is None else (self.step - self.start) / (self.horizon - self.start)

    def latents(self, n: int | None = None, random: torch.Generator | None = None) -> Tensor:
        """Points of the latent space, `[..., n, latent_dim]`, n = batch by default."""
        lead = () if self.seeds is None else (self.seeds,)
        like = self.d.params[0]
        z = torch.empty(
            *lead, n or self.batch, self.generator.latent_dim, dtype=like.dtype, device=like.device
        )
        random = random or self.random
        return z.normal_(generator=random) if self.latent == "normal" else z.uniform_(-1, 1, generator=random)

    def _draw(self, n: int, random: torch.Generator) -> Tensor:
        data = self.data.at(self.progress) if hasattr(self.data, "at") else self.data
        if torch.is_tensor(data):
            return data[torch.randint(len(data), (n,), generator=random, device=data.device)]
        return data.sample(n, generator=random) if hasattr(data, "sample") else data(n, random)

    def reals(self, n: int, random: torch.Generator | None = None) -> Tensor:
        """Data `[..., n, features]`, without noise; each seed has its own."""
        x = self._draw((self.seeds or 1) * n, random or self.random)
        return x if self.seeds is None else x.unflatten(0, (self.seeds, n))

    def examples(self) -> Tensor:
        """A batch of data as the critic sees it."""
        return self._seen(self.reals(self.batch))

    def fakes(self, z: Tensor) -> Tensor:
        """Fakes as the critic sees them, with a graph to the generator."""
        return self._seen(self.generator(z))

    def _seen(self, x: Tensor) -> Tensor:
        return x if self.noise is None else self.noise(x, self.progress, self.random)

    # -- what they pay ----------------------------------------------------------------------------------

    def critic_loss(self, real: Tensor, fake: Tensor, critic: CriticFn | None = None) -> Tensor:
        """Objective plus penalty, `[...]`; of another critic than the present one where one is given."""
        critic = critic or self.critic
        loss = self.objective.d(critic(real), critic(fake))
        return loss if self.penalty is None else loss + self.penalty(critic, real, fake, self.random)

    def turn(
        self,
        z: Tensor | None = None,
        real: Tensor | None = None,
        fake: Tensor | None = None,
        critic: CriticFn | None = None,
    ) -> Turn:
        """The generator's turn; whatever is not given is drawn fresh."""
        z = self.latents() if z is None else z
        fake = self.fakes(z) if fake is None else fake
        critic = critic or self.critic
        draw = self.examples if real is None else lambda: real
        return Turn(
            self.generator, critic, z, fake, critic(fake), self.step, self.objective, self.random, draw
        )

    def generator_loss(self, turn: Turn) -> Tensor:
        """Objective plus terms, `[...]`."""
        return self.objective.g(turn.fake_logits) + sum(term(turn) for term in self.terms)

    # -- how they move ----------------------------------------------------------------------------------

    def lr(self, player: Player) -> float:
        """The player's learning rate at this point of the training."""
        left = min(1.0, 2 * (1 - self.progress)) if self.decay else 1.0
        return player.lr * max(left, 0.01)

    def update(self, player: Player, loss: Tensor, grads: Sequence[Tensor]) -> None:
        """One optimiser step of one player. Raises Diverged, before the step, if a number is not finite."""
        if not torch.isfinite(loss.detach().sum() + torch.nn.utils.get_total_norm(grads)):
            seeds = (~loss.isfinite()).nonzero().flatten().tolist() if loss.dim() else []
            where = f" (seeds {seeds})" if seeds else ""
            what = "gradient" if loss.isfinite().all() else "loss"
            raise Diverged(f"the {player.name}'s {what} is not finite at step {self.step + 1}{where}")
        with torch.no_grad():
            new, player.memory = self.optimizer(
                player.params, grads, player.memory, self.lr(player), self.adam_betas
            )
            for p, q in zip(player.params, new, strict=True):
                p.copy_(player.project(q))

    def train_critic(self) -> Tensor:
        """One critic step on fresh samples; its loss `[...]`."""
        with torch.no_grad():
            fake = self.fakes(self.latents())
        loss = self.critic_loss(self.examples(), fake)
        self.update(self.d, loss, self.d.gradients(loss))
        return loss.detach()

    def train_generator(self) -> Tensor:
        """One generator step on fresh samples; its loss `[...]`."""
        loss = self.generator_loss(self.turn())
        self.update(self.g, loss, self.g.gradients(loss))
        return loss.detach()

    def advance(self) -> tuple[Tensor, Tensor]:
        """One step of the rule; the losses of critic and generator, `[...]` each."""
        losses = self.rule(self)
        self.step += 1
        if self.smoothing is not None:
            follow = 1 - min(self.smoothing, (1 + self.step) / (10 + self.step))
            with torch.no_grad():
                for a, p in zip(self.average.parameters(), self.generator.parameters(), strict=True):
                    a.lerp_(p, follow)
                for a, b in zip(self.average.buffers(), self.generator.buffers(), strict=True):
                    a.copy_(b)
        return losses

    @torch.no_grad()
    def sample(self, n: int, *, average: bool = True, generator: torch.Generator | None = None) -> Tensor:
        """Draw `[..., n, features]` from the averaged generator or, with `average=False`, the present one.

        Draws from a stream of its own unless a `generator` is given: looking does not change the training.
        """
        return (self.average if average else self.generator)(self.latents(n, generator or self.look))

    def remembered(self) -> list[dict]:
        """What stateful penalties, terms and rules (those with a dict `memory`) remember."""
        return [dict(part.memory) for part in self._stateful()]

    def recall(self, memories: list[dict]) -> None:
        """Put back what `remembered` returned."""
        for part, memory in zip(self._stateful(), memories, strict=True):
            part.memory.clear()
            part.memory.update(memory)

    def _stateful(self) -> list[Any]:
        parts = [*self.terms, getattr(self.penalty, "__self__", self.penalty), self.rule]
        return [part for part in {id(part): part for part in parts}.values() if hasattr(part, "memory")]

    @torch.no_grad()
    def _check(self) -> None:
        """Raise ValueError unless a generated batch looks like the data and the critic gives it logits."""
        if not hasattr(self.generator, "latent_dim"):
            raise ValueError("a generator says how wide its input is: set generator.latent_dim")
        if getattr(self.critic, "seeds", None) != self.seeds:
            raise ValueError(
                "generator and critic must be made with the same number of seeds, but have "
                f"{self.seeds} and {getattr(self.critic, 'seeds', None)}"
            )
        if torch.is_tensor(self.data) and len(self.data) == 0:
            raise ValueError("the data hold no example")
        n = 4
        real = self.reals(n, torch.Generator(self.random.device).manual_seed(0))
        modes = [(net, net.training) for net in (self.generator, self.critic)]
        for net, _ in modes:
            net.eval()
        fake = self.generator(self.latents(n, torch.Generator(self.random.device).manual_seed(0)))
        if fake.shape != real.shape or fake.dtype != real.dtype:
            raise ValueError(
                f"the generator makes {list(fake.shape)} of {fake.dtype} from a batch of {n}, "
                f"but the data are {list(real.shape)} of {real.dtype}"
            )
        logits, batch = self.critic(fake), fake.shape[: 1 if self.seeds is None else 2]
        if logits.shape != batch:
            raise ValueError(
                f"a critic returns one logit per sample, {list(batch)} for {list(fake.shape)}, "
                f"but this one returned {list(logits.shape)}; `nets.critic` does"
            )
        for net, training in modes:
            net.train(training)
