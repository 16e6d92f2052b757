"""`ArrowExplorer`: every estimate of a gradient is an arrow, in a notebook."""

from __future__ import annotations

import torch
import traitlets as t

from course_lib.energies import Landscape
from course_lib.vae import PlaneProblem, score_function, sgvb_a, sgvb_b
from course_lib.widgets import picture
from course_lib.widgets.panel import MOST_SEED, Panel, as_floats, module, number, one_of, slider, whole

BOX = (-3.0, 3.0, -2.5, 3.5)
SCALES, MOST_L, MOST, MOST_SHOWN = (0.1, 1.5), 20, 1_000_000, 200
SPEEDS = (5, 20, 100, 500, 2000)
ESTIMATORS = {
    "score function": (score_function, {}),
    "score function, leave one out": (score_function, {"leave_one_out": True}),
    "SGVB A": (sgvb_a, {}),
    "SGVB B": (sgvb_b, {}),
}


class JointLandscape(Landscape):
    """U(z) = -log p(x, z) of a plane problem."""

    dim = 2

    def __init__(self, problem: PlaneProblem):
        self.problem = problem

    def __call__(self, z: torch.Tensor) -> torch.Tensor:
        return -self.problem.log_joint(z)


class Arrows:
    """A guess, an estimator, and all its estimates so far. No widget in sight."""

    def __init__(self, problem: PlaneProblem, estimator: str, L: int, seed: int):
        self.problem, self.L = problem, L
        self.estimate, self.more = ESTIMATORS[estimator]
        self.generator = torch.Generator().manual_seed(seed)
        self.exact = problem.exact_gradient()
        self.count, self.sum, self.outer = 0, torch.zeros(2).double(), 0.0
        self.shown = torch.zeros(0, 2)

    def draw(self, count: int) -> None:
        """`count` more estimates by the library's function."""
        g = self.problem.gradients(self.estimate, count, self.L, generator=self.generator, **self.more)
        self.shown = torch.cat([self.shown, g])[-MOST_SHOWN:]
        self.count, self.sum = self.count + count, self.sum + g.double().sum(0)
        self.outer += g.double().square().sum().item()

    @property
    def mean(self) -> torch.Tensor:
        return self.sum / self.count

    @property
    def noise(self) -> float:
        """Trace of the covariance of one estimate."""
        return max(0.0, (self.outer - self.count * self.mean.square().sum().item()) / (self.count - 1))


class ArrowExplorer(Panel):
    """Gradients of a bound as arrows: drag the guess q, choose an estimator, count the draws it needs.

    The landscape is -log p(x, z) of `PlaneProblem`; q is a round normal. Each thin arrow is one estimate of
    the gradient of the bound with respect to the mean of q, the thick one their mean, the broad grey one
    is exact.

    Args:
        estimator: one of "score function", "score function, leave one out", "SGVB A", "SGVB B".
        mean: of q.
        scale: standard deviation of q.
        L: draws of z for each estimate; two at least where one is left out.
        seed: of the draws. The same seed gives the same arrows.
        draws: estimates made before the picture appears.
        speed: estimates per second.

    Raises:
        ValueError: settings outside their limits.
    """

    SETTINGS = ("estimator", "m1", "m2", "scale", "L", "seed")
    _esm = module("arrows.js")

    estimator = t.Unicode("score function").tag(sync=True)
    m1 = t.Float(0.0).tag(sync=True)
    m2 = t.Float(0.0).tag(sync=True)
    scale = t.Float(0.4).tag(sync=True)
    L = t.Int(1).tag(sync=True)

    def __init__(
        self,
        *,
        estimator: str = "score function",
        mean: tuple[float, float] = (1.0, 1.8),
        scale: float = 0.4,
        L: int = 1,
        seed: int = 0,
        draws: int = 30,
        speed: int = 20,
    ):
        if len(tuple(mean)) != 2:
            raise ValueError(f"mean is a point (m1, m2), but it is {mean!r}")
        self._draws = whole(draws, 2, MOST, "draws is a number of estimates, two at least")
        self._land = picture.background(JointLandscape(PlaneProblem()), BOX, 120)
        view = {
            "box": list(BOX),
            "counts": self._land.counts,
            "estimators": list(ESTIMATORS),
            "sliders": [
                slider("scale", "width of q", *SCALES, log=True),
                slider("L", "draws per arrow, L", 1, MOST_L, digits=0),
            ],
            "speeds": list(SPEEDS),
            "speed": min(SPEEDS, key=lambda s: abs(s - speed)),
        }
        settings = {
            "estimator": estimator,
            "m1": mean[0],
            "m2": mean[1],
            "scale": scale,
            "L": L,
            "seed": seed,
        }
        super().__init__(**settings, view=view)

    # ---- from Python

    @property
    def arrows(self) -> Arrows:
        return self._arrows

    # ---- a panel

    def _check(self, name: str, value):
        if name == "estimator":
            return one_of(value, ESTIMATORS, "the estimator")
        if name == "L":
            return whole(value, 1, MOST_L, "L is the number of draws for each estimate")
        if name == "seed":
            return whole(value, 0, MOST_SEED, "seed is a whole number")
        limits = {"m1": BOX[:2], "m2": BOX[2:], "scale": SCALES}[name]
        return number(value, *limits, f"{name} of the guess q")

    def _begin(self) -> None:
        problem = PlaneProblem((self.m1, self.m2), self.scale)
        self._arrows = Arrows(problem, self.estimator, self._draws_each(), self.seed)
        self._arrows.draw(self._draws)

    def _draws_each(self) -> int:
        """A draw that is compared with the others needs another."""
        return max(self.L, 2 if "leave one out" in self.estimator else 1)

    def _more(self, count: int) -> None:
        if self._arrows.count + count > MOST:
            raise ValueError(f"{MOST:,} estimates are enough; reset to begin again")
        self._arrows.draw(count)

    def _pace(self) -> int:
        return 4

    def _picture(self) -> tuple[dict, list[bytes]]:
        header, buffers = self._news()
        return header | {"fresh": True}, [*buffers, self._land.contours]

    def _news(self) -> tuple[dict, list[bytes]]:
        arrows = self._arrows
        exact = arrows.exact.norm().item()
        header = {
            "fresh": False,
            "count": arrows.count,
            "each": arrows.L,
            "exact": arrows.exact.tolist(),
            "mean": arrows.mean.tolist(),
            "noise": arrows.noise,
            "off": (arrows.mean - arrows.exact).norm().item(),
            "error": (arrows.noise / arrows.count) ** 0.5,
            "needed": arrows.noise / (0.1 * exact) ** 2 if exact > 0 else None,
        }
        return header, [as_floats(arrows.shown)]

    def _words(self) -> str:
        arrows = self._arrows
        (g1, g2), (e1, e2) = arrows.mean.tolist(), arrows.exact.tolist()
        return (
            f"Contours of a bent valley, and a round guess q at ({self.m1:.2f}, {self.m2:.2f}) of width "
            f"{self.scale:.2f}. {arrows.count} estimates of the gradient by {self.estimator} with L = "
            f"{arrows.L}: mean ({g1:.2f}, {g2:.2f}), exact ({e1:.2f}, {e2:.2f}), noise {arrows.noise:.3g}."
        )

    def _call(self) -> str:
        given = f"estimator={self.estimator!r}, mean=({self.m1:.4g}, {self.m2:.4g}), scale={self.scale:.4g}"
        return f"ArrowExplorer({given}, L={self.L}, seed={self.seed}, draws={self._arrows.count})"
