"""Point sets in one, two and three dimensions whose truth is known: what a generator should have learned.

Each has `dim` and `sample(n, *, generator) -> [n, dim]`, like an energy with exact draws, and can be handed
to a game as it is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


def _uniform(n: int, *shape: int, generator: torch.Generator | None, like: Tensor | None = None) -> Tensor:
    device = like.device if like is not None else generator.device if generator is not None else None
    return torch.rand(n, *shape, generator=generator, device=device)


class Mixture:
    """K equal round Gaussians: centres `means [K, D]`, standard deviation `scale`, `weights [K]`.

    Raises ValueError for other shapes, a scale <= 0 or weights that are not positive.
    """

    def __init__(self, means: Any, scale: float, weights: Any = None):
        self.means = torch.as_tensor(means, dtype=torch.get_default_dtype())
        if self.means.dim() != 2 or not scale > 0:
            raise ValueError(
                f"a mixture needs means [K, D] and scale > 0, but got {list(self.means.shape)} and {scale}"
            )
        modes, self.dim = self.means.shape
        weights = torch.ones(modes) if weights is None else torch.as_tensor(weights)
        if weights.shape != (modes,) or not (weights > 0).all():
            raise ValueError(f"weights must be {modes} positive numbers, but they are {weights.tolist()}")
        self.scale, self.weights = float(scale), (weights.double() / weights.double().sum()).to(self.means)

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """n independent draws `[n, D]`."""
        mode = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        noise = self.means.new_empty(n, self.dim).normal_(generator=generator)
        return self.means[mode] + self.scale * noise

    def density(self, x: Tensor) -> Tensor:
        """The density `[...]` at `x [..., D]`: what a closed-form discriminator needs."""
        squared = (x[..., None, :] - self.means.to(x)).square().sum(-1) / (2 * self.scale**2)
        log_parts = self.weights.to(x).log() - squared - self.dim / 2 * math.log(2 * math.pi * self.scale**2)
        return log_parts.logsumexp(-1).exp()

    def to(self, device: torch.device | str) -> Mixture:
        """A copy on another device."""
        moved = Mixture(self.means, self.scale, self.weights)
        moved.means, moved.weights = self.means.to(device), self.weights.to(device)
        return moved


def ring(modes: int = 8, radius: float = 2.0, std: float = 0.02) -> Mixture:
    """The ring on which GANs collapse and rotate (Metz et al., 2017): far sharper than `energies.ring`."""
    if modes < 1 or not radius > 0:
        raise ValueError(f"a ring needs modes >= 1 and radius > 0, but got modes={modes}, radius={radius}")
    angle = torch.arange(modes) * (2 * math.pi / modes)
    return Mixture(radius * torch.stack([angle.cos(), angle.sin()], 1), std)


def grid(side: int = 5, spacing: float = 1.0, std: float = 0.05) -> Mixture:
    """`side` x `side` Gaussians around the origin, `spacing` apart."""
    if side < 1 or not spacing > 0:
        raise ValueError(f"a grid needs side >= 1 and spacing > 0, but got side={side}, spacing={spacing}")
    axis = (torch.arange(side) - (side - 1) / 2) * spacing
    return Mixture(torch.cartesian_prod(axis, axis), std)


def line_of_modes(
    centres: Sequence[float] = (-1.5, 0.5, 2.0), std: float = 0.3, weights: Any = None
) -> Mixture:
    """A mixture on the real line, for pictures of densities and of the discriminator above them."""
    return Mixture([[c] for c in centres], std, weights)


def five_gaussians(std: float = 0.05) -> Mixture:
    """Four corners of a tetrahedron and its middle in [-1, 1]^3, the 3-D example of the annealed GAN."""
    corners = [[1, 1, 1], [-1, -1, 1], [-1, 1, -1], [1, -1, -1], [0, 0, 0]]
    return Mixture(0.6 * torch.tensor(corners, dtype=torch.get_default_dtype()), std)


@dataclass(frozen=True)
class SwissRoll:
    """A rolled-up sheet seen from the side (Gulrajani et al., 2017): `(t cos t, t sin t) / 7.5`, t in [1.5,
    4.5] pi.

    noise: standard deviation before the division, .25 in the paper's code.
    """

    noise: float = 0.25
    dim: int = 2

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """n draws `[n, 2]`."""
        t = 1.5 * math.pi * (1 + 2 * _uniform(n, generator=generator))
        roll = torch.stack([t * t.cos(), t * t.sin()], 1)
        return (roll + self.noise * torch.empty_like(roll).normal_(generator=generator)) / 7.5


@dataclass(frozen=True)
class Line:
    """The vertical segment (theta, u), u uniform on [0, 1]: example 1 of Arjovsky et al. (2017).

    Between the lines at 0 and theta the Wasserstein distance is |theta|, Jensen-Shannon log 2 unless theta =
    0.
    """

    theta: float = 0.0
    dim: int = 2

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """n draws `[n, 2]`."""
        height = _uniform(n, generator=generator)
        return torch.stack([torch.full_like(height, self.theta), height], 1)


def parallel_lines(theta: float = 1.0) -> tuple[Line, Line]:
    """The two lines at 0 and at theta."""
    return Line(0.0), Line(theta)


@dataclass(frozen=True)
class CubeFrames:
    """The edges of nested cubes around the origin, 12 each, equally likely: a hard 1-D set in 3-D.

    half_widths: of each cube. `edges(x)` tells which edge a point is nearest to, and how far.
    """

    half_widths: tuple[float, ...] = (0.9, 0.45)
    dim: int = 3

    def __post_init__(self) -> None:
        if not self.half_widths or min(self.half_widths) <= 0:
            raise ValueError(f"cube frames need positive half widths, but got {self.half_widths}")

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """n draws `[n, 3]`, uniform along the edges of each cube."""
        u = _uniform(n, 6, generator=generator)
        axis = (3 * u[:, 0]).long().clamp(max=2)  # the axis that the edge runs along
        corner = torch.where(u[:, 1:4] < 0.5, -1.0, 1.0)
        along = torch.nn.functional.one_hot(axis, 3).bool()
        point = torch.where(along, 2 * u[:, 4:5] - 1, corner)
        size = torch.tensor(self.half_widths, device=u.device)
        return size[(len(size) * u[:, 5]).long().clamp(max=len(size) - 1), None] * point

    def edges(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """For `x [..., 3]`: the number of the nearest edge `[...]` and the distance to it `[...]`."""
        distances = []
        for size in self.half_widths:
            for axis in range(3):
                beyond = (x[..., axis].abs() - size).clamp(min=0).square()
                one, other = (x[..., i] for i in range(3) if i != axis)
                distances += [
                    ((one - a).square() + (other - b).square() + beyond).sqrt()
                    for a in (-size, size)
                    for b in (-size, size)
                ]
        nearest = torch.stack(distances).min(0)
        return nearest.indices, nearest.values
