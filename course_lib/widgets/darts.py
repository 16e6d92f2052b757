"""`RejectionExplorer`: darts under an envelope that can be moved, in a notebook."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import traitlets as t
from torch import Tensor

from course_lib.energies import DoubleWell, Gaussian, GaussianMixture, Landscape, Moved, StudentT
from course_lib.sampling import throw
from course_lib.sampling.direct import Darts, log_density
from course_lib.widgets.panel import MOST_SEED, Panel, as_floats, module, number, one_of, slider, whole

BLOCK = 1000  # darts are thrown by the block, so that the same seed gives the same darts at every speed
SHOWN = 2500  # darts that stay on the picture
MOST = 2_000_000
BINS, POINTS = 60, 481
PROPOSALS = {"normal": lambda: Gaussian([0.0]), "Student t, 3 df": lambda: StudentT(3.0, 1)}
SCALES, SPEEDS = (0.2, 6.0), (10, 30, 100, 300, 1000, 3000, 10000, 30000)


def targets() -> dict[str, Landscape]:
    """What the chooser offers: two that a normal envelope can cover, and one that it cannot."""
    return {
        "two peaks": GaussianMixture([[-1.5], [1.0]], 0.5, [0.35, 0.65]),
        "double well": DoubleWell(barrier=2.0, half_width=1.4, dim=1),
        "Student t, 2 df": StudentT(2.0, 1),
    }


class Board:
    """A 1-D target, an envelope k q, and the darts thrown so far. No widget in sight."""

    def __init__(
        self, target: Landscape, proposal: Landscape, log_k: float, box: tuple[float, float], seed: int
    ):
        self.target, self.proposal, self.log_k, self.box = target, proposal, log_k, box
        self.generator = torch.Generator().manual_seed(seed)
        self.thrown = self.hits = self.over = 0
        self.counts = torch.zeros(BINS, dtype=torch.long)
        self.recent = self.new = Darts(*(torch.zeros(0) for _ in range(3)))
        self._block, self._used = None, BLOCK
        self.x = torch.linspace(*box, POINTS)
        self.p, self.kq = (part.exp() for part in self._logs(self.x))
        # The truth by quadrature, on points that lie ever wider apart, so that far tails count as well.
        steps = torch.linspace(-9, 9, 6001, dtype=torch.float64)
        log_p, log_kq = self._logs(steps.sinh())
        self.z = torch.trapezoid(log_p.exp() * steps.cosh(), steps).item()
        under = torch.trapezoid(torch.minimum(log_p, log_kq).exp() * steps.cosh(), steps).item()
        self.lost = max(0.0, 1 - under / self.z)  # the share of p that lies above the envelope
        self.expected = under / math.exp(log_k)  # Z_p / k where the envelope holds

    def _logs(self, x: Tensor) -> tuple[Tensor, Tensor]:
        rows = x[:, None]
        return -self.target(rows).double(), log_density(self.proposal, rows).double() + self.log_k

    def throw(self, count: int) -> None:
        """`count` more darts, by the library's `throw`."""
        parts, left = [], count
        if count < 1:
            return
        while left > 0:
            if self._used == BLOCK:
                self._block, self._used = self._fresh(), 0
            take = min(left, BLOCK - self._used)
            parts.append([part[self._used : self._used + take] for part in self._block])
            self._used, left = self._used + take, left - take
        new = Darts(*(torch.cat(part) for part in zip(*parts, strict=True)))
        self.thrown += count
        self.hits += int(new.hit.sum())
        self.over += int((new.log_ratio > 1e-5).sum())
        self.counts += torch.histc(new.x[new.hit, 0], BINS, *self.box).long()
        self.new = Darts(*(part[-SHOWN:] for part in new))
        old = self.recent if self.recent.x.dim() == 2 else Darts(*(part[:0] for part in new))
        self.recent = Darts(*(torch.cat(pair)[-SHOWN:] for pair in zip(old, self.new, strict=True)))

    def _fresh(self) -> Darts:
        return throw(lambda x: -self.target(x), self.proposal, self.log_k, BLOCK, generator=self.generator)

    def smallest_log_k(self) -> float:
        """The smallest log k whose envelope holds, by a fine grid; ValueError where none does."""
        far = torch.linspace(-9, 9, 2001, dtype=torch.float64).sinh()
        x = torch.cat([far, torch.linspace(*self.box, 6001, dtype=torch.float64)]).sort().values
        log_p, log_kq = self._logs(x)
        ratio = log_p - log_kq + self.log_k
        if int(ratio.argmax()) in (0, len(x) - 1):
            raise ValueError(
                "no k is large enough: far out, p~ / q grows without end. "
                "Choose a proposal that is wider than the target, or one with heavier tails"
            )
        return ratio.max().item() + 1e-4


class RejectionExplorer(Panel):
    """Rejection sampling in one dimension: drag the envelope, watch the darts.

    Drag the top of the envelope k q sideways (its mean) and up and down (k), the second handle for its width.
    Darts below p~ are kept and fill the histogram; a share Z_p / k of them is, the ratio of the two areas.
    Where p~ stands out above the envelope, that part is marked, and the histogram goes wrong.

    Args:
        target: a 1-D landscape, or a mapping from names to landscapes; three of them where None.
        mean, scale: of the proposal q.
        k: area under the envelope; a quarter more than the smallest that holds, where None.
        proposal: "normal" or "Student t, 3 df".
        box: `(xmin, xmax)` of the picture.
        seed: of the darts. The same seed gives the same darts.
        darts: thrown before the picture appears.
        speed: darts per second.

    Raises:
        ValueError: a target that is not 1-D, settings outside their limits.
    """

    SETTINGS = ("target", "proposal", "mean", "scale", "k", "seed")
    ACTIONS = ("tighten",)
    _esm = module("darts.js")

    target = t.Unicode().tag(sync=True)
    proposal = t.Unicode("normal").tag(sync=True)
    mean = t.Float(0.0).tag(sync=True)
    scale = t.Float(2.0).tag(sync=True)
    k = t.Float(1.0).tag(sync=True)

    def __init__(
        self,
        target: Landscape | Mapping[str, Landscape] | None = None,
        *,
        mean: float = 0.0,
        scale: float = 1.6,
        k: float | None = None,
        proposal: str = "normal",
        box: tuple[float, float] = (-6.0, 6.0),
        seed: int = 0,
        darts: int = 400,
        speed: int = 300,
    ):
        self._targets = _named(target)
        if not (len(box) == 2 and math.isfinite(box[1] - box[0]) and box[0] < box[1]):
            raise ValueError(f"box must be (xmin, xmax) with xmin < xmax, but it is {tuple(box)}")
        self._box, self._darts = (
            (float(box[0]), float(box[1])),
            whole(darts, 0, MOST, "darts is a number of darts"),
        )
        self._limits = {"mean": self._box, "scale": SCALES, "k": (0.1, 100.0)}
        first = next(iter(self._targets))
        settings = {"target": first, "proposal": proposal, "mean": mean, "scale": scale, "seed": seed}
        settings = {name: self._check(name, value) for name, value in settings.items()}
        if k is None:
            log_k = self._board(**settings, k=1.0).smallest_log_k()
            k = float(f"{1.25 * math.exp(log_k):.3g}")
        view = {
            "box": list(self._box),
            "targets": list(self._targets),
            "proposals": list(PROPOSALS),
            "sliders": [
                slider("mean", "mean of q", *self._limits["mean"]),
                slider("scale", "width of q", *SCALES, log=True),
                slider("k", "k, its area", *self._limits["k"], log=True),
            ],
            "speeds": list(SPEEDS),
            "speed": min(SPEEDS, key=lambda s: abs(s - speed)),
            "most": MOST,
        }
        super().__init__(**settings, k=k, view=view)

    # ---- from Python

    @property
    def accepted(self) -> int:
        return self._board_now.hits

    @property
    def thrown(self) -> int:
        return self._board_now.thrown

    @property
    def acceptance(self) -> float:
        """Accepted over thrown; NaN before the first dart."""
        return self.accepted / self.thrown if self.thrown else math.nan

    @property
    def log_z(self) -> float:
        """The evidence as a by-product: log of k times the acceptance."""
        return math.log(self.k * self.acceptance) if self.accepted else -math.inf

    def tighten(self) -> None:
        """Set k to the smallest value whose envelope holds."""
        log_k = self._board_now.smallest_log_k()
        if not self._limits["k"][0] <= math.exp(min(log_k, 50.0)) <= self._limits["k"][1]:
            raise ValueError(f"the smallest k that holds is {math.exp(min(log_k, 50.0)):.3g}: widen q first")
        self.set(k=math.exp(log_k))

    # ---- a panel

    def _check(self, name: str, value):
        if name in ("target", "proposal"):
            return one_of(value, self._targets if name == "target" else PROPOSALS, f"the {name}")
        if name == "seed":
            return whole(value, 0, MOST_SEED, "seed is a whole number")
        what = {
            "mean": "mean of q, inside the picture",
            "scale": "scale, the width of q",
            "k": "k, the area of k q",
        }
        return number(value, *self._limits[name], what[name])

    def _board(self, target, proposal, mean, scale, k, seed) -> Board:
        q = Moved(PROPOSALS[proposal](), [mean], scale)
        return Board(self._targets[target], q, math.log(k), self._box, seed)

    def _begin(self) -> None:
        self._board_now = self._board(**{name: getattr(self, name) for name in self.SETTINGS})
        self._board_now.throw(self._darts)

    def _more(self, count: int) -> None:
        if self.thrown + count > MOST:
            raise ValueError(f"{MOST:,} darts are enough; reset to begin again")
        self._board_now.throw(count)

    def _pace(self) -> int:
        return 40

    def _picture(self) -> tuple[dict, list[bytes]]:
        board = self._board_now
        curves = torch.stack([board.p, board.kq])
        return {"fresh": True, **self._facts()}, [*_encode(board.recent), self._counts(), as_floats(curves)]

    def _news(self) -> tuple[dict, list[bytes]]:
        return {"fresh": False, **self._facts()}, [*_encode(self._board_now.new), self._counts()]

    def _counts(self) -> bytes:
        return as_floats(self._board_now.counts)

    def _facts(self) -> dict:
        board = self._board_now
        return {
            "thrown": board.thrown,
            "hits": board.hits,
            "expected": board.expected,
            "z": board.z,
            "lost": board.lost,
            "over": board.over,
        }

    def _words(self) -> str:
        board, area = self._board_now, self._board_now.z
        words = [
            f"Rejection sampling of {self.target}, area {area:.3g}, under the envelope k q with "
            f"k = {self.k:.3g} and q a {self.proposal} of mean {self.mean:.3g} and width {self.scale:.3g}."
        ]
        if board.thrown:
            words.append(
                f"{board.thrown} darts thrown, {board.hits} accepted, a share of {self.acceptance:.3f}; "
                f"expected {board.expected:.3f}."
            )
        x = board.x[board.p > board.kq * (1 + 1e-5)]
        if len(x):
            words.append(
                f"The envelope is exceeded between x = {x[0]:.2f} and {x[-1]:.2f}: "
                f"{board.lost:.1%} of the target lie above it and are never drawn."
            )
        return " ".join(words)

    def _call(self) -> str:
        given = [f"mean={self.mean:.4g}", f"scale={self.scale:.4g}", f"k={self.k:.5g}"]
        given += [f"proposal={self.proposal!r}"] if self.proposal != "normal" else []
        return f"RejectionExplorer(target, {', '.join(given)}, seed={self.seed}, darts={self.thrown})"


def _named(target) -> dict[str, Landscape]:
    if target is None:
        return targets()
    named = dict(target) if isinstance(target, Mapping) else {type(target).__name__: target}
    for name, one in named.items():
        if not callable(one) or getattr(one, "dim", None) != 1:
            dim = getattr(one, "dim", None)
            raise ValueError(f"darts need a 1-D landscape as target, but {name} has dim={dim}")
    if not named:
        raise ValueError("darts need at least one target")
    return named


def _encode(darts: Darts) -> list[bytes]:
    """x, the height as a share of the envelope, and 1 where the dart hit."""
    return [as_floats(part) for part in (darts.x.flatten(), darts.log_height.exp(), darts.hit.float())]
