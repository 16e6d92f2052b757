"""`ImportanceExplorer`: draws of a proposal that can be moved, each as large as its weight, in a notebook."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import traitlets as t
from torch import Tensor

from course_lib.energies import Banana, Gaussian, Landscape, Moved, StudentT, ring
from course_lib.sampling import Weighted, grid_log_z, importance
from course_lib.widgets import picture
from course_lib.widgets.panel import MOST_SEED, Panel, as_floats, module, number, one_of, slider, whole

MOST_SHOWN, MOST = 2000, 400_000  # draws on the picture, draws in all
BINS, MARKS = 48, 160  # of the histogram, of the running estimate
LOW_LOG_W = -20.0  # nats below the mean weight where the histogram ends
PROPOSALS = {"normal": lambda: Gaussian([0.0, 0.0]), "Student t, 3 df": lambda: StudentT(3.0, 2)}
SCALES, SPEEDS = (0.15, 8.0), (500, 2000, 5000, 20_000, 50_000)


def targets() -> dict[str, Landscape]:
    """What the chooser offers: a bent valley, separate valleys, heavy tails."""
    return {
        "banana": Banana(0.8),
        "ring": ring(6, radius=3.0, scale=0.5),
        "Student t, 3 df": StudentT(3.0, 2),
    }


class Cloud:
    """A target, a proposal, and all draws so far. No widget in sight."""

    def __init__(self, target: Landscape, proposal: Landscape, n: int, seed: int, log_z: float):
        self.target, self.proposal, self.n, self.log_z = target, proposal, n, log_z
        self.generator = torch.Generator().manual_seed(seed)
        self.log_w = torch.zeros(0, dtype=torch.float64)
        self.draw(1)

    def draw(self, batches: int) -> None:
        """`batches` times n more draws, by the library's `importance`; the last n of them are shown."""
        drawn = [self._batch() for _ in range(batches)]
        self.shown = drawn[-1]
        log_w = torch.cat([self.log_w, *(one.log_w for one in drawn)])
        if not log_w.isfinite().any():
            raise ValueError("no draw of the proposal fell where the target has any density: move or widen q")
        self.log_w = log_w

    def _batch(self) -> Weighted:
        return importance(lambda x: -self.target(x), self.proposal, self.n, generator=self.generator)

    @property
    def all(self) -> Weighted:
        """The weights of all draws; their places are not kept."""
        return Weighted(self.shown.x, self.log_w)

    @property
    def relative_error(self) -> float:
        """Standard error of the estimate of Z, as a share of it; what the weights themselves say."""
        n, ess = len(self.log_w), self.all.weight_ess.item()
        return math.sqrt(max(0.0, 1 / ess - 1 / n))

    def running(self) -> tuple[Tensor, Tensor]:
        """The estimate of log Z after 10, ... all draws: `(draws [M], log Z [M])`."""
        n = len(self.log_w)
        at = torch.logspace(1, math.log10(n), MARKS, dtype=torch.float64).round().long().clamp(1, n).unique()
        return at, self.log_w.logcumsumexp(0)[at - 1] - at.double().log()

    def histogram(self) -> Tensor:
        """Counts of log(w / mean w) in `BINS` bins from `LOW_LOG_W` up to the log of their number."""
        relative = self.log_w - self.all.log_z
        top = math.log(MOST)
        return torch.histc(relative.clamp(LOW_LOG_W, top), BINS, LOW_LOG_W, top)


class ImportanceExplorer(Panel):
    """Importance sampling in the plane: drag the proposal, watch the weights.

    The area of a particle is its weight. Drag the proposal and its width, and see what share of the draws
    is left (the effective sample size), whether the tail of the weights can be trusted (Pareto k), and how
    the estimate of log Z settles, or jumps.

    Args:
        target: a 2-D landscape, or a mapping from names to landscapes; three of them where None.
        centre: `(x1, x2)` of the proposal.
        scale: of the proposal.
        proposal: "normal" or "Student t, 3 df".
        n: particles of a batch, 25 to 2,000.
        box: `(xmin, xmax, ymin, ymax)` of the picture.
        seed: of the draws. The same seed gives the same draws, moved along with the proposal.
        batches: drawn before the picture appears.
        speed: draws per second.

    Raises:
        ValueError: a target that is not 2-D, settings outside their limits.
    """

    SETTINGS = ("target", "proposal", "x1", "x2", "scale", "n", "seed")
    _esm = module("weights.js")

    target = t.Unicode().tag(sync=True)
    proposal = t.Unicode("normal").tag(sync=True)
    x1 = t.Float(0.0).tag(sync=True)
    x2 = t.Float(0.0).tag(sync=True)
    scale = t.Float(1.0).tag(sync=True)
    n = t.Int(400).tag(sync=True)
    colours = t.Bytes(b"").tag(sync=True)

    def __init__(
        self,
        target: Landscape | Mapping[str, Landscape] | None = None,
        *,
        centre: tuple[float, float] = (0.0, 0.0),
        scale: float = 1.0,
        proposal: str = "normal",
        n: int = 400,
        box: tuple[float, float, float, float] = (-6.0, 6.0, -4.0, 8.0),
        seed: int = 0,
        batches: int = 1,
        speed: int = 5000,
    ):
        self._targets = _named(target)
        box = tuple(float(side) for side in box)
        if len(box) != 4 or not all(map(math.isfinite, box)) or not (box[0] < box[1] and box[2] < box[3]):
            raise ValueError(f"box must be (xmin, xmax, ymin, ymax) with min < max, but it is {box}")
        if len(tuple(centre)) != 2:
            raise ValueError(f"centre is a point (x1, x2), but it is {centre!r}")
        self._box, self._batches = box, whole(batches, 1, 10_000, "batches is a number of batches")
        self._limits = {"x1": box[:2], "x2": box[2:], "scale": SCALES}
        self._truth, self._grounds = {}, {}
        view = {
            "box": list(box),
            "targets": list(self._targets),
            "proposals": list(PROPOSALS),
            "sliders": [
                slider("scale", "width of q", *SCALES, log=True),
                slider("n", "particles", 25, MOST_SHOWN, log=True, digits=0),
            ],
            "speeds": list(SPEEDS),
            "speed": min(SPEEDS, key=lambda s: abs(s - speed)),
            "most": MOST,
            "weights": [LOW_LOG_W, math.log(MOST)],
        }
        settings = {
            "target": next(iter(self._targets)),
            "proposal": proposal,
            "scale": scale,
            "n": n,
            "seed": seed,
        }
        settings |= {"x1": centre[0], "x2": centre[1]}
        super().__init__(**settings, view=view, colours=picture.colour_table("viridis"))

    # ---- from Python

    @property
    def weighted(self) -> Weighted:
        """The draws on the picture with their log-weights."""
        return self._cloud.shown

    @property
    def draws(self) -> int:
        return len(self._cloud.log_w)

    @property
    def log_z(self) -> float:
        """The estimate from all draws so far."""
        return self._cloud.all.log_z.item()

    # ---- a panel

    def _check(self, name: str, value):
        if name in ("target", "proposal"):
            return one_of(value, self._targets if name == "target" else PROPOSALS, f"the {name}")
        if name == "seed":
            return whole(value, 0, MOST_SEED, "seed is a whole number")
        if name == "n":
            return whole(value, 25, MOST_SHOWN, "n is the number of particles")
        what = "scale, the width of q" if name == "scale" else f"{name} of the proposal, inside the picture"
        return number(value, *self._limits[name], what)

    def _begin(self) -> None:
        q = Moved(PROPOSALS[self.proposal](), [self.x1, self.x2], self.scale)
        self._cloud = Cloud(self._targets[self.target], q, self.n, self.seed, self._log_z(self.target))
        if self._batches > 1:
            self._cloud.draw(self._batches - 1)

    def _log_z(self, name: str) -> float:
        """The truth: what the landscape knows, else a sum over a grid that is three pictures wide."""
        if name not in self._truth:
            target, (a, b, c, d) = self._targets[name], self._box
            known = getattr(target, "log_z", None)
            wide = [2 * a - b, 2 * c - d], [2 * b - a, 2 * d - c]
            self._truth[name] = grid_log_z(target, *wide, 601) if known is None else known
        return self._truth[name]

    def _more(self, count: int) -> None:
        """About `count` more draws, by whole batches."""
        batches = max(1, round(count / self.n))
        if self.draws + batches * self.n > MOST:
            raise ValueError(f"{MOST:,} draws are enough; reset to begin again")
        self._cloud.draw(batches)

    def _pace(self) -> int:
        return 4 * self.n

    def _picture(self) -> tuple[dict, list[bytes]]:
        """With the landscape: its grid and its contours travel when a target is first shown, or anew."""
        ground = self._ground(self.target)
        land = {name: getattr(ground, name) for name in ("size", "top", "height", "counts")}
        header, buffers = self._news()
        return {**header, "fresh": True, "land": land}, [*buffers, ground.grid, ground.contours]

    def _ground(self, name: str) -> picture.Background:
        if name not in self._grounds:
            self._grounds[name] = picture.background(self._targets[name], self._box, 120)
        return self._grounds[name]

    def _news(self) -> tuple[dict, list[bytes]]:
        cloud = self._cloud
        every, shown = cloud.all, cloud.shown
        at, running = cloud.running()
        size = shown.log_w - shown.log_w.max()
        facts = {
            "fresh": False,
            "draws": self.draws,
            "share": every.weight_ess.item() / self.draws,
            "shown_ess": shown.weight_ess.item(),
            "largest": every.log_w.softmax(0).max().item(),
            "log_z": every.log_z.item(),
            "error": cloud.relative_error,
            "truth": cloud.log_z,
        }
        parts = (shown.x, size, every.pareto_k, cloud.histogram(), at.double(), running)
        return facts, [as_floats(part) for part in parts]

    def _words(self) -> str:
        every, cloud = self._cloud.all, self._cloud
        k, ess = every.pareto_k.item(), every.weight_ess.item()
        verdict = "no warning" if k < 0.5 else "in doubt" if k < 0.7 else "not to be trusted"
        return (
            f"Importance sampling of {self.target} from a {self.proposal} at ({self.x1:.2f}, {self.x2:.2f}) "
            f"of width {self.scale:.3g}; {self.n} particles whose areas are their weights. Of {self.draws} "
            f"draws in all {ess:.0f} are left effectively, {ess / self.draws:.1%}. "
            f"Pareto k {k:.2f}, {verdict}. log Z {every.log_z.item():.3f}, "
            f"plus or minus {cloud.relative_error:.3f}; the truth is {cloud.log_z:.3f}."
        )

    def _call(self) -> str:
        given = [f"centre=({self.x1:.4g}, {self.x2:.4g})", f"scale={self.scale:.4g}"]
        given += [f"proposal={self.proposal!r}"] if self.proposal != "normal" else []
        given += [f"n={self.n}", f"seed={self.seed}", f"batches={self.draws // self.n}"]
        return f"ImportanceExplorer(target, {', '.join(given)})"


def _named(target) -> dict[str, Landscape]:
    if target is None:
        return targets()
    named = dict(target) if isinstance(target, Mapping) else {type(target).__name__: target}
    for name, one in named.items():
        if not callable(one) or getattr(one, "dim", None) != 2:
            dim = getattr(one, "dim", None)
            raise ValueError(f"the plane needs a 2-D landscape as target, but {name} has dim={dim}")
    if not named:
        raise ValueError("an explorer needs at least one target")
    return named
