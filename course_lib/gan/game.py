"""The game: the loop that lets two players play, records what happens and can go back."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch

from course_lib.gan.arena import Arena
from course_lib.gan.history import History, Snapshot
from course_lib.gan.player import Diverged

Watch = Callable[["Game"], dict[str, Any]]


class Game(Arena):
    """A generator, a critic and data.

    generator: a net `z [B, latent_dim] -> [B, features]` that has `latent_dim`. critic: a net `x -> [B]`, one
    logit per sample, high meaning real. With `seeds=S` in both (`mlp(sizes, seeds=S)`), S independent games
    are played at once: everything below has a leading axis S, and every loss one value per seed.
    data: examples `[N, features]`, or an object with `sample(n, *, generator)` (every energy), or a function
    `(n, generator) -> [n, features]`. A schedule is an object whose `at(progress)` returns one of these.

    objective, penalty (on the critic), terms (for the generator), rule, noise: the axes of the family.
    latent: "normal", or "uniform" on [-1, 1]. lr: one rate, or (generator's, critic's).
    decay: let the rates fall linearly to 1 % over the second half of the training.
    ema: smoothing of the averaged generator that `sample` uses; None for no average. seed: of all randomness
    but the initial weights. Raises ValueError where the parts do not fit together, saying how.
    """

    history: History
    """the records of the last training"""
    _plan: tuple[int, Watch | None, bool] | None = None

    def train(
        self, steps: int, every: int | None = None, watch: Watch | None = None, progress: bool = True
    ) -> History:
        """Take `steps` steps, recording the losses and `watch(game) -> {name: tensor}` every `every`-th.

        every: by default some hundred records. A second call is a second training, with learning rates of
        its own. Interrupting it returns the History so far with one warning, and `resume()` goes on to the
        same end. Raises Diverged, naming the step, where a loss is not finite. Both leave the game at its
        last good state, at most a hundredth of the training back; `game.history` has the records up to there.
        """
        every = max(1, steps // 100) if every is None else every
        if steps < 1 or not 1 <= every <= steps:
            raise ValueError(f"training needs 1 <= every <= steps, but got steps={steps}, every={every}")
        self.start, self.horizon = self.step, self.step + steps
        self.history, self._plan = History(), (every, watch, progress)
        return self._run()

    def resume(self) -> History:
        """Go on with an interrupted training; returns its whole History, as if nothing had happened."""
        if self._plan is None or self.history.finished:
            raise ValueError("there is no interrupted training to resume; use train(steps)")
        return self._run()

    def _run(self) -> History:
        assert self._plan is not None and self.horizon is not None
        every, watch, progress = self._plan
        history, stride = self.history, max(1, (self.horizon - self.start) // 100)
        begun = time.process_time() - (history.seconds[-1] if history.seconds else 0.0)
        good = self.state()
        try:
            for step in _counted(self.step, self.horizon, progress):
                losses = self.advance()
                done = step + 1 - self.start
                if done % every == 0:
                    seen = watch(self) if watch else {}
                    history.record(self.step, time.process_time() - begun, losses, seen)
                if done % every == 0 or done % stride == 0:
                    good = self.state()
        except (KeyboardInterrupt, Diverged) as reason:
            self.load(good)
            history.forget_after(self.step)
            if isinstance(reason, Diverged):
                raise Diverged(
                    f"{reason}; the game is back at step {self.step}, its last good state. "
                    "Try a smaller learning rate, or a penalty that bounds the critic's slope"
                ) from None
            warnings.warn(
                f"interrupted: the game stands at step {self.step} of {self.horizon}; resume() goes on",
                stacklevel=3,
            )
            return history
        history.finished = True
        return history

    def play(self, steps: int | None = None, every: int = 1, n: int = 256) -> Iterator[Snapshot]:
        """Play and yield a Snapshot every `every`-th step, for live views; without `steps`, for ever.

        n: the samples of a snapshot. The latent points and data in it stay the same, so that samples can be
        followed from one to the next.
        """
        if every < 1 or n < 1 or (steps is not None and steps < 1):
            raise ValueError(f"play needs steps, every and n >= 1, but got {steps}, {every} and {n}")
        self._plan = None
        self.start, self.horizon = self.step, None if steps is None else self.step + steps
        z, real = self.latents(n, self.look), self.reals(n, self.look)
        while self.horizon is None or self.step < self.horizon:
            d_loss, g_loss = self.advance()
            if (self.step - self.start) % every == 0:
                with torch.no_grad():  # left before the yield, or the caller would be without gradients
                    fake = self.generator(z)
                yield Snapshot(self.step, d_loss, g_loss, real, fake)

    def state(self) -> dict[str, Any]:
        """Everything that the rest of the game depends on, copied; `load` puts it back."""
        nets = {"generator": self.generator, "critic": self.critic, "average": self.average}
        return {
            "nets": {name: {k: v.clone() for k, v in net.state_dict().items()} for name, net in nets.items()},
            "optimizers": (self.g.memory, self.d.memory),
            "parts": self.remembered(),
            "clock": (self.step, self.start, self.horizon),
            "random": (self.random.get_state(), self.look.get_state()),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go back (or on) to a state of this game."""
        for name, weights in state["nets"].items():
            getattr(self, name).load_state_dict(weights)
        self.g.memory, self.d.memory = state["optimizers"]
        self.recall(state["parts"])
        self.step, self.start, self.horizon = state["clock"]
        for random, saved in zip((self.random, self.look), state["random"], strict=True):
            random.set_state(saved)


def _counted(first: int, last: int, progress: bool) -> Iterator[int]:
    if not progress:
        return iter(range(first, last))
    from tqdm.auto import tqdm  # imported here: it looks for a notebook front end

    return iter(tqdm(range(first, last), initial=first, total=last))
