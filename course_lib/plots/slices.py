"""The change of variables on a line as a picture: equal slices of u, strips of equal area."""

from __future__ import annotations

from collections.abc import Callable

import torch
from matplotlib.axes import Axes
from torch import Tensor

from course_lib.plots.style import colours
from course_lib.sampling import tabulate_quantile


def slices(
    density: Callable[[Tensor], Tensor],
    interval: tuple[float, float],
    upper: Axes,
    lower: Axes,
    *,
    n: int = 12,
    draws: Tensor | None = None,
    title: str = "",
) -> None:
    """Draw u = h(y) with n equal slices of u, and below it p(y) with the strips that they become.

    Args:
        density: `[G] -> [G]`, need not be normalised.
        interval: `(low, high)`, wide enough for both tails.
        upper, lower: axes of the distribution function and of the density.
        n: how many slices; every other one is filled.
        draws: `[N]`, a histogram of them lies under the density.
        title: of the upper axes.

    Raises:
        ValueError: fewer than two slices, or an interval that is none.
    """
    if n < 2 or not interval[0] < interval[1]:
        raise ValueError(f"slices needs n >= 2 and low < high, but got n={n} and {tuple(interval)}")
    y = torch.linspace(*interval, 801, dtype=torch.float64)
    p = density(y)
    h = torch.cat([p.new_zeros(1), torch.cumulative_trapezoid(p, y)])
    p, h = p / h[-1], h / h[-1]
    edges = tabulate_quantile(density, y)(torch.linspace(0, 1, n + 1, dtype=torch.float64)).tolist()
    if draws is not None:
        look = {"bins": 60, "range": interval, "density": True, "color": colours.green, "alpha": 0.35}
        lower.hist(draws.detach().cpu().flatten().numpy(), **look)
    strip = {"color": colours.blue, "alpha": 0.22, "lw": 0}
    for i in range(0, n, 2):
        left, right = edges[i], edges[i + 1]
        upper.fill_between([interval[0], left], i / n, (i + 1) / n, **strip)
        inside = (y >= left) & (y <= right)
        upper.fill_between(y[inside], 0, h[inside].clamp(max=(i + 1) / n), **strip)
        lower.fill_between(y[inside], 0, p[inside], **strip)
    for ax, values, name in ((upper, h, "$u = h(y)$"), (lower, p, "$p(y)$")):
        ax.plot(y, values, color=colours.blue, lw=1.8)
        ax.set(xlim=interval, ylim=(0, None), ylabel=name)
    upper.set(title=title, ylim=(0, 1))
    upper.tick_params(labelbottom=False)
    lower.set(xlabel="$y$")
