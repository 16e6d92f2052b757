"""What a sampler did: traces, marginals against the truth, and curves over a tuning parameter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.energies import on_grid
from course_lib.energies.base import Box, Energy
from course_lib.plots.style import CYCLE, MARKERS, colours


def trace(
    x: Tensor | Mapping[str, Tensor],
    ax: Axes | None = None,
    *,
    spread: tuple[float, float] | None = None,
    name: str = "$x_1$",
    title: str = "",
) -> Axes:
    """One coordinate of a chain along its transitions.

    Args:
        x: `[T]` of one chain, `[T, C]` of several, or a mapping from label to `[T]`.
        ax: axes to draw in; new ones where None.
        spread: mean and standard deviation of the truth, drawn as a band of two standard deviations.
        name: of the coordinate.
        title: of the axes.
    """
    ax = plt.subplots(figsize=(6.4, 2.2))[1] if ax is None else ax
    lines = dict(x) if isinstance(x, Mapping) else dict(enumerate(x.unbind(1) if x.dim() > 1 else [x]))
    if not lines or any(line.dim() != 1 or len(line) == 0 for line in lines.values()):
        raise ValueError("trace draws one coordinate of at least one chain: [T], [T, C] or a mapping to [T]")
    if spread is not None:
        mean, std = spread
        ax.axhspan(mean - 2 * std, mean + 2 * std, color=colours.truth, alpha=0.07, lw=0)
        ax.axhline(mean, color=colours.truth, lw=0.8, ls=":")
    for (label, line), color in zip(lines.items(), CYCLE * (1 + len(lines) // len(CYCLE)), strict=False):
        ax.plot(line.detach().cpu(), color=color, lw=0.9, label=label if isinstance(label, str) else None)
    if any(isinstance(label, str) for label in lines):
        ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    ax.set(xlabel="transition", ylabel=name, title=title, xlim=(0, max(map(len, lines.values())) - 1))
    return ax


def marginals(
    samples: Tensor | Mapping[str, Tensor],
    truth: Tensor | None = None,
    *,
    energy: Energy | None = None,
    box: Box | None = None,
    names: Sequence[str] = ("$x_1$", "$x_2$"),
    bins: int = 40,
    height: float = 4.6,
) -> Figure:
    """Samples of a 2-D density and both of their marginals, each against exact draws of the truth.

    Args:
        samples: `[N, 2]`, or a mapping from label to `[N, 2]` to compare up to six sets.
        truth: exact draws `[M, 2]`, drawn as a black outline over the margins.
        energy: 2-D energy whose contours (1, 2, 3 standard deviations of a Gaussian) lie over the points.
        box: `(xmin, xmax, ymin, ymax)` of the picture; the range of everything drawn where None.
        names: of the two coordinates.
        bins: of the marginal histograms.
        height: of the figure, in inches.
    """
    import seaborn as sns

    sets = dict(samples) if isinstance(samples, Mapping) else {"samples": samples}
    drawn = sets | ({} if truth is None else {"truth": truth})
    for label, x in drawn.items():
        if x.dim() != 2 or x.shape[1] != 2 or len(x) == 0:
            raise ValueError(f"marginals needs points [N, 2], but {label!r} has shape {list(x.shape)}")
    drawn = {label: x.detach().cpu() for label, x in drawn.items()}
    box = box or _range(torch.cat(list(drawn.values())))
    with plt.rc_context({"figure.constrained_layout.use": False}):  # seaborn lays this figure out itself
        grid = sns.JointGrid(height=height, ratio=4, xlim=box[:2], ylim=box[2:])
    for (label, x), color, marker in zip(drawn.items(), (*CYCLE[: len(sets)], colours.truth), (*MARKERS, "")):
        exact = label == "truth" and truth is not None
        look = {"color": color, "fill": not exact, "lw": 1.4, "alpha": 1 if exact else 0.35}
        look |= {"stat": "density", "element": "step", "bins": bins}
        sns.histplot(x=x[:, 0].numpy(), ax=grid.ax_marg_x, binrange=box[:2], **look)
        sns.histplot(y=x[:, 1].numpy(), ax=grid.ax_marg_y, binrange=box[2:], **look)
        if exact:
            grid.ax_joint.plot([], [], color=color, lw=1.4, label=label)
        else:
            grid.ax_joint.scatter(
                x[:, 0], x[:, 1], s=7, color=color, marker=marker, alpha=0.35, lw=0, label=label
            )
    _contours(grid.ax_joint, energy, box)
    _opaque_legend(grid.ax_joint)
    grid.set_axis_labels(*names)
    grid.figure.tight_layout()
    return grid.figure


def acceptance(
    step_sizes: Sequence[float],
    rates: Tensor | Mapping[str, Tensor],
    ax: Axes | None = None,
    *,
    band: tuple[float, float] | None = (0.65, 0.8),
    title: str = "",
) -> Axes:
    """Acceptance over the step size, with one standard error over the repetitions.

    Args:
        step_sizes: S of them.
        rates: acceptance `[S]`, or `[S, R]` of R repetitions, or a mapping from label to either.
        ax: axes to draw in; new ones where None.
        band: rates worth aiming for, shaded.
        title: of the axes.
    """
    ax = plt.subplots(figsize=(5.2, 3.2))[1] if ax is None else ax
    if band is not None:
        ax.axhspan(*band, color=colours.green, alpha=0.15, lw=0, label=f"aim: {band[0]:g} to {band[1]:g}")
    curves = dict(rates) if isinstance(rates, Mapping) else {"": rates}
    for (label, rate), color, marker in zip(curves.items(), CYCLE, MARKERS):
        rate = torch.as_tensor(rate).cpu()
        if len(rate) != len(step_sizes):
            raise ValueError(f"{len(step_sizes)} step sizes need as many rates, but there are {len(rate)}")
        rate = rate.reshape(len(rate), -1)
        error = rate.std(1) / rate.shape[1] ** 0.5 if rate.shape[1] > 1 else None
        ax.errorbar(
            step_sizes, rate.mean(1), error, color=color, marker=marker, ms=5, capsize=2, label=label or None
        )
    ax.set(xscale="log", ylim=(0, 1.03), xlabel=r"step size $\varepsilon$", ylabel="acceptance", title=title)
    every = -(-len(step_sizes) // 8)  # at most eight labels
    ax.set_xticks(step_sizes[::every], [f"{step:.2g}" for step in step_sizes[::every]])
    ax.minorticks_off()
    if band is not None or any(curves):
        ax.legend()
    return ax


def _range(x: Tensor, margin: float = 0.05) -> Box:
    low, high = x.amin(0), x.amax(0)
    room = margin * (high - low).clamp_min(1e-6)
    (x0, y0), (x1, y1) = (low - room).tolist(), (high + room).tolist()
    return x0, x1, y0, y1


def _contours(ax: Axes, energy: Energy | None, box: Box) -> None:
    if energy is not None:
        xs, ys, u = (part.numpy() for part in on_grid(energy, box))
        ax.contour(xs, ys, u - u.min(), levels=[0.5, 2, 4.5], colors=colours.truth, linewidths=0.8)


def _opaque_legend(ax: Axes) -> None:
    legend = ax.legend(loc="upper right", frameon=True, framealpha=0.85, edgecolor="none")
    for handle in filter(None, legend.legend_handles):
        handle.set_alpha(1)
