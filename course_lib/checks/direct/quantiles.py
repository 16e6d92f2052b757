"""Tasks 1 and 2: quantile functions, by hand and from a table, against what they invert."""

from __future__ import annotations

import torch
from torch import Tensor

from course_lib.checks.oracle import StudentError, close, need, oracle, seeded, tensor

# -- a triangle --------------------------------------------------------------------------------------------


def _height(y: Tensor, low: float, peak: float, high: float) -> Tensor:
    """The distribution function h of the triangle, elementwise."""
    rising = (y - low).square() / ((high - low) * (peak - low))
    falling = 1 - (high - y).square() / ((high - low) * (high - peak))
    return torch.where(y <= peak, rising, falling)


@oracle
def triangle(answer, seed: int) -> None:
    """`triangle(u [n], low, peak, high) -> y [n]`: the quantile function of a triangular density."""
    random = seeded(seed)
    for dtype, tolerance in ((torch.float64, 1e-8), (torch.float32, 1e-4)):
        left, right = (1 + 2 * torch.rand(2, generator=random)).tolist()
        right = right + left  # far from symmetric, so that no two formulas agree by chance
        low = -2 * float(torch.rand((), generator=random))
        shape = (low, low + left, low + left + right)
        inside = torch.rand(200, generator=random, dtype=dtype)
        u = torch.cat([inside.new_tensor([0.0, 1.0]), inside])
        y = tensor(answer(u, *shape), u, "y")
        _check_triangle(y, u, shape, tolerance)


def _check_triangle(y: Tensor, u: Tensor, shape: tuple[float, float, float], tolerance: float) -> None:
    low, peak, high = shape
    need(not close(y, _height(u, *shape), tolerance), "that is h(u): solve u = h(y) for y instead")
    rises = bool((y[u.argsort()].diff() >= -tolerance).all())
    need(
        rises or not close(_height(y, *shape), 1 - u, tolerance),
        "y falls where u rises: u = 0 belongs to the left end of the triangle and u = 1 to the right one",
    )
    right = (_height(y, *shape) - u).abs() < 10 * tolerance
    right &= (y >= low - tolerance) & (y <= high + tolerance)
    middle = (peak - low) / (high - low)
    below, above = u <= middle, u > middle
    border = (u > min(middle, 0.5)) & (u < max(middle, 0.5))
    need(
        bool(right.all()) or not bool(right[~border].all()),
        f"the two branches meet where h(peak) = {middle:.3f}, not at one half",
    )
    need(
        bool(right[above].all()) or not bool(right[below].all()),
        f"right up to u = h(peak) = {middle:.3f}, wrong above it: beyond the peak the small triangle is "
        "the one to the right of y, with the area 1 - u",
    )
    need(
        bool(right[below].all()) or not bool(right[above].all()),
        f"right above u = h(peak) = {middle:.3f}, wrong below it, where h(y) is the small triangle left of y",
    )
    worst = int((_height(y, *shape) - u).abs().argmax())
    need(
        bool(right.all()),
        f"at u = {float(u[worst]):.3f} your y = {float(y[worst]):.3f} has h(y) = "
        f"{float(_height(y, *shape)[worst]):.3f}: the quantile function gives the y with h(y) = u",
    )


# -- a table -----------------------------------------------------------------------------------------------


def _interpolated(u: Tensor, mass: Tensor, grid: Tensor) -> Tensor:
    """Where straight lines through the points (grid, mass) reach the height u."""
    cell = (torch.searchsorted(mass, u) - 1).clamp(0, len(grid) - 2)
    return grid[cell] + (u - mass[cell]) / (mass[cell + 1] - mass[cell]) * (grid[cell + 1] - grid[cell])


def _masses(area: Tensor) -> Tensor:
    return torch.cat([area.new_zeros(1), area.cumsum(0)]) / area.sum()


@oracle
def tabulated(answer, seed: int) -> None:
    """`tabulated(u [n], grid [G], density [G]) -> y [n]`: the quantile function of a table."""
    random = seeded(seed)
    steps = 0.1 + torch.rand(12, generator=random, dtype=torch.float64)
    grid = steps.cumsum(0) - 3
    density = 0.2 + 3 * torch.rand(12, generator=random, dtype=torch.float64)
    u = 0.001 + 0.998 * torch.rand(300, generator=random, dtype=torch.float64)
    y = tensor(answer(u, grid, density), u, "y")
    _check_table(y, u, grid, density)
    _ends(answer, grid, density)
    _gap(answer, grid, density, u)
    _fine_table(answer, u, random)


def _check_table(y: Tensor, u: Tensor, grid: Tensor, f: Tensor) -> None:
    width, mean = grid.diff(), (f[1:] + f[:-1]) / 2
    area = width * mean
    mass = _masses(area)

    def is_(other: Tensor) -> bool:
        return close(y, other, 1e-7)

    need(
        not bool(torch.isin(y, grid).all()), "y takes no values between grid points: interpolate in the cell"
    )
    need(not is_(_interpolated(u, _masses(f[:-1] * width), grid)), _RULE.format("left"))
    need(not is_(_interpolated(u, _masses(f[1:] * width), grid)), _RULE.format("right"))
    for ignored in (mean, f[:-1], f[1:]):
        need(
            not is_(_interpolated(u, _masses(ignored), grid)),
            "the cells have different widths: the probability of a cell is its width times its mean density",
        )
    need(
        not is_(_interpolated(u / area.sum(), mass, grid)),
        "the table is not normalised: divide the distribution function by its last value",
    )
    shifted = torch.cat([area.cumsum(0) / area.sum(), mass.new_full((1,), 2.0)])
    clear = u > shifted[0]
    need(
        not close(y[clear], _interpolated(u, shifted, grid)[clear], 1e-7),
        "y is one cell too far to the left: h is 0 at the first grid point, so the table begins with a 0",
    )
    truth = _interpolated(u, mass, grid)
    worst = int((y - truth).abs().argmax())
    need(
        is_(truth),
        f"at u = {float(u[worst]):.3f} y is {float(y[worst]):.4f}, but the table reaches this height at "
        f"{float(truth[worst]):.4f}",
    )


_RULE = "each cell counts with the density at its {} end: take the mean of both ends (trapezoid rule)"


def _ends(answer, grid: Tensor, density: Tensor) -> None:
    u = grid.new_tensor([0.0, 1.0])
    try:
        y = tensor(answer(u, grid, density), u, "y at u = 0 and u = 1")
    except StudentError as error:
        need(
            error.kind != "IndexError", "u = 0 or u = 1 leads outside the table: clamp the index of the cell"
        )
        raise
    need(close(y, grid[[0, -1]]), "u = 0 must give the first grid point, and u = 1 the last one")


def _gap(answer, grid: Tensor, density: Tensor, u: Tensor) -> None:
    """Two islands with nothing between them: a quantile function jumps over what has no probability."""
    islands = density.clone()
    islands[4:8] = 0.0
    y = tensor(answer(u, grid, islands), u, "y of a density with a gap")
    need(
        not bool(((y > grid[4]) & (y < grid[7])).any()),
        "some y lie where the density is 0: h is flat there, and no u leads into it",
    )


def _fine_table(answer, u: Tensor, random: torch.Generator) -> None:
    rate = 0.5 + 2 * float(torch.rand((), generator=random))
    grid = torch.linspace(0, 30 / rate, 3000, dtype=torch.float64)
    y = tensor(answer(u, grid, 7 * torch.exp(-rate * grid)), u, "y")
    off = float((y + torch.log1p(-u) / rate).abs().max())
    need(
        off < 0.02 / rate,
        f"from a fine table of an exponential density, y differs from -log(1 - u) / rate by {off:.3f}",
    )
