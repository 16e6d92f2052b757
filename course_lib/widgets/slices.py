"""`QuantileExplorer`: uniform numbers on their way through a distribution function, in a notebook."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
import traitlets as t
from torch import Tensor

from course_lib.energies import DoubleWell
from course_lib.sampling import inverse_cdf, tabulate_quantile
from course_lib.widgets.panel import MOST_SEED, Panel, as_floats, module, number, one_of, slider, whole

POINTS, BINS, MOST, MOST_NEW = 401, 60, 2_000_000, 200
SPEEDS = (2, 5, 10, 30, 100, 300, 1000, 3000, 10000)

Density = Callable[[Tensor], Tensor]


def densities() -> dict[str, tuple[Density, tuple[float, float]]]:
    """What the chooser offers: unnormalised densities `[G] -> [G]`, each with the interval that holds it."""
    well = DoubleWell(barrier=3.0, half_width=1.5, dim=1).to(torch.float64)
    return {
        "double well": (lambda x: (-well(x[:, None])).exp(), (-3.0, 3.0)),
        "exponential": (lambda x: (-x).exp(), (0.0, 8.0)),
        "normal": (lambda x: (-x.square() / 2).exp(), (-5.0, 5.0)),
        "triangle": (lambda x: (1 - x.abs()).clamp(min=0), (-1.2, 1.2)),
    }


class Way(NamedTuple):
    """Uniform numbers `[n]` and where they end up, `[n]`."""

    u: Tensor
    y: Tensor


class Passage:
    """A density, its quantile function, and the draws made so far. No widget in sight."""

    def __init__(self, density: Density, interval: tuple[float, float], seed: int):
        self.interval = interval
        grid = torch.linspace(*interval, 4 * (POINTS - 1) + 1, dtype=torch.float64)
        self.quantile = tabulate_quantile(density, grid)
        p = density(grid)
        mass = torch.cat([p.new_zeros(1), torch.cumulative_trapezoid(p, grid)])
        self.x, self.p, self.h = grid[::4], (p / mass[-1])[::4], (mass / mass[-1])[::4]
        self.generator = torch.Generator().manual_seed(seed)
        self.counts, self.draws = torch.zeros(BINS, dtype=torch.long), 0
        self.new = Way(torch.zeros(0), torch.zeros(0))

    def draw(self, count: int) -> None:
        """`count` more draws, by the library's `inverse_cdf`, while we look at the u that it uses."""
        seen: list[Tensor] = []

        def quantile(u: Tensor) -> Tensor:
            seen.append(u)
            return self.quantile(u)

        y = inverse_cdf(quantile, count, generator=self.generator)
        self.new = Way(torch.cat(seen)[-MOST_NEW:], y[-MOST_NEW:])
        self.counts += torch.histc(y, BINS, *self.interval).long()
        self.draws += count

    def point(self, u: float) -> tuple[float, float]:
        """Where u ends up, and the density there."""
        y = self.quantile(torch.tensor([u], dtype=torch.float64))
        step = (self.x[1] - self.x[0]).item()
        at = ((y - self.x[0]) / step).clamp(0, len(self.x) - 1.001)
        low = at.long()
        share = at - low
        return y.item(), (self.p[low] * (1 - share) + self.p[low + 1] * share).item()

    def edges(self, slices: int) -> Tensor:
        """`[slices + 1]`: the images of equal slices of (0, 1)."""
        return self.quantile(torch.linspace(0, 1, slices + 1, dtype=torch.float64))


class QuantileExplorer(Panel):
    """Inverse CDF in one picture: u on the left, y = h^-1(u) below.

    Drag u; play to let uniform numbers rain through the curve. Equal slices of u end up as strips of equal
    area under the density: narrow where it is high, wide where it is low, which is p(y) = |du/dy|.

    Args:
        density: a mapping from names to `(density, (low, high))`, with density `[G] -> [G]` >= 0 on the
            interval; it need not be normalised. Four of them where None.
        u: the number that is followed, in [0.001, 0.999].
        slices: how many equal slices of (0, 1) are drawn, 2 to 40.
        seed: of the draws. The same seed gives the same draws.
        draws: made before the picture appears.
        speed: draws per second.

    Raises:
        ValueError: settings outside their limits, or a density that is none.
    """

    SETTINGS = ("density", "u", "slices", "seed")
    _esm = module("slices.js")

    density = t.Unicode().tag(sync=True)
    u = t.Float(0.3).tag(sync=True)
    slices = t.Int(12).tag(sync=True)

    _fresh, _drawn_with = True, None  # with what the draws were made, and whether to make them anew

    def __init__(
        self,
        density: Mapping[str, tuple[Density, tuple[float, float]]] | None = None,
        *,
        u: float = 0.3,
        slices: int = 12,
        seed: int = 0,
        draws: int = 300,
        speed: int = 10,
    ):
        self._densities = densities() if density is None else dict(density)
        if not self._densities:
            raise ValueError("a quantile explorer needs at least one density")
        self._draws = whole(draws, 0, MOST, "draws is a number of draws")
        view = {
            "densities": list(self._densities),
            "sliders": [slider("u", "u", 0.001, 0.999), slider("slices", "slices of u", 2, 40, digits=0)],
            "speeds": list(SPEEDS),
            "speed": min(SPEEDS, key=lambda s: abs(s - speed)),
        }
        super().__init__(density=next(iter(self._densities)), u=u, slices=slices, seed=seed, view=view)

    @property
    def draws(self) -> int:
        return self._passage.draws

    def _check(self, name: str, value):
        if name == "density":
            return one_of(value, self._densities, "the density")
        if name == "u":
            return number(value, 0.001, 0.999, "u is a number inside (0, 1)")
        if name == "slices":
            return whole(value, 2, 40, "slices is how many equal parts of (0, 1) are drawn")
        return whole(value, 0, MOST_SEED, "seed is a whole number")

    def _begin(self) -> None:
        """Another u or another number of slices leaves the draws as they are."""
        now = (self.density, self.seed)
        if self._drawn_with != now or self._fresh:
            density, interval = self._densities[self.density]
            self._passage, self._drawn_with = Passage(density, interval, self.seed), now
            self._passage.draw(self._draws)
        self._fresh = False

    def _restart(self) -> None:
        self._fresh = True
        super()._restart()

    def _more(self, count: int) -> None:
        if self.draws + count > MOST:
            raise ValueError(f"{MOST:,} draws are enough; reset to begin again")
        self._passage.draw(count)

    def _pace(self) -> int:
        return 2

    def _picture(self) -> tuple[dict, list[bytes]]:
        passage, (header, buffers) = self._passage, self._news()
        curves = torch.stack([passage.x, passage.p, passage.h])
        return header | {"fresh": True}, [*buffers, as_floats(curves), as_floats(passage.edges(self.slices))]

    def _news(self) -> tuple[dict, list[bytes]]:
        passage = self._passage
        y, p = passage.point(self.u)
        header = {"fresh": False, "draws": passage.draws, "y": y, "p": p, "interval": list(passage.interval)}
        return header, [as_floats(passage.new.u), as_floats(passage.new.y), as_floats(passage.counts)]

    def _words(self) -> str:
        y, p = self._passage.point(self.u)
        return (
            f"The distribution function of {self.density} takes y = {y:.3g} to u = {self.u:.3g}; the density "
            f"there is {p:.3g}, so a slice du ends up {1 / max(p, 1e-9):.3g} times as wide. "
            f"{self.slices} equal slices are drawn, and a histogram of {self.draws} draws."
        )

    def _call(self) -> str:
        given = f"u={self.u:.4g}, slices={self.slices}, seed={self.seed}, draws={self.draws}"
        return f"QuantileExplorer(density, {given})"
