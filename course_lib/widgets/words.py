"""An explorer in words: what a screen reader says, and the Python call that makes the experiment again."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from course_lib.energies import Energy
from course_lib.sampling.mcmc import Kernel
from course_lib.widgets.picture import Background, occupied
from course_lib.widgets.settings import SPREAD

if TYPE_CHECKING:
    from course_lib.widgets.landscape import LandscapeExplorer


def energy_name(energy: Energy) -> str:
    name = getattr(energy, "__name__", type(energy).__name__)
    return "of a function" if name == "<lambda>" else name


def call(kernel: Kernel) -> str:
    """The Python call that makes this kernel, defaults left out: `HMC(step_size=0.15, n_leapfrog=10)`."""
    words = []
    for field in fields(kernel):
        value = getattr(kernel, field.name)
        given = field.name in ("step_size", "n_leapfrog") or torch.is_tensor(value) or value != field.default
        words += [f"{field.name}={' '.join(repr(value).split())}"] if given else []
    return f"{type(kernel).__name__}({', '.join(words)})"


def describe(name: str, picture: Background, x: Tensor, kernel: Kernel, step: int, acceptance: float) -> str:
    """The picture for those who do not see it, from the numbers that it shows.

    x: the particles `[N, 2]` after `step` moves; an acceptance of NaN is not mentioned.
    """
    a, b, c, d = picture.box
    alive = x[x.isfinite().all(1)].double().cpu()
    words = [
        f"Heat map with contours of the energy {name}, x from {a:.3g} to {b:.3g}, y from {c:.3g} to {d:.3g};",
        f"energy {picture.low:.2f} to {picture.high:.4g} nats, "
        f"lowest near ({picture.lowest[0]:.2f}, {picture.lowest[1]:.2f}).",
        f"{len(x)} particle{'s' * (len(x) != 1)} after {step} moves of {call(kernel)}",
    ]
    if len(picture.valleys) > 1:
        words.append(f"in {occupied(x, picture.valleys)} of {len(picture.valleys)} valleys")
    if len(alive) < len(x):
        words.append(f"({len(x) - len(alive)} diverged)")
    if len(alive):
        mean, std = alive.mean(0), alive.std(0, correction=0)
        words[-1] += f": mean ({mean[0]:.2f}, {mean[1]:.2f}), standard deviations {std[0]:.2f}, {std[1]:.2f}"
    if not math.isnan(acceptance):
        words[-1] += f", mean acceptance {acceptance:.2f}"
    return " ".join(words) + "."


def experiment(explorer: LandscapeExplorer) -> str:
    """The Python call that makes this experiment again, to the bit."""
    simulation = explorer._simulation
    point = simulation.start.dim() == 1
    words = ["energy", f"kernel={call(explorer.kernel)}", f"n={simulation.n}"]
    words.append(f"start={_tuple(explorer.start)}" if point else "start=start")
    words += [f"spread={simulation.spread}"] if simulation.spread != SPREAD else []
    words += [f"box={_tuple(explorer._picture.box)}", f"seed={simulation.seed}"]
    words += [f"steps={simulation.step}"] if simulation.pure else ["steps=0"]
    notes = [] if point else ["# start: your points, one per particle"]
    if not simulation.pure:
        notes.append("# settings changed on the way, so this begins at the start")
    return "\n".join([*notes, f"LandscapeExplorer({', '.join(words)})"])


def _tuple(values) -> str:
    """Short decimals that stand for the same float32 numbers."""
    return f"({', '.join(f'{value + 0.0:.9g}' for value in map(_short, values))})"


def _short(value: float) -> float:
    """The shortest decimal number that rounds to the same float32."""
    near = (float(f"{value:.{digits}g}") for digits in range(1, 10))
    return next(v for v in near if torch.tensor(v) == torch.tensor(value))
