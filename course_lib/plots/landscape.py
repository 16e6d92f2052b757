"""A landscape as a picture: heat map and contours of a 2-D energy, and points on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import matplotlib.patheffects as effects
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import PowerNorm
from matplotlib.lines import Line2D

from course_lib.energies import on_grid, view_box
from course_lib.energies.base import Box, Energy, Landscape
from course_lib.plots.style import ENERGY_MAP, colours

SIGMAS = (1, 2, 3, 4, 6, 8, 11, 15, 20)


def landscape(
    energy: Energy,
    ax: Axes | None = None,
    box: Box | None = None,
    *,
    n: int = 160,
    top: float | None = None,
    contours: bool = True,
    colorbar: bool = True,
    title: str = "",
    names: Sequence[str] = ("$x_1$", "$x_2$"),
) -> Axes:
    """Draw a 2-D energy: dark valleys, bright heights, in nats above the lowest point of the picture.

    Colours follow the square root of the energy, and contours stand at k^2 / 2 for k = 1, 2, 3, 4, 6, ...:
    around a Gaussian well these are the circles of k standard deviations.

    Args:
        energy: `[C, 2] -> [C]`.
        ax: axes to draw in; new ones where None.
        box: `(xmin, xmax, ymin, ymax)`; `energies.view_box(energy)` where None.
        n: grid points along each side.
        top: energy (nats above the lowest) from which on the colour stays the brightest; where None,
            nine tenths of the picture lie below it.
        contours, colorbar: leave them out with False.
        title: of the axes.
        names: labels of the two axes.

    Returns:
        The axes.

    Raises:
        ValueError: the box is empty, or the energy is nowhere finite in it.
    """
    box = view_box(cast(Landscape, energy)) if box is None else box
    if not (box[0] < box[1] and box[2] < box[3]):
        raise ValueError(f"box must be (xmin, xmax, ymin, ymax) with min < max, but it is {tuple(box)}")
    xs, ys, u = (part.numpy() for part in on_grid(energy, box, n))
    if not np.isfinite(u).any():
        raise ValueError(f"the energy is nowhere finite in the box {tuple(box)}: show another part of it")
    u = u - np.nanmin(u)
    top = max(float(np.nanquantile(u[np.isfinite(u)], 0.9)), 0.5) if top is None else float(top)
    ax = plt.subplots(figsize=(4.6, 4.0))[1] if ax is None else ax
    norm = PowerNorm(0.5, vmin=0, vmax=top)
    dx, dy = (xs[1] - xs[0]) / 2, (ys[1] - ys[0]) / 2  # the grid holds the centres of the cells
    extent = (xs[0] - dx, xs[-1] + dx, ys[0] - dy, ys[-1] + dy)
    image = ax.imshow(
        u, extent=extent, norm=norm, cmap=ENERGY_MAP, origin="lower", aspect="auto", interpolation="nearest"
    )
    if contours:
        levels = [k**2 / 2 for k in SIGMAS if k**2 / 2 < u[np.isfinite(u)].max()]
        if levels:
            ax.contour(xs, ys, u, levels=levels, colors="white", linewidths=0.6, alpha=0.6)
    if colorbar:
        ticks = {0.0, *(float(f"{top * part:.1g}") for part in (1 / 16, 1 / 4, 9 / 16, 1))}  # evenly spread
        label = "energy above the lowest [nats]"
        bar = ax.figure.colorbar(image, ax=ax, shrink=0.9, extend="max", label=label)
        bar.set_ticks(sorted(tick for tick in ticks if tick <= top), minor=False)
        bar.ax.minorticks_off()
    ax.set(xlim=box[:2], ylim=box[2:], xlabel=names[0], ylabel=names[1], title=title)
    if 0.5 < (box[1] - box[0]) / (box[3] - box[2]) < 2:
        ax.set_aspect("equal")
    ax.spines[:].set_visible(False)
    return ax


def scatter(
    ax: Axes, x: torch.Tensor, *, color: str = "white", size: float = 14, marker: str = "o", **more: Any
) -> PathCollection:
    """Points `[N, 2]` on a landscape: filled with a dark rim, so that they stand out on every colour."""
    x = _plane(x, "scatter draws points [N, 2]")
    style: dict[str, Any] = {"edgecolors": "black", "linewidths": 0.6, "zorder": 3} | more
    return ax.scatter(x[:, 0], x[:, 1], s=size, c=color, marker=marker, **style)


def track(ax: Axes, x: torch.Tensor, *, color: str = colours.start, marker: str = "o", **more: Any) -> Line2D:
    """A path `[T, 2]` on a landscape: a line with a dark rim and a marker at every point."""
    x = _plane(x, "track draws a path [T, 2]")
    rim = [effects.Stroke(linewidth=3, foreground="black"), effects.Normal()]
    style: dict[str, Any] = {"lw": 1.5, "ms": 4, "mec": "black", "mew": 0.6, "path_effects": rim} | more
    return ax.plot(x[:, 0], x[:, 1], color=color, marker=marker, **style)[0]


def _plane(x: torch.Tensor, need: str) -> torch.Tensor:
    if x.dim() != 2 or x.shape[1] != 2:
        raise ValueError(f"{need}, but x has shape {list(x.shape)}")
    return x.detach().cpu()
