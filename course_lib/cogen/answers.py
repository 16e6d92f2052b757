"""From samples to an answer: the mean picture, one picture, and how sure one may be of each pixel."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from course_lib.cogen.cogenerate import Cogeneration
from course_lib.cogen.network import frozen
from course_lib.cogen.posterior import LatentPosterior


class Interval(NamedTuple):
    """Central interval of every coordinate, each `[B, D]`."""

    low: Tensor
    high: Tensor


def posterior_mean(out: Cogeneration) -> Tensor:
    """The mean completion `[B, D]`: the picture with the smallest expected squared error."""
    return (out.weights[..., None].to(out.x) * out.x).sum(1)


def interval(out: Cogeneration, level: float = 0.9, noise_var: float = 0.0) -> Interval:
    """The central `level` interval of every coordinate, from weighted samples.

    noise_var: variance of the pixel noise around G(z), whose quantile is added in quadrature; 0 speaks of
    G(z) itself.
    """
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, but it is {level}")
    x, order = out.x.sort(1)
    mass = out.weights[..., None].expand_as(out.x).gather(1, order).cumsum(1)
    ends = []
    for share in ((1 - level) / 2, (1 + level) / 2):
        index = (mass < share).sum(1, keepdim=True).clamp(max=x.shape[1] - 1)
        ends.append(x.gather(1, index)[:, 0])
    if noise_var:
        mean = posterior_mean(out)
        spread = torch.special.ndtri(torch.tensor((1 + level) / 2, dtype=torch.float64)) * noise_var**0.5
        ends = [mean + sign * ((end - mean).square() + spread**2).sqrt() for sign, end in zip((-1, 1), ends)]
    return Interval(*ends)


def project(
    posterior: LatentPosterior, mean: Tensor, z: Tensor, steps: int = 100, lr: float = 0.05
) -> Tensor:
    """One picture of the generator near the mean: descend on ||G(z) - mean||^2 from the nearest of `z`.

    mean: `[B, D]`. z: `[B, n, d]`, the samples. Returns `[B, D]`. A mean is no picture of the generator; this
    is the sharp one closest to it.
    """
    generate = posterior.fit.generate
    with frozen(posterior.generator):
        with torch.no_grad():
            x = generate(z.flatten(0, 1)).view(*z.shape[:2], -1)
        nearest = (x - mean[:, None]).square().sum(-1).argmin(1)
        point = z[torch.arange(len(z)), nearest].clone().requires_grad_()
        optimizer = torch.optim.Adam([point], lr=lr)
        for _ in range(steps):
            optimizer.zero_grad()
            (posterior.generator(point).flatten(1) - mean).square().sum().backward()
            optimizer.step()
        with torch.no_grad():
            return generate(point)
