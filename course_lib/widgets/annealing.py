"""`AnnealingExplorer`: particles on a landscape that grows out of an easy one, and the account they keep."""

from __future__ import annotations

import pathlib

import anywidget
import torch
import traitlets as t
from torch import Tensor

from course_lib.energies import Bridge, Gaussian, ring
from course_lib.energies.base import Box
from course_lib.sampling import HMC, Annealed
from course_lib.widgets import annealing_replay, annealing_run, annealing_words, picture, settings
from course_lib.widgets.annealing_run import SCHEDULES, Truth, anneal

HERE = pathlib.Path(__file__).parent
GRID = 120  # points along each side of the picture
LIMITS = {
    "temperatures": (1, 200),
    "step_size": (0.01, 2.0),
    "n_leapfrog": (1, 50),
    "n": (10, 500),
    "seed": (0, 2**31 - 1),
    "speed": (1, 60),  # temperatures per second
}
SETTABLE = annealing_words.SETTABLE


class BadSetting(t.TraitError, ValueError):
    """A ValueError that traitlets also knows, so that a bad value from the browser is taken back."""


class AnnealingExplorer(anywidget.AnyWidget):
    """Annealed importance sampling to watch: landscape, particles and weights at every temperature.

    Each run is one call of `sampling.ais` with all populations kept, so scrubbing through the temperatures
    asks nothing of the kernel; only another setting does. Heavy particles are large. Beside the landscape:
    the schedule, the effective sample size, log Z against the truth (by quadrature), and the weights.

    Args:
        bridge: a 2-D path of landscapes; from a normal density of standard deviation 3 to a ring of eight
            wells where None.
        temperatures: T, transitions from beta = 0 to 1, 1 to 200.
        schedule: "linear", "sigmoid" or "geometric".
        step_size, n_leapfrog: of HMC, the same at every temperature (step sizes with a jitter of .3).
        resample: resample when the effective sample size falls below half of n.
        n: particles, 10 to 500.
        seed: the same seed gives the same bits.
        box: `(xmin, xmax, ymin, ymax)` of the picture.
        at: the temperature that is shown, 0 to T; the last one where None.
        speed: temperatures per second when it plays.
        name: of the target, for the description.

    Raises:
        ValueError: a bridge that is not 2-D, or a setting outside its limits.
    """

    _esm = HERE / "annealing.js"
    _css = t.Unicode("").tag(sync=True)

    temperatures = t.Int(20).tag(sync=True)
    schedule = t.Unicode("linear").tag(sync=True)
    step_size = t.Float(0.25).tag(sync=True)
    n_leapfrog = t.Int(10).tag(sync=True)
    resample = t.Bool(False).tag(sync=True)
    n = t.Int(200).tag(sync=True)
    seed = t.Int(0).tag(sync=True)
    at = t.Int(0).tag(sync=True)
    speed = t.Float(8.0).tag(sync=True)

    view = t.Dict().tag(sync=True)  # what never changes: box, limits, how numbers are packed
    grids = t.Bytes(b"").tag(sync=True)
    colours = t.Bytes(b"").tag(sync=True)
    run = t.Int(0).tag(sync=True)  # counts the runs; the next three belong to it
    points = t.Bytes(b"").tag(sync=True)
    shares = t.Bytes(b"").tag(sync=True)
    curves = t.Bytes(b"").tag(sync=True)
    alt = t.Unicode("").tag(sync=True)
    code = t.Unicode("").tag(sync=True)

    def __init__(
        self,
        bridge: Bridge | None = None,
        *,
        temperatures: int = 20,
        schedule: str = "linear",
        step_size: float = 0.25,
        n_leapfrog: int = 10,
        resample: bool = False,
        n: int = 200,
        seed: int = 0,
        box: Box | None = None,
        at: int | None = None,
        speed: float = 8.0,
        name: str = "",
    ):
        if bridge is None:
            bridge, name = Bridge.between(Gaussian([0.0, 0.0], 9.0), ring(8, radius=4.0, scale=0.3)), "ring"
            box = (-7.0, 7.0, -7.0, 7.0) if box is None else box
        if not isinstance(bridge, Bridge) or bridge.dim != 2:
            raise ValueError(
                "an annealing explorer shows a 2-D Bridge, such as Bridge.between(Gaussian([0., 0.], 9.), "
                f"ring()), but it got {type(bridge).__name__} of dim {getattr(bridge, 'dim', None)}"
            )
        self.bridge, self._name = bridge, name or type(getattr(bridge, "target", bridge.delta)).__name__
        self._box, self._truth = settings.check_box(bridge.base, box), Truth(bridge)
        base, delta = annealing_run.grids(bridge, self._box, GRID)
        self._syncing, self._part = True, 1.0
        super().__init__(
            _css=style(),
            temperatures=temperatures,
            schedule=schedule,
            step_size=step_size,
            n_leapfrog=n_leapfrog,
            resample=resample,
            n=n,
            seed=seed,
            speed=speed,
            view=self._view(base, delta, GRID),
            grids=torch.stack([base, delta]).numpy().tobytes(),
            colours=picture.colour_table("viridis"),
        )
        self._anneal()
        self._syncing = False
        self.at = self.temperatures if at is None else at

    # ---- from Python

    @property
    def betas(self) -> Tensor:
        """The inverse temperatures `[T + 1]`."""
        return annealing_run.schedule(self.schedule, self.temperatures)

    @property
    def kernel(self) -> HMC:
        """The transition at every temperature: what to hand to `sampling.ais`."""
        return HMC(self.step_size, self.n_leapfrog, jitter=annealing_run.JITTER)

    @property
    def result(self) -> Annealed:
        """What `sampling.ais` returned for the present settings, every population kept."""
        return self._result

    def replay(self) -> None:
        """Display this run as a short stored animation: it plays with no kernel and no network."""
        from IPython.display import display

        display(annealing_replay.bundle(self), raw=True)

    def replay_page(self) -> str:
        """The same animation as one HTML page of at most 200 kB."""
        return annealing_replay.page(self)

    def __repr__(self) -> str:
        return self.code

    def _repr_mimebundle_(self, **kwargs):
        shown = super()._repr_mimebundle_(**kwargs)
        if shown:
            (shown[0] if isinstance(shown, tuple) else shown)["text/plain"] = self.alt
        return shown

    # ---- settings: sliders and Python alike

    @t.validate(*SETTABLE, "at", "speed")
    def _check(self, proposal):
        name, value = proposal.trait.name, proposal.value
        if name == "schedule":
            if value not in SCHEDULES:
                raise BadSetting(f"the schedules are {', '.join(SCHEDULES)}, but it is {value!r}")
        elif name != "resample":
            low, high = (LIMITS | {"at": (0, self.temperatures)})[name]
            if not low <= value <= high:
                raise BadSetting(f"{name} is from {low} to {high}, but it is {value}")
        return value

    @t.observe(*SETTABLE)
    def _changed(self, change) -> None:
        if not self._syncing:
            self._anneal()

    @t.observe("at")
    def _looked(self, change) -> None:
        if not self._syncing:
            self._part = self.at / self.temperatures  # of the way, kept when T changes

    def _anneal(self) -> None:
        """Anneal with the settings as they are, and show it at about the temperature shown before."""
        betas, syncing = self.betas, self._syncing
        self._result, self._frames = anneal(self.bridge, self.n, betas, self.kernel, self.resample, self.seed)
        truth = self._truth.at(betas)
        known = getattr(getattr(self.bridge, "target", None), "log_z", None)
        if known is not None:
            truth[-1] = known
        self._log_z_truth = truth
        self._syncing = True
        with self.hold_sync():
            self.at = round(self._part * self.temperatures)
            self.points = picture.quantise(self._frames.x.double().cpu().numpy(), wide(self._box))
            self.shares = annealing_run.as_shares(self._frames.log_share)
            self.curves = annealing_run.as_curves(self._frames, truth)
            self.alt, self.code = annealing_words.describe(self), annealing_words.experiment(self)
            self.run += 1
        self._syncing = syncing

    # ---- for the browser

    def _view(self, base: Tensor, delta: Tensor, size: int) -> dict:
        """What the browser has to know and what never changes, as JSON."""
        target = base + delta
        heights = (target - target.min()).flatten()
        return {
            "name": self._name,
            "box": list(self._box),
            "wide": wide(self._box),
            "size": size,
            "top": min(max(heights.quantile(0.9).item(), 0.5), picture.BRIGHTEST),
            "sigmas": list(picture.SIGMAS),
            "shares": [annealing_run.LIGHTEST, annealing_run.HEAVIEST],
            "schedules": list(SCHEDULES),
            "limits": {name: list(ends) for name, ends in LIMITS.items()},
        }


def style() -> str:
    """The look of all explorers, and what this one adds."""
    return (HERE / "landscape.css").read_text("utf-8") + (HERE / "annealing.css").read_text("utf-8")


def wide(box: Box) -> list[float]:
    """The box with a rim: what leaves the picture is not pinned to its edge."""
    x, y = (box[1] - box[0]) / 4, (box[3] - box[2]) / 4
    return [box[0] - x, box[1] + x, box[2] - y, box[3] + y]
