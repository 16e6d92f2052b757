"""`LandscapeExplorer`: a 2-D landscape to watch, to drag on and to sample from, in a notebook."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

import torch
import traitlets as t
from torch import Tensor

from course_lib.energies import Energy
from course_lib.energies.base import Box
from course_lib.sampling import HMC
from course_lib.sampling.mcmc import Kernel
from course_lib.widgets import picture, replay, settings, words
from course_lib.widgets.messages import SETTABLE, Conversation
from course_lib.widgets.simulation import Simulation

HERE = pathlib.Path(__file__).parent
LAST = 64  # frames kept of moves that were made from Python


class LandscapeExplorer(Conversation):
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
        box: `(xmin, xmax, ymin, ymax)`; where None, `energies.view_box(energy)`, or (-4, 4, -4, 4) for an
            energy without exact draws.
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
    n = t.Int(60).tag(sync=True)
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
        spread: float = settings.SPREAD,
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
        n = settings.check_n(n if n is not None else len(points) if points.dim() == 2 else 60)
        self._energy, self._name = energy, words.energy_name(energy)
        spread = settings.check_spread(spread)
        self._simulation = Simulation(energy, kernel, points, n, spread, settings.check_seed(seed))
        self._syncing = True
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
            view=settings.view(self._name, self._picture, self._kernels),
            grid=self._picture.grid,
            contours=self._picture.contours,
            colours=picture.colour_table("viridis"),
        )
        self._syncing = False
        self._walk(settings.check_steps(steps))
        self._sync()

    # ---- from Python

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
        self._walk(settings.check_steps(moves))
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
        return f"LandscapeExplorer({self._name}, {words.call(self.kernel)}, n={self.n}, seed={self.seed})"

    def _repr_mimebundle_(self, **kwargs):
        shown = super()._repr_mimebundle_(**kwargs)
        if shown:
            (shown[0] if isinstance(shown, tuple) else shown)["text/plain"] = self.alt
        return shown

    # ---- settings: sliders and Python alike

    @t.validate(*SETTABLE, "speed", "layers")
    def _check(self, proposal):
        return settings.check(proposal.trait.name, proposal.value, self)

    @t.observe(*SETTABLE)
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
        if fresh and self.followed != simulation.focus:
            self.followed = simulation.focus  # fewer particles than there were
        self._publish(fresh=fresh)

    def _walk(self, moves: int) -> None:
        """Make `moves` transitions and show the last of them."""
        if moves > LAST:
            self._simulation.advance(1, stride=moves - LAST)
        if moves > 0:
            self._show(self._simulation.advance(min(moves, LAST)), 1)
