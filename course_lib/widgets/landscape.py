"""`LandscapeExplorer`: a 2-D landscape to watch, to drag on and to sample from, in a notebook."""

from __future__ import annotations

import pathlib
from collections import deque
from collections.abc import Sequence

import anywidget
import torch
import traitlets as t
from torch import Tensor

from course_lib.energies import Energy
from course_lib.energies.base import Box
from course_lib.sampling import HMC
from course_lib.sampling.mcmc import Kernel
from course_lib.widgets import picture, replay, settings
from course_lib.widgets.simulation import MOST_PARTICLES, Frames, Simulation

HERE = pathlib.Path(__file__).parent
MOST_FRAMES, MOST_STRIDE = 16, 20  # of one chunk
PATIENCE = 0.08  # seconds of work per chunk, so that a drag is answered soon even when a move is slow


class LandscapeExplorer(anywidget.AnyWidget):
    """Heat map and contours of a 2-D energy, and particles that a kernel of `sampling` moves on it.

    Play, pause, step one transition or one leapfrog step, reset to the same seed, scrub back; drag the start,
    click to drop particles, move step size and path length and watch the next proposal answer.

    Args:
        energy: `[C, 2] -> [C]`, nats; eight wells on a ring where None.
        kernel: any kernel of `sampling`; `HMC(step_size=.15, n_leapfrog=10)` where None.
        n: particles, 1 to 2,000.
        start: the point `[2]` around which they begin, or one point per particle `[n, 2]`; the lowest point
            of the picture where None.
        spread: standard deviation of the particles around one start point.
        box: `(xmin, xmax, ymin, ymax)`; `energies.view_box(energy)` where None.
        seed: of the particles and of their moves. The same seed gives the same bits.
        steps: moves already made when the picture appears.
        speed: moves per second.
        kernels: what the chooser offers besides `kernel`; random walk, Langevin and HMC where None.
        layers: which of "heat", "contours", "trails", "path", "rejected" are drawn.
        autoplay: start to play when seen (never where the reader asked for reduced motion).

    Raises:
        ValueError: an energy that is not 2-D, a step size <= 0, n outside 1 to 2,000, a start that is not
            finite or where the energy is not.
    """

    _esm = HERE / "landscape.js"
    _css = HERE / "landscape.css"

    seed = t.Int(0).tag(sync=True)
    n = t.Int(200).tag(sync=True)
    start = t.List([0.0, 0.0]).tag(sync=True)
    kernel_name = t.Unicode("HMC").tag(sync=True)
    step_size = t.Float(0.15).tag(sync=True)
    path_length = t.Int(10).tag(sync=True)
    followed = t.Int(0).tag(sync=True)
    speed = t.Float(15.0).tag(sync=True)
    layers = t.List(t.Unicode(), list(settings.LAYERS)).tag(sync=True)
    autoplay = t.Bool(False).tag(sync=True)

    step_count = t.Int(0).tag(sync=True)
    particles = t.Bytes(b"").tag(sync=True)
    alt = t.Unicode("").tag(sync=True)
    code = t.Unicode("").tag(sync=True)
    view = t.Dict().tag(sync=True)  # what never changes: box, energy range, valleys, limits
    grid = t.Bytes(b"").tag(sync=True)
    contours = t.Bytes(b"").tag(sync=True)
    colours = t.Bytes(b"").tag(sync=True)

    def __init__(
        self,
        energy: Energy | None = None,
        kernel: Kernel | None = None,
        *,
        n: int | None = None,
        start: Sequence[float] | Tensor | None = None,
        spread: float = 0.1,
        box: Box | None = None,
        seed: int = 0,
        steps: int = 60,
        speed: float = 15.0,
        kernels: Sequence[Kernel] | None = None,
        layers: Sequence[str] = settings.LAYERS,
        autoplay: bool = False,
    ):
        energy = settings.default_energy() if energy is None else energy
        kernel = HMC(step_size=0.15, n_leapfrog=10) if kernel is None else kernel
        settings.check_energy(energy)
        self._kernels = settings.choices(kernel, kernels)
        self._picture = picture.background(energy, settings.check_box(energy, box))
        points = settings.check_start(self._picture.start if start is None else start)
        n = settings.check_n(n if n is not None else len(points) if points.dim() == 2 else 200)
        self._energy, self._name = energy, settings.energy_name(energy)
        spread = settings.check_spread(spread)
        self._simulation = Simulation(energy, kernel, points, n, spread, settings.check_seed(seed))
        self._recent: deque[tuple[dict, list[bytes]]] = deque(maxlen=16)  # for views that come later
        self._request, self._answered, self._syncing = None, False, True
        chosen = settings.kernel_name(kernel)
        super().__init__(
            seed=int(seed),
            n=n,
            start=points.reshape(-1, 2)[0].tolist(),
            kernel_name=chosen,
            step_size=float(kernel.step_size),
            path_length=getattr(kernel, "n_leapfrog", 10),
            speed=float(speed),
            layers=list(layers),
            autoplay=autoplay,
            view=self._view(),
            grid=self._picture.grid,
            contours=self._picture.contours,
            colours=picture.colour_table("viridis"),
        )
        self._syncing = False
        self.on_msg(self._on_msg)
        self._walk(int(steps))
        self._sync()

    # ---- from Python -------------------------------------------------------------------------------------

    @property
    def kernel(self) -> Kernel:
        """The kernel as the sliders have set it: what to hand to `sampling.run`."""
        return self._simulation.kernel

    @property
    def x(self) -> Tensor:
        """Where the particles are, `[N, 2]`."""
        return self._simulation.x

    @property
    def x0(self) -> Tensor:
        """Where `reset` puts them, `[n, 2]`: what to hand to `sampling.run`."""
        return self._simulation.begin()

    def reset(self) -> None:
        """Back to the start, with the same seed."""
        self._simulation.reset()
        self._publish(fresh=True)

    def step(self, moves: int = 1) -> None:
        """Make some transitions; what is on the screen follows."""
        if moves < 1:
            raise ValueError(f"step makes one move or more, but moves is {moves}")
        self._walk(moves)
        self._publish()

    def replay(self, steps: int = 120, *, particles: int = 100, autoplay: bool = True) -> None:
        """Display a short stored animation from the start: it plays with no kernel and no network.

        steps: moves; fewer are kept where the page would be larger than 200 kB. What is on the screen of the
        explorer itself does not change.
        """
        from IPython.display import display

        display(replay.bundle(self, steps, particles, autoplay), raw=True)

    def replay_page(self, steps: int = 120, *, particles: int = 100, autoplay: bool = True) -> str:
        """The same animation as one HTML page."""
        return replay.page(self, steps, particles, autoplay)

    def __repr__(self) -> str:
        return f"LandscapeExplorer({self._name}, {settings.call(self.kernel)}, n={self.n}, seed={self.seed})"

    def _repr_mimebundle_(self, **kwargs):
        shown = super()._repr_mimebundle_(**kwargs)
        if shown:
            (shown[0] if isinstance(shown, tuple) else shown)["text/plain"] = self.alt
        return shown

    # ---- from the browser --------------------------------------------------------------------------------

    def _on_msg(self, _widget, message, _buffers) -> None:
        """Answer one request. Every request gets exactly one answer that names it; an error is shown there too."""
        self._request, self._answered = None, False
        try:
            if not isinstance(message, dict) or message.get("kind") not in HANDLERS:
                raise ValueError(f"an explorer knows the messages {', '.join(HANDLERS)}, but got {message!r}")
            self._request = message.get("id")
            HANDLERS[message["kind"]](self, message)
            if not self._answered:
                self._tell({"kind": "idle"})
        except Exception as error:
            self._tell({"kind": "error", "message": f"{error}"})
            raise  # and ipywidgets reports it as well
        finally:
            self._request = None

    def _on_hello(self, message: dict) -> None:
        for header, buffers in tuple(self._recent):
            self.send({**header, "id": None, "to": self._request}, buffers=buffers)
        self._publish()

    def _on_tick(self, message: dict) -> None:
        frames = min(max(int(message.get("frames", 1)), 1), MOST_FRAMES)
        stride = min(max(int(message.get("stride", 1)), 1), MOST_STRIDE)
        self._show(self._simulation.advance(frames, stride, budget=PATIENCE), stride)

    def _on_step(self, message: dict) -> None:
        self._show(self._simulation.advance(1), 1)
        self._sync()

    def _on_fly(self, message: dict) -> None:
        frames, proposal = self._simulation.fly()
        self._show(frames, 1, [_bytes(proposal.x)])

    def _on_pause(self, message: dict) -> None:
        self._sync()

    def _on_reset(self, message: dict) -> None:
        self.reset()

    def _on_drop(self, message: dict) -> None:
        at = settings.check_start(message["at"])
        self._simulation.drop(at, settings.check_n(message.get("count", 20)))
        self._publish()

    def _on_set(self, message: dict) -> None:
        """Change traits: seed, n, start, kernel_name, step_size, path_length, followed."""
        values = message["values"]
        if unknown := set(values) - set(self._settable):
            raise ValueError(f"{', '.join(sorted(unknown))} cannot be set; {', '.join(self._settable)} can")
        for name, value in values.items():
            setattr(self, name, value)

    # ---- both ways ---------------------------------------------------------------------------------------

    _settable = ("seed", "n", "start", "kernel_name", "step_size", "path_length", "followed")

    @t.validate(
        "seed", "n", "start", "kernel_name", "step_size", "path_length", "followed", "speed", "layers"
    )
    def _check(self, proposal):
        return settings.check(proposal.trait.name, proposal.value, self)

    @t.observe(*_settable)
    def _changed(self, change) -> None:
        """A trait was set, by a slider or from Python: the simulation follows, or nothing changes at all."""
        if self._syncing:
            return
        try:
            self._follow(change.name)
        except Exception:
            self._syncing = True
            try:
                setattr(self, change.name, change.old)
            finally:
                self._syncing = False
            raise

    def _follow(self, name: str) -> None:
        simulation, fresh = self._simulation, name in ("seed", "n", "start")
        if name in ("step_size", "path_length"):
            kernel = settings.tuned(simulation.kernel, self.step_size, self.path_length)
            self._kernels[self.kernel_name] = kernel
            simulation.use(kernel)
        elif name == "kernel_name":
            kernel = self._kernels[self.kernel_name]  # each remembers its own step size
            simulation.use(kernel)
            self._syncing = True
            self.step_size = float(kernel.step_size)
            self.path_length = getattr(kernel, "n_leapfrog", self.path_length)
            self._syncing = False
        elif name == "followed":
            simulation.focus = self.followed
        elif name == "start":
            simulation.restart(start=torch.tensor(self.start, dtype=self.x.dtype, device=self.x.device))
        else:
            simulation.restart(**{name: getattr(self, name)})
        self._publish(fresh=fresh)

    # ---- to the browser ----------------------------------------------------------------------------------

    def _walk(self, moves: int) -> None:
        """Make `moves` transitions and show the last of them."""
        last = min(moves, 4 * MOST_FRAMES)
        while moves > last:
            stride = min(moves - last, MOST_STRIDE)
            self._simulation.advance(1, stride)
            moves -= stride
        while moves > 0:
            frames = min(moves, MOST_FRAMES)
            self._show(self._simulation.advance(frames), 1)
            moves -= frames

    def _show(self, frames: Frames, stride: int, more: Sequence[bytes] = ()) -> None:
        header, buffers = encode(frames)
        header |= {"kind": "fly" if more else "frames", "stride": stride}
        self._recent.append(({**header, "kind": "frames"}, buffers))
        self._tell(header, [*buffers, *more])

    def _publish(self, *, fresh: bool = False) -> None:
        """Tell all views where the particles stand and what the next proposal is; `fresh`: forget the past."""
        if fresh:
            self._recent.clear()
        header, buffers = encode(self._simulation.preview())
        self._sync()
        self._tell(header | {"kind": "state", "fresh": fresh}, buffers)

    def _sync(self) -> None:
        """Bring the saved state up to date; while playing it is not, or every frame would travel twice."""
        simulation = self._simulation
        with self.hold_sync():
            self.step_count, self.particles = simulation.step, _bytes(simulation.x)
            self.alt = picture.describe(
                self._name,
                self._picture,
                simulation.x,
                settings.call(self.kernel),
                simulation.step,
                simulation.acceptance,
            )
            self.code = settings.experiment(self)

    def _tell(self, header: dict, buffers: Sequence[bytes] = ()) -> None:
        self._answered = True
        self.send({**header, "id": self._request}, buffers=list(buffers))

    def _view(self) -> dict:
        p = self._picture
        steps = [float(kernel.step_size) for kernel in self._kernels.values()]
        paths = {name: settings.has_path(kernel) for name, kernel in self._kernels.items()}
        longest = max(getattr(kernel, "n_leapfrog", 1) for kernel in self._kernels.values())
        return {
            "name": self._name,
            "box": list(p.box),
            "low": p.low,
            "high": p.high,
            "top": p.top,
            "size": p.size,
            "counts": p.counts,
            "valleys": p.valleys,
            "reach": picture.reach(p.valleys),
            "paths": paths,
            "aims": {name: settings.AIMS.get(name) for name in paths},
            "speeds": list(settings.SPEEDS),
            "limits": {
                "step_size": [min(0.01, *steps), max(2.0, *steps)],
                "path_length": [1, max(50, longest)],
                "n": [1, MOST_PARTICLES],
            },
        }


HANDLERS = {
    kind: getattr(LandscapeExplorer, f"_on_{kind}")
    for kind in ("hello", "tick", "step", "fly", "pause", "reset", "drop", "set")
}


def encode(frames: Frames) -> tuple[dict, list[bytes]]:
    """Frames as numbers that JSON can hold, and float32 buffers for all that may be infinite."""
    k, n, _ = frames.x.shape
    ghosts = torch.cat(frames.ghosts)
    header = {"k": k, "n": n, "points": frames.path.shape[1], "step": frames.step}
    header["ghosts"] = [len(ghost) for ghost in frames.ghosts]
    return header, [
        _bytes(part) for part in (frames.x, ghosts, frames.path, frames.h, frames.u, frames.facts)
    ]


def _bytes(x: Tensor) -> bytes:
    return x.detach().to("cpu", torch.float32).contiguous().numpy().tobytes()
