"""Landscapes that bend: a banana, a funnel and two wells, the standard tests of a sampler."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from course_lib.energies.base import Landscape


class Banana(Landscape):
    """A Gaussian bent along a parabola, `U(x) = x1^2 / 2 + (x2 - b (x1^2 - 1))^2 / 2`.

    The bend `x2 = z2 + b (z1^2 - 1)` keeps volume, so `log_z = log 2 pi` for every b;
    E x2 = 0 and Var x2 = 1 + 2 b^2 (Haario, Saksman & Tamminen, 1999).
    """

    dim = 2
    log_z = math.log(2 * math.pi)

    def __init__(self, b: float = 0.8):
        self.b = float(b)

    def __call__(self, x: Tensor) -> Tensor:
        x1, x2 = self.columns(x)
        return (x1.square() + (x2 - self.b * (x1.square() - 1)).square()) / 2

    def value_and_grad(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x1, x2 = self.columns(x)
        off = x2 - self.b * (x1.square() - 1)
        return (x1.square() + off.square()) / 2, torch.stack([x1 - 2 * self.b * x1 * off, off]).T

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        z = self._normal(n, 2, generator)
        z[:, 1] += self.b * (z[:, 0].square() - 1)
        return z


class Funnel(Landscape):
    """Neal's funnel: `v ~ N(0, s^2)` and D - 1 values `x_i ~ N(0, e^v)`; v is the first coordinate.

    `U = v^2 / 2 s^2 + sum_i (x_i^2 e^-v + v) / 2`, `log_z = D/2 log(2 pi) + log s`.
    No single step size suits both its mouth and its neck (Neal, 2003, section 8).
    """

    def __init__(self, dim: int = 2, scale: float = 3.0):
        if dim < 2 or not scale > 0:
            raise ValueError(f"a funnel needs dim >= 2 and scale > 0, but got dim={dim}, scale={scale}")
        self.dim, self.scale = dim, float(scale)
        self.log_z = dim / 2 * math.log(2 * math.pi) + math.log(self.scale)

    def __call__(self, x: Tensor) -> Tensor:
        v, rest = self.columns(x)[0], self.columns(x)[1:]
        squares = rest.square().sum(0)
        return ((v / self.scale).square() + squares * (-v).exp() + (self.dim - 1) * v) / 2

    def value_and_grad(self, x: Tensor) -> tuple[Tensor, Tensor]:
        v, rest = self.columns(x)[0], self.columns(x)[1:]
        precision = (-v).exp()
        weighted = rest.square().sum(0) * precision
        u = ((v / self.scale).square() + weighted + (self.dim - 1) * v) / 2
        grad_v = v / self.scale**2 + ((self.dim - 1) - weighted) / 2
        return u, torch.cat([grad_v[None], rest * precision]).T

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        z = self._normal(n, self.dim, generator)
        z[:, 0] *= self.scale
        z[:, 1:] *= (z[:, :1] / 2).exp()
        return z


class DoubleWell(Landscape):
    """Two wells at x1 = -a and x1 = a with a barrier of h nats between them, Gaussian elsewhere.

    `U(x) = h ((x1 / a)^2 - 1)^2 + sum_{i > 1} x_i^2 / 2`. barrier: h. half_width: a.
    `log_z` by quadrature along x1, to 1e-12.
    """

    def __init__(self, barrier: float = 4.0, half_width: float = 1.5, dim: int = 2):
        if not (barrier > 0 and half_width > 0 and dim >= 1):
            raise ValueError(
                "a double well needs barrier > 0, half_width > 0 and dim >= 1, "
                f"but got barrier={barrier}, half_width={half_width}, dim={dim}"
            )
        self.barrier, self.half_width, self.dim = float(barrier), float(half_width), dim
        # The integrand is smooth and vanishes at both ends, where the trapezoid rule converges fastest.
        reach = math.sqrt(1 + math.sqrt(60 / self.barrier))
        t = torch.linspace(-reach, reach, 4001, dtype=torch.float64)
        integral = torch.trapezoid((-self.barrier * (t.square() - 1).square()).exp(), t).item()
        self.log_z = math.log(self.half_width * integral) + (dim - 1) / 2 * math.log(2 * math.pi)

    def __call__(self, x: Tensor) -> Tensor:
        return self.value_and_grad(x)[0]

    def value_and_grad(self, x: Tensor) -> tuple[Tensor, Tensor]:
        columns = self.columns(x)
        t, rest = columns[0] / self.half_width, columns[1:]
        off = t.square() - 1
        grad_first = 4 * self.barrier / self.half_width * t * off
        return self.barrier * off.square() + rest.square().sum(0) / 2, torch.cat([grad_first[None], rest]).T

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Exact, by rejection: for t > 0, (t^2 - 1)^2 >= (t - 1)^2, so a Gaussian lies above each well."""

        def propose(m: int) -> tuple[Tensor, Tensor]:
            x = self._normal(m, self.dim, generator)
            t = 1 + x[:, 0] / math.sqrt(2 * self.barrier)
            log_ratio = self.barrier * ((t - 1).square() - (t.square() - 1).square())
            accepted = (t > 0) & (self._uniform(m, generator).log() < log_ratio)
            side = torch.where(self._uniform(m, generator) < 0.5, -1.0, 1.0)
            x[:, 0] = self.half_width * t * side
            return x, accepted

        return self._accepted(n, propose)


class Kidney(Landscape):
    """Two kidneys that face each other: a ring of radius R, thick where x1 is near R or -R.

    `U(x) = ((|x| - R) / w)^2 / 2 - log sum_s exp(-((x1 - s R) / l)^2 / 2)`, s = -1, 1.
    radius: R. width: w of the ring. lobe: l along x1. `log_z` by quadrature, to 1e-9. The slides on
    variational annealing show a kidney-shaped density without a formula; this one, of the kind of
    Rezende & Mohamed (2015, table 1), is our choice.
    """

    dim = 2

    def __init__(self, radius: float = 2.0, width: float = 0.4, lobe: float = 0.6):
        if not (radius > 0 and width > 0 and lobe > 0):
            raise ValueError(
                "a kidney needs radius, width and lobe > 0, "
                f"but got radius={radius}, width={width}, lobe={lobe}"
            )
        self.radius, self.width, self.lobe = float(radius), float(width), float(lobe)
        reach = self.radius + 8 * self.width
        axis = torch.linspace(-reach, reach, 801, dtype=torch.float64)
        density = torch.exp(-self(torch.cartesian_prod(axis, axis))).view(801, 801)
        self.log_z = torch.trapezoid(torch.trapezoid(density, axis), axis).log().item()

    def _lobes(self, x1: Tensor) -> Tensor:
        """`[2, C]`: the log of each lobe."""
        return torch.stack([-((x1 + side * self.radius) / self.lobe).square() / 2 for side in (-1.0, 1.0)])

    def __call__(self, x: Tensor) -> Tensor:
        columns = self.columns(x)
        ring = ((columns.norm(dim=0) - self.radius) / self.width).square() / 2
        return ring - self._lobes(columns[0]).logsumexp(0)

    def value_and_grad(self, x: Tensor) -> tuple[Tensor, Tensor]:
        columns = self.columns(x)
        norm = columns.norm(dim=0)
        off = (norm - self.radius) / self.width
        lobes = self._lobes(columns[0])
        owner = torch.softmax(lobes, 0)
        grad = columns * (off / self.width / norm.clamp(min=1e-12))
        grad[0] += (columns[0] - (owner[0] - owner[1]) * self.radius) / self.lobe**2
        return off.square() / 2 - lobes.logsumexp(0), grad.T

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Exact, by rejection from the whole ring, whose radius has the density r exp(-(r - R)^2 / 2 w^2)."""
        mean = self.radius + self.width**2 / self.radius  # log r <= log R + (r - R) / R shifts the Gaussian
        log_bound = math.log1p(math.exp(-2 * (self.radius / self.lobe) ** 2)) + math.log(2)

        def propose(m: int) -> tuple[Tensor, Tensor]:
            r = mean + self.width * self._normal(m, 1, generator)[:, 0]
            angle = 2 * math.pi * self._uniform(m, generator)
            x = torch.stack([r * angle.cos(), r * angle.sin()], 1)
            log_ratio = (r / self.radius).log() - (r - self.radius) / self.radius
            log_ratio = log_ratio + self._lobes(x[:, 0]).logsumexp(0) - log_bound
            return x, (r > 0) & (self._uniform(m, generator).log() < log_ratio)

        return self._accepted(n, propose)
