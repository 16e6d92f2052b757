"""What does not move in an explorer: heat map, contours, valleys, and the words that describe them."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch

from course_lib.energies import Energy, on_grid
from course_lib.energies.base import Box

SIGMAS = (
    1,
    2,
    3,
    4,
    6,
    8,
    11,
    15,
    20,
)  # contours at k^2 / 2 nats, as in `plots.landscape`
BRIGHTEST = 60.0  # nats above the lowest point, at most, where the colours end
CEILING = 1000.0  # nats above it where the grid ends: a funnel's neck rises to 1e16
STEPS = 65535  # the grid and the contours travel as 16-bit numbers


class Background(NamedTuple):
    """A landscape over a box, small enough to send."""

    box: Box
    low: float
    """the lowest energy in the box, nats"""
    high: float
    """the highest finite one"""
    top: float
    """height above `low` from which on the colour stays the brightest, nats"""
    height: float
    """what the grid reaches up to above `low`, nats: no more than `CEILING`"""
    size: int
    grid: bytes
    """`[size, size]` uint16, rows upwards: sqrt((U - low) / height)"""
    contours: bytes
    """`[points, 2]` uint16: all contour lines in a row, box coordinates"""
    counts: list[int]
    """how many points each line has"""
    lowest: tuple[float, float]
    start: tuple[float, float]
    """a good place to begin: the bottom of the rightmost of the deepest valleys"""
    valleys: list[list[float]]
    """local minima `[[x, y], ...]`, lowest first, those at most 8 nats above the lowest"""


def background(energy: Energy, box: Box, size: int = 200) -> Background:
    """Measure a 2-D energy over `box`. Raises ValueError where it is nowhere finite."""
    xs, ys, u = (part.double().cpu().numpy() for part in on_grid(energy, box, size))
    finite = np.isfinite(u)
    if not finite.any():
        raise ValueError(f"the energy is nowhere finite in the box {tuple(box)}: give another box=")
    low, high = float(u[finite].min()), float(u[finite].max())
    u = np.where(finite, u, high) - low
    height = min(max(high - low, 1e-12), CEILING)
    lines = [line for level in _levels(height) for line in _lines(xs, ys, u, level)]
    iy, ix = np.unravel_index(u.argmin(), u.shape)
    lowest, valleys = (float(xs[ix]), float(ys[iy])), _valleys(xs, ys, u)
    digits = max(0, math.ceil(-math.log10(xs[1] - xs[0])) - 1)
    return Background(
        box=tuple(float(side) for side in box),
        low=low,
        high=high,
        top=min(max(float(np.quantile(u, 0.9)), 0.5), BRIGHTEST),
        height=height,
        size=size,
        grid=np.rint(np.sqrt((u / height).clip(max=1.0)) * STEPS).astype("<u2").tobytes(),
        contours=b"".join(quantise(line, box) for line in lines),
        counts=[len(line) for line in lines],
        lowest=lowest,
        start=tuple(round(side, digits) for side in max(_valleys(xs, ys, u, 0.5), default=lowest)),
        valleys=valleys,
    )


def quantise(points: np.ndarray, box: Box) -> bytes:
    """Points `[..., 2]` as 16-bit numbers: 0 is the lower left corner of the box, 65535 the upper right."""
    corner = np.array([box[0], box[2]])
    extent = np.array([box[1], box[3]]) - corner
    scaled = np.nan_to_num((points - corner) / extent, nan=0.0, posinf=1.0, neginf=0.0)
    return np.rint(scaled.clip(0, 1) * STEPS).astype("<u2").tobytes()


def colour_table(name: str) -> bytes:
    """256 RGB colours of a matplotlib map."""
    import matplotlib

    return (
        (matplotlib.colormaps[name](np.linspace(0, 1, 256))[:, :3] * 255).round().astype(np.uint8).tobytes()
    )


def _levels(height: float) -> list[float]:
    return [k**2 / 2 for k in SIGMAS if k**2 / 2 < height]


def _lines(xs: np.ndarray, ys: np.ndarray, u: np.ndarray, level: float) -> list[np.ndarray]:
    from contourpy import contour_generator  # comes with matplotlib

    return contour_generator(xs, ys, u).lines(level)


def _valleys(xs: np.ndarray, ys: np.ndarray, u: np.ndarray, depth: float = 8.0) -> list[list[float]]:
    """Inner grid points no higher than their eight neighbours; of equal neighbours the first counts."""
    inner = u[1:-1, 1:-1]
    lowest = inner < depth
    rows, columns = u.shape
    for dy, dx in np.ndindex(3, 3):
        neighbour = u[dy : rows - 2 + dy, dx : columns - 2 + dx]
        if (dy, dx) != (1, 1):
            lowest &= inner < neighbour if (dy, dx) < (1, 1) else inner <= neighbour
    iy, ix = np.nonzero(lowest)
    order = np.argsort(inner[iy, ix], kind="stable")[:64]
    return [[float(xs[ix[i] + 1]), float(ys[iy[i] + 1])] for i in order]


def reach(valleys: list[list[float]]) -> float:
    """How far a valley reaches: half the way to the next one."""
    if len(valleys) < 2:
        return 1e9
    points = torch.tensor(valleys)
    return (torch.cdist(points, points).fill_diagonal_(math.inf).min() / 2).item()


def occupied(x: torch.Tensor, valleys: list[list[float]]) -> int:
    """How many valleys have a particle of `x [N, 2]` within their reach."""
    x = x[x.isfinite().all(1)].double().cpu()
    if not valleys or not len(x):
        return 0
    near = torch.cdist(x, torch.tensor(valleys, dtype=x.dtype)).min(1)
    return len(near.indices[near.values <= reach(valleys)].unique())
