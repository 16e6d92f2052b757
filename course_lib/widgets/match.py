"""A game of two small networks in the plane, and what there is to see of it. No widget in sight."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from course_lib import gan
from course_lib.energies.base import Box
from course_lib.gan import Diverged, Game, Objective
from course_lib.metrics import coverage, spread, two_sample
from course_lib.nets import critic, mlp

SHOWN, JUDGED = 160, 1000  # fakes on the picture, fakes that are counted
GRID, WARP = 48, 19  # points along each side of the critic's map, lines of the generator's
EVERY, MOST_MARKS = 5, 300  # turns between two records, records that travel
MOST = 50_000  # turns

OBJECTIVES = {
    "non-saturating": gan.nonsaturating,
    "minimax": gan.minimax,
    "least squares": gan.least_squares(),
    "hinge": gan.hinge,
    "Wasserstein": gan.wasserstein,
}
RULES = {
    "alternating": gan.alternating(),
    "alternating, 5 critic steps": gan.alternating(5),
    "simultaneous": gan.simultaneous(),
    "unrolled, 5 steps": gan.unrolled(5),
    "consensus, gamma 1": gan.consensus(1.0),
}
PENALTIES = {
    "none": None,
    "R1, 0.02": gan.r1(0.02),
    "R1, 0.5": gan.r1(0.5),
    "gradient penalty, 1": gan.gradient_penalty(1.0),
}
# where the critic's map is half way between "fake" and "real", and how far its colours reach from there
SCALES = {"least squares": (0.5, 0.5), "hinge": (0.0, 1.0)}


class Score(NamedTuple):
    """How good the fakes are. Of a mixture: its modes; of other data: can a neighbour tell them apart?"""

    share: float
    """modes found over all modes, or the accuracy of the nearest-neighbour test"""
    words: str
    std: float
    mean: tuple[float, float]


class Match:
    """A generator and a critic, 2-64-64-2 and 2-64-64-1, and what they have done so far.

    A turn is one round of the rule, or one step of one player alone. Settings change while it is played.
    """

    def __init__(self, data, box: Box, seed: int, **settings):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            nets = mlp([2, 64, 64, 2]), critic([2, 64, 64, 1])
        how = {"adam_betas": (0.5, 0.999), "decay": False, "ema": None, "seed": seed}
        self.data, self.seed, self.game = data, seed, Game(*nets, data, **how)
        self.change(**settings)
        self.z, self.real = self.game.latents(JUDGED, self.game.look), self.game.reals(JUDGED, self.game.look)
        self.points = _lattice(torch.linspace(*box[:2], GRID), torch.linspace(*box[2:], GRID))
        quantile = torch.special.ndtri(torch.linspace(0.5 / WARP, 1 - 0.5 / WARP, WARP))
        self.sheet = _lattice(quantile, quantile)
        self.turns, self.marks = 0, []
        self._mark()

    def change(self, objective: str, rule: str, penalty: str, lr_g: float, lr_d: float) -> None:
        """Other rules from the next turn on; the players stay as they are."""
        game = self.game
        self.objective: Objective = OBJECTIVES[objective]
        game.objective, game.rule, game.penalty = self.objective, RULES[rule], PENALTIES[penalty]
        game.g.lr, game.d.lr = lr_g, lr_d

    def play(self, turns: int, who: str = "both") -> None:
        """`turns` rounds of the rule; or, where `who` is "critic" or "generator", steps of that one alone.

        Raises ValueError where a loss is no longer finite, and beyond `MOST` turns.
        """
        if self.turns + turns > MOST:
            raise ValueError(f"{MOST:,} turns are enough; reset to begin again")
        act = {
            "both": self.game.advance,
            "critic": self.game.train_critic,
            "generator": self.game.train_generator,
        }[who]
        for _ in range(turns):
            try:
                act()
            except Diverged as reason:
                raise ValueError(f"{reason}: reset, then try smaller learning rates or a penalty") from None
            self.turns += 1
            if self.turns % EVERY == 0:
                self._mark()

    @torch.no_grad()
    def _mark(self) -> None:
        """The losses on the samples that are shown, without penalty: a new sample would add noise."""
        game = self.game
        fake = game.critic(game.generator(self.z))
        pair = self.objective.d(game.critic(self.real), fake), self.objective.g(fake)
        self.marks.append((self.turns, *(loss.item() for loss in pair)))

    # -- what there is to see

    @property
    @torch.no_grad()
    def fakes(self) -> Tensor:
        """`[JUDGED, 2]`, always of the same latent points; the first `SHOWN` are drawn."""
        return self.game.generator(self.z)

    @torch.no_grad()
    def warp(self) -> Tensor:
        """`[WARP, WARP, 2]`: where the generator puts a sheet whose cells hold the same probability."""
        return self.game.generator(self.sheet).reshape(WARP, WARP, 2)

    def pulls(self, x: Tensor) -> Tensor:
        """`[N, 2]`: the way each fake of `x` would lower the generator's loss, if it were free to go."""
        x = x.detach().requires_grad_()
        loss = self.objective.fool(self.game.critic(x)).sum()
        return -torch.autograd.grad(loss, x)[0]

    @torch.no_grad()
    def verdict(self, x: Tensor) -> Tensor:
        """The critic's opinion from 0, fake, to 1, real: its probability, or its score on the map's scale."""
        logits = self.game.critic(x)
        if self.objective.name in ("minimax", "non-saturating"):
            return logits.sigmoid()
        if self.objective.name in SCALES:
            middle, reach = SCALES[self.objective.name]
        else:
            seen = self.game.critic(self.points)
            middle, reach = seen.mean(), 2 * seen.std() + 1e-9
        return ((logits - middle) / (2 * reach) + 0.5).clamp(0, 1)

    def shades(self) -> bytes:
        """`[GRID, GRID]` bytes, rows upwards: `verdict` from 0 to 255."""
        return (self.verdict(self.points) * 255).round().to(torch.uint8).numpy().tobytes()

    def curves(self) -> Tensor:
        """`[3, M]`: turns, critic's loss, generator's loss, thinned to at most `MOST_MARKS`."""
        every = -(-len(self.marks) // MOST_MARKS)
        last = [] if (len(self.marks) - 1) % every == 0 else self.marks[-1:]
        return torch.tensor(self.marks[::every] + last, dtype=torch.float64).T

    def score(self) -> Score:
        fakes = self.fakes
        std, _ = spread(fakes)
        mean = tuple(fakes.mean(0).tolist())
        if not hasattr(self.data, "means"):
            told = two_sample(self.real, fakes).item()
            return Score(told, f"told from real: {told:.0%}", std.item(), mean)
        found, modes = coverage(fakes, self.data, need=JUDGED // 125), len(self.data.means)
        words = f"{found.modes.item()} of {modes} modes, {found.high_quality.item():.0%} good"
        return Score(found.modes.item() / modes, words, std.item(), mean)


def _lattice(xs: Tensor, ys: Tensor) -> Tensor:
    """`[len(ys) * len(xs), 2]`, x fastest."""
    y, x = torch.meshgrid(ys, xs, indexing="ij")
    return torch.stack([x.flatten(), y.flatten()], 1)
