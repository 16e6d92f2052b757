"""The few small networks that chapters share: one definition for a single net and for S seeds at once."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn


class SeedLinear(nn.Module):
    """S independent linear layers: `[..., B, in]` (shared) or `[S, B, in]` -> `[S, B, out]`.

    Each is initialised like `nn.Linear`; one batched product
    trains S seeds in little more than the time of one.
    """

    def __init__(self, seeds: int, n_in: int, n_out: int):
        super().__init__()
        bound = 1 / math.sqrt(n_in)
        self.weight = nn.Parameter(torch.empty(seeds, n_in, n_out).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(seeds, 1, n_out).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() == 2:
            x = x.expand(len(self.weight), *x.shape)
        return torch.baddbmm(self.bias, x, self.weight)


class MLP(nn.Sequential):
    """A multilayer perceptron; `latent_dim` is its input width, which generators are asked for."""

    def __init__(self, sizes: Sequence[int], activation: Callable[[], nn.Module], seeds: int | None):
        layers: list[nn.Module] = []
        for n_in, n_out in itertools.pairwise(sizes):
            layers += [
                nn.Linear(n_in, n_out) if seeds is None else SeedLinear(seeds, n_in, n_out),
                activation(),
            ]
        super().__init__(*layers[:-1])
        self.latent_dim, self.seeds = sizes[0], seeds


def mlp(sizes: Sequence[int], seeds: int | None = None, activation: Callable[[], nn.Module] = nn.ReLU) -> MLP:
    """A perceptron `[B, sizes[0]] -> [B, sizes[-1]]`; with `seeds=S`, S of them, `-> [S, B, sizes[-1]]`.

    Raises ValueError unless there are at least two positive sizes and `seeds` is None or positive.
    """
    if len(sizes) < 2 or min(sizes) < 1 or (seeds is not None and seeds < 1):
        raise ValueError(
            f"mlp needs at least two positive sizes, and seeds >= 1 or None, but got {list(sizes)}, {seeds}"
        )
    return MLP(sizes, activation, seeds)
