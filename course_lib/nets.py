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


def linear(n_in: int, n_out: int, seeds: int | None = None) -> nn.Module:
    """A linear layer, or `seeds` independent ones."""
    return nn.Linear(n_in, n_out) if seeds is None else SeedLinear(seeds, n_in, n_out)


class MLP(nn.Sequential):
    """A multilayer perceptron; `latent_dim` is its input width, which generators are asked for."""

    def __init__(
        self,
        sizes: Sequence[int],
        activation: Callable[[], nn.Module],
        seeds: int | None,
        norm: Callable[[int], nn.Module] | None = None,
        output: Callable[[], nn.Module] | None = None,
    ):
        layers: list[nn.Module] = []
        for n_in, n_out in itertools.pairwise(sizes[:-1]):
            layers += [linear(n_in, n_out, seeds), *([norm(n_out)] if norm else []), activation()]
        super().__init__(*layers, linear(sizes[-2], sizes[-1], seeds), *([output()] if output else []))
        self.latent_dim, self.seeds = sizes[0], seeds


def mlp(
    sizes: Sequence[int],
    seeds: int | None = None,
    activation: Callable[[], nn.Module] = nn.ReLU,
    *,
    norm: Callable[[int], nn.Module] | None = None,
    output: Callable[[], nn.Module] | None = None,
) -> MLP:
    """A perceptron `[B, sizes[0]] -> [B, sizes[-1]]`; with `seeds=S`, S of them, `-> [S, B, sizes[-1]]`.

    norm: makes a layer for each hidden width, between the linear layer and the activation.
    output: makes a layer for the end, as `nn.Tanh` does for pictures in [-1, 1].
    Raises ValueError unless there are at least two positive sizes and `seeds` is None or positive.
    """
    if len(sizes) < 2 or min(sizes) < 1 or (seeds is not None and seeds < 1):
        raise ValueError(
            f"mlp needs at least two positive sizes, and seeds >= 1 or None, but got {list(sizes)}, {seeds}"
        )
    return MLP(sizes, activation, seeds, norm, output)


class Critic(nn.Module):
    """Features, then one logit per sample: `x -> [..., B]`; high means real.

    features: a module `x -> [..., B, F]`; feature matching compares what it says.
    head: a module `[..., B, F] -> [..., B, 1]`.
    seeds: how many critics in one, None for a single one: it tells batch axes from feature axes.
    """

    def __init__(self, features: nn.Module, head: nn.Module, seeds: int | None = None):
        super().__init__()
        self.features, self.head, self.seeds = features, head, seeds

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x)).squeeze(-1)


def critic(
    sizes: Sequence[int],
    seeds: int | None = None,
    activation: Callable[[], nn.Module] = nn.ReLU,
    *,
    last: nn.Module | None = None,
) -> Critic:
    """A perceptron with one logit per sample: `[B, sizes[0]] -> [B]`; with `seeds=S`, `[S, B, …] -> [S, B]`.

    sizes: as for `mlp`, and the last must be 1. last: a module before the output unit, `[..., B, sizes[-2]]
    -> [..., B, last.n_out]`, as `gan.MinibatchDiscrimination` is.
    """
    if len(sizes) < 3 or min(sizes) < 1 or sizes[-1] != 1 or (seeds is not None and seeds < 1):
        raise ValueError(
            "critic needs positive sizes [in, hidden, …, 1], the last being 1, and seeds >= 1 or None, "
            f"but got {list(sizes)}, {seeds}"
        )
    hidden = mlp(sizes[:-1], seeds, activation, output=activation)
    if last is None:
        return Critic(hidden, linear(sizes[-2], 1, seeds), seeds)
    return Critic(hidden, nn.Sequential(last, linear(int(last.n_out), 1, seeds)), seeds)


class AutoencoderCritic(nn.Module):
    """A critic that is an auto-encoder: its logit is minus the reconstruction error (Zhao et al., 2016).

    `encode(x) -> [..., B, sizes[-1]]`, `decode` back, and `forward(x) -> [..., B]` is minus the root mean
    square over the features, so that a margin means the same whatever their number.
    """

    def __init__(self, sizes: Sequence[int], seeds: int | None, activation: Callable[[], nn.Module]):
        super().__init__()
        self.encode = mlp(sizes, seeds, activation)
        self.decode = mlp(sizes[::-1], seeds, activation)
        self.seeds = seeds

    def forward(self, x: Tensor) -> Tensor:
        error = (self.decode(self.encode(x)) - x).square().mean(-1)
        return -(error + 1e-12).sqrt()  # the root has no slope at 0


def autoencoder_critic(
    sizes: Sequence[int], seeds: int | None = None, activation: Callable[[], nn.Module] = nn.ReLU
) -> AutoencoderCritic:
    """An energy-based critic; `sizes` runs from the data to the code, `[64, 128, 32]`, and back again."""
    return AutoencoderCritic(sizes, seeds, activation)


def he_init(net: nn.Module) -> nn.Module:
    """Weights of variance 2 / fan-in, no bias (He et al., 2015): deep ReLU nets stay alive. Returns `net`."""
    return _init(net, lambda fan_in, fan_out: 2 / fan_in)


def xavier_init(net: nn.Module) -> nn.Module:
    """Weights of variance 2 / (fan-in + fan-out) and no bias (Glorot & Bengio, 2010). Returns `net`."""
    return _init(net, lambda fan_in, fan_out: 2 / (fan_in + fan_out))


def _init(net: nn.Module, variance: Callable[[int, int], float]) -> nn.Module:
    with torch.no_grad():
        for layer in net.modules():
            if isinstance(layer, nn.Linear | SeedLinear):
                fans = layer.weight.shape[-2:]  # [in, out] of ours, [out, in] of torch's
                fan_in, fan_out = fans[::-1] if isinstance(layer, nn.Linear) else fans
                bound = math.sqrt(3 * variance(fan_in, fan_out))  # uniform on [-b, b]: b^2 / 3
                layer.weight.uniform_(-bound, bound)
                layer.bias.zero_()
    return net
