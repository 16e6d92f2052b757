"""`GameExplorer`: a generator and a critic at play in the plane, in a notebook."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
import traitlets as t

from course_lib.data import SwissRoll, grid, ring
from course_lib.widgets import picture
from course_lib.widgets.match import (
    GRID,
    MOST,
    OBJECTIVES,
    PENALTIES,
    RULES,
    SHOWN,
    WARP,
    Match,
)
from course_lib.widgets.panel import MOST_SEED, Panel, as_floats, module, number, one_of, slider, whole

RATES, SPEEDS = (1e-5, 2e-2), (10, 30, 60, 120, 300)
ALONE = 10  # steps of one player alone at the press of a button
LIVE = ("objective", "rule", "penalty", "lr_g", "lr_d")  # change while it is played


def datasets() -> dict[str, Any]:
    """What the chooser offers."""
    return {"ring of 8": ring(8, 2.0, 0.02), "grid of 9": grid(3, 1.6, 0.05), "Swiss roll": SwissRoll()}


class GameExplorer(Panel):
    """A GAN to watch: real and fake points, what the critic thinks of every place, where it sends the fakes.

    It plays the library's `Game`: both players by the rule, or only one of them. Objective, rule, penalty and
    learning rates can be changed while it plays; other data or another seed begin anew. Arrows show the way a
    fake would lower the generator's loss; the mesh is the generator itself, a sheet of cells that hold the
    same probability each.

    Args:
        data: `sample(n, *, generator) -> [n, 2]`, or a mapping from names to such; three of them where None.
        objective, rule, penalty: names, as the choosers show them.
        lr: learning rates of (generator, critic).
        turns: played before the picture appears.
        box: `(xmin, xmax, ymin, ymax)` of the picture.
        seed: of weights and draws. The same seed gives the same game at every speed.
        speed: rounds per second.

    Raises:
        ValueError: data that are not points in the plane, settings outside their limits.
    """

    SETTINGS = ("data", *LIVE, "seed")
    ACTIONS = ("only_critic", "only_generator")
    _esm = module("game.js")

    data = t.Unicode().tag(sync=True)
    objective = t.Unicode("non-saturating").tag(sync=True)
    rule = t.Unicode("alternating").tag(sync=True)
    penalty = t.Unicode("none").tag(sync=True)
    lr_g = t.Float(1e-3).tag(sync=True)
    lr_d = t.Float(3e-4).tag(sync=True)
    colours = t.Bytes(b"").tag(sync=True)

    def __init__(
        self,
        data: Any = None,
        *,
        objective: str = "non-saturating",
        rule: str = "alternating",
        penalty: str = "none",
        lr: tuple[float, float] = (1e-3, 3e-4),
        turns: int = 240,
        box: tuple[float, float, float, float] = (-3.5, 3.5, -3.5, 3.5),
        seed: int = 0,
        speed: int = 60,
    ):
        self._data = _named(data)
        self._box = tuple(float(side) for side in box)
        a, b, c, d = self._box if len(self._box) == 4 else (0.0,) * 4
        if not (math.isfinite(b - a + d - c) and a < b and c < d):
            raise ValueError(f"box must be (xmin, xmax, ymin, ymax) with min < max, but it is {tuple(box)}")
        self._first, self._match, self._mixed = (
            whole(turns, 0, MOST, "turns is a number of rounds"),
            None,
            False,
        )
        if len(tuple(lr)) != 2:
            raise ValueError(f"lr holds two rates, (generator, critic), but it is {lr!r}")
        view = {
            "box": list(self._box),
            "data": list(self._data),
            "objectives": list(OBJECTIVES),
            "rules": list(RULES),
            "penalties": list(PENALTIES),
            "sliders": [
                slider("lr_g", "generator lr", *RATES, log=True, digits=4),
                slider("lr_d", "critic lr", *RATES, log=True, digits=4),
            ],
            "speeds": list(SPEEDS),
            "speed": min(SPEEDS, key=lambda s: abs(s - speed)),
            "size": GRID,
            "warp": WARP,
            "alone": ALONE,
        }
        super().__init__(
            data=next(iter(self._data)),
            objective=objective,
            rule=rule,
            penalty=penalty,
            lr_g=lr[0],
            lr_d=lr[1],
            seed=seed,
            view=view,
            colours=picture.colour_table("PuOr"),
        )

    # ---- from Python

    @property
    def game(self):
        """The library's game that is being played."""
        return self._match.game

    @property
    def turns(self) -> int:
        """Rounds of the rule, and steps of one player alone, so far."""
        return self._match.turns

    def only_critic(self, steps: int = ALONE) -> None:
        """Steps of the critic; the generator waits."""
        self._alone("critic", steps)

    def only_generator(self, steps: int = ALONE) -> None:
        """Steps of the generator; the critic waits."""
        self._alone("generator", steps)

    # ---- a panel

    def _restart(self) -> None:
        self._match = None
        super()._restart()

    def _alone(self, who: str, steps: int) -> None:
        self._match.play(whole(steps, 1, MOST, "steps of one player"), who)
        self._mixed = True
        self._tell(*self._with("more", *self._news()))
        self._sync()

    def _check(self, name: str, value):
        choices = {"data": self._data, "objective": OBJECTIVES, "rule": RULES, "penalty": PENALTIES}
        if name in choices:
            return one_of(value, choices[name], f"the {name}")
        if name == "seed":
            return whole(value, 0, MOST_SEED, "seed is a whole number")
        return number(value, *RATES, f"{name}, a learning rate")

    def _begin(self) -> None:
        """A new game; or the same with other rules, where data and seed are those that are played."""
        live, data, match = {name: getattr(self, name) for name in LIVE}, self._data[self.data], self._match
        if match is not None and match.data is data and match.seed == self.seed:
            match.change(**live)
            self._mixed = True
            return
        self._match = Match(data, self._box, self.seed, **live)
        self._mixed = False
        self._match.play(self._first)

    def _more(self, count: int) -> None:
        self._match.play(count)

    def _pace(self) -> int:
        return 20

    def _picture(self) -> tuple[dict, list[bytes]]:
        header, buffers = self._news()
        return {**header, "fresh": True}, [*buffers, as_floats(self._match.real[:SHOWN])]

    def _news(self) -> tuple[dict, list[bytes]]:
        match, score = self._match, self._match.score()
        fakes = match.fakes[:SHOWN]
        header = {
            "fresh": False,
            "turns": match.turns,
            "share": score.share,
            "score": score.words,
            "modes": hasattr(match.data, "means"),
            "real": match.verdict(match.real).mean().item(),
            "fake": match.verdict(fakes).mean().item(),
        }
        parts = (fakes, match.pulls(fakes), match.warp(), match.curves())
        return header, [*(as_floats(part) for part in parts), match.shades()]

    def _words(self) -> str:
        match, score = self._match, self._match.score()
        _, d_loss, g_loss = match.marks[-1]
        pull = match.pulls(match.fakes).norm(dim=1).mean().item()
        changed = " Settings were changed, or one player stepped alone, on the way." * self._mixed
        real, fake = (match.verdict(x).mean().item() for x in (match.real, match.fakes))
        return (
            f"A GAN on {self.data} after {match.turns} turns: {self.objective} objective, {self.rule}, "
            f"penalty {self.penalty}, learning rates {self.lr_g:.2g} of the generator and {self.lr_d:.2g} of "
            f"the critic.{changed} The fakes lie around ({score.mean[0]:.2f}, {score.mean[1]:.2f}) with "
            f"standard deviation {score.std:.2f}; {score.words}. The critic's mean verdict, from 0 (fake) to "
            f"1 (real), is {real:.2f} on real points and {fake:.2f} on fakes; its loss is {d_loss:.2f}, the "
            f"generator's {g_loss:.2f}. Mean pull on a fake {pull:.2g}."
        )

    def _call(self) -> str:
        given = [f"{name}={getattr(self, name)!r}" for name in ("objective", "rule", "penalty")]
        given += [f"lr=({self.lr_g:.4g}, {self.lr_d:.4g})", f"seed={self.seed}", f"turns={self.turns}"]
        note = "  # but here the settings were changed on the way" if self._mixed else ""
        return f"GameExplorer(data, {', '.join(given)}){note}"


def _named(data) -> dict[str, Any]:
    if data is None:
        return datasets()
    named = dict(data) if isinstance(data, Mapping) else {type(data).__name__: data}
    if not named:
        raise ValueError("an explorer needs at least one set of data")
    for name, one in named.items():
        shape = (
            list(one.sample(2, generator=torch.Generator().manual_seed(0)).shape)
            if hasattr(one, "sample")
            else None
        )
        if shape != [2, 2]:
            raise ValueError(
                f"data are points in the plane, with sample(n, *, generator) -> [n, 2], but {name} "
                f"{'has no sample' if shape is None else f'gave {shape} for n = 2'}"
            )
    return named
