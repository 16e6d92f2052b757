"""What an explorer is given: kernels to choose from, a start, limits. Bad input ends here, clearly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import is_dataclass, replace

import torch
from torch import Tensor

from course_lib.energies import Energy, ring, view_box
from course_lib.energies.base import Box
from course_lib.sampling import HMC, Langevin, RandomWalk
from course_lib.sampling.mcmc import Kernel
from course_lib.widgets.picture import Background, reach
from course_lib.widgets.simulation import MOST_PARTICLES

SPREAD = 0.1  # standard deviation of the particles around the start
FALLBACK_BOX = (-4.0, 4.0, -4.0, 4.0)
LAYERS = ("heat", "contours", "trails", "path", "rejected")
AIMS = {  # the acceptance to aim at: Neal (2011), Roberts & Rosenthal (1998), Roberts, Gelman & Gilks (1997)
    "HMC": [0.65, 0.8],
    "Langevin (MALA)": [0.5, 0.65],
    "Random walk": [0.2, 0.3],
}
SPEEDS = (0.5, 1, 2, 4, 8, 15, 30, 60, 120, 300, 600)  # moves per second; up to 4, the path itself is played


def default_energy() -> Energy:
    """Eight wells whose barriers HMC cannot cross: the phenomenon before anything is touched."""
    return ring(8, radius=4.0, scale=0.3)


def kernel_name(kernel: Kernel) -> str:
    """What the chooser calls it."""
    if type(kernel) is Langevin:
        return "Langevin (MALA)" if kernel.adjust else "Langevin (ULA)"
    return "Random walk" if type(kernel) is RandomWalk else type(kernel).__name__


def choices(kernel: Kernel, kernels: Sequence[Kernel] | None) -> dict[str, Kernel]:
    """The kernels of the chooser by name, the given one among them."""
    step = float(kernel.step_size) if _is_kernel(kernel) and _is_number(kernel.step_size) else 0.1
    others = (HMC(step), Langevin(step), Langevin(step, adjust=False), RandomWalk(step))
    every = (kernel, *(others if kernels is None else kernels))
    for one in every:
        if not _is_kernel(one):
            raise ValueError(
                f"kernel is a {type(one).__name__}; an explorer plays kernels of course_lib.sampling, "
                "frozen dataclasses with step_size, init and step, such as HMC(step_size=.15, n_leapfrog=10)"
            )
        if not _is_number(one.step_size):
            raise ValueError("the step-size slider moves one number: give the kernel a float step_size")
    return {kernel_name(one): one for one in reversed(every)} | {kernel_name(kernel): kernel}


def tuned(kernel: Kernel, step_size: float, path_length: int) -> Kernel:
    """The same kernel with another step size and, where it has one, path length."""
    changes: dict[str, float | int] = {"step_size": step_size}
    if has_path(kernel):
        changes["n_leapfrog"] = path_length
    return replace(kernel, **changes)


def has_path(kernel: Kernel) -> bool:
    return hasattr(kernel, "n_leapfrog")


def check_energy(energy: Energy) -> None:
    """Raise ValueError unless `energy` maps `[C, 2]` to `[C]`."""
    dim = getattr(energy, "dim", 2)
    if dim != 2:
        raise ValueError(f"an explorer shows 2-D landscapes, but {type(energy).__name__} has dim={dim}")
    try:
        with torch.no_grad():
            u = energy(torch.zeros(3, 2))
    except Exception as error:
        raise ValueError(f"the energy must map points [C, 2] to energies [C]; it failed: {error}") from error
    if not torch.is_tensor(u) or u.shape != (3,):
        found = list(u.shape) if torch.is_tensor(u) else type(u).__name__
        raise ValueError(f"the energy must map points [C, 2] to energies [C], but gave {found} for [3, 2]")


def check_box(energy: Energy, box: Box | None) -> Box:
    """The given box, or one that shows the landscape; (-4, 4, -4, 4) where exact draws cannot tell."""
    if box is None:
        if not hasattr(energy, "sample"):  # a plain function
            return FALLBACK_BOX
        try:
            return _rounded(view_box(energy, margin=0.12))
        except NotImplementedError:  # a landscape without exact draws, such as a posterior
            return FALLBACK_BOX
    box = tuple(float(side) for side in box)
    if len(box) != 4 or not all(map(math.isfinite, box)) or not (box[0] < box[1] and box[2] < box[3]):
        raise ValueError(f"box must be (xmin, xmax, ymin, ymax) with min < max, but it is {box}")
    return box


def _rounded(box: Box) -> Box:
    """A square of about the same place with short numbers: "copy this experiment" writes them out."""
    half = max(box[1] - box[0], box[3] - box[2]) / 2
    digits = 1 - math.floor(math.log10(half))
    half, x, y = (round(v, digits) for v in (half, (box[0] + box[1]) / 2, (box[2] + box[3]) / 2))
    return tuple(round(side, digits) for side in (x - half, x + half, y - half, y + half))


def check_start(start) -> Tensor:
    """A start as `[2]` or `[n, 2]` numbers."""
    start = torch.as_tensor(start, dtype=None if torch.is_tensor(start) else torch.get_default_dtype())
    if start.dim() not in (1, 2) or start.shape[-1] != 2 or start.numel() == 0:
        raise ValueError(
            f"start is a point [2], or one per particle [n, 2], but has shape {list(start.shape)}"
        )
    if not start.isfinite().all():
        raise ValueError(f"start must be finite, but it is {start.tolist()}")
    return start


def check_spread(spread) -> float:
    if not _is_number(spread) or not 0 <= float(spread) < math.inf:
        raise ValueError(f"spread is a standard deviation, zero or positive, but it is {spread}")
    return float(spread)


def check_n(n) -> int:
    return _whole(n, 1, MOST_PARTICLES, "n is the number of particles")


def check_seed(seed) -> int:
    return _whole(seed, 0, 2**31 - 1, "seed is a whole number")


def check_steps(steps) -> int:
    return _whole(steps, 0, 10**6, "steps are moves made at once")


def check_step_size(step_size) -> float:
    if not _is_number(step_size) or not 0 < float(step_size) < math.inf:
        raise ValueError(f"step_size must be a positive number, but it is {step_size}; try .1")
    return float(step_size)


def check(name: str, value, explorer):
    """The value of a trait of `explorer`, or ValueError."""
    if name == "start":
        return check_start(value).reshape(-1, 2)[0].tolist()
    if name == "step_size":
        return check_step_size(value)
    if name == "path_length":
        return _whole(value, 1, 1000, "the path length is a number of leapfrog steps")
    if name == "followed":
        return _whole(value, 0, len(explorer.x) - 1, "followed is the number of a particle")
    if name == "kernel_name" and value not in explorer._kernels:
        raise ValueError(f"the kernels here are {', '.join(explorer._kernels)}, but it is {value!r}")
    if name == "layers" and (unknown := set(value) - set(LAYERS)):
        raise ValueError(f"the layers are {', '.join(LAYERS)}, but there is also {sorted(unknown)}")
    if name == "speed" and not 0 < value <= SPEEDS[-1]:
        raise ValueError(f"speed is in moves per second, up to {SPEEDS[-1]}, but it is {value}")
    return {"n": check_n, "seed": check_seed}.get(name, lambda same: same)(value)


def view(name: str, picture: Background, kernels: dict[str, Kernel]) -> dict:
    """What the browser has to know and what never changes, as JSON."""
    steps = [float(kernel.step_size) for kernel in kernels.values()]
    longest = max(getattr(kernel, "n_leapfrog", 1) for kernel in kernels.values())
    limits = {
        "step_size": [min(0.01, *steps), max(2.0, *steps)],
        "path_length": [1, max(50, longest)],
        "n": [1, MOST_PARTICLES],
    }
    return {
        "name": name,
        "box": list(picture.box),
        "low": picture.low,
        "height": picture.height,
        "top": picture.top,
        "size": picture.size,
        "counts": picture.counts,
        "valleys": picture.valleys,
        "reach": reach(picture.valleys),
        "paths": {name: has_path(kernel) for name, kernel in kernels.items()},
        "aims": {name: AIMS.get(name) for name in kernels},
        "speeds": list(SPEEDS),
        "limits": limits,
    }


def _whole(value, least: int, most: int, what: str) -> int:
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or value != value
        or not least <= value <= most
    ):
        raise ValueError(f"{what}, {least} to {most}, but it is {value!r}")
    if int(value) != value:
        raise ValueError(f"{what}, {least} to {most}, but {value!r} is not whole")
    return int(value)


def _is_kernel(kernel) -> bool:
    return is_dataclass(kernel) and all(hasattr(kernel, name) for name in ("step_size", "init", "step"))


def _is_number(value) -> bool:
    return not isinstance(value, bool | str) and (
        isinstance(value, int | float) or (torch.is_tensor(value) and value.dim() == 0)
    )
