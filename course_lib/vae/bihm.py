"""Bidirectional Helmholtz machines: the model is the geometric mean of a generator and a recogniser.

Bornschein, Shabanian, Fischer & Bengio (2016): p*(x, h) = sqrt(p(x, h) q(x, h)) / Z with q(x) = p*(x), so
`p*(x) = (sum_h sqrt(p(x, h) q(h | x)))^2 / Z^2` and p~*(x) = Z^2 p*(x) is a lower bound of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.sampling import log_mean_exp, weight_ess
from course_lib.vae.training import History, climb


class BiHMEstimate(NamedTuple):
    """Importance estimates from K draws of q(h | x), nats per example, each `[B]`."""

    log_p: Tensor
    """log p(x) of the generator alone"""
    log_p_star: Tensor
    """log p~*(x), the bound; subtract `log_z2` for log p*(x)"""
    elbo: Tensor
    """E_q[log p(x, h) - log q(h | x)]"""
    ess: Tensor
    """effective share of the K draws, 1 / K to 1"""


def log_bernoulli(logits: Tensor, x: Tensor) -> Tensor:
    """log of the probability of 0/1 units `x`, `[..., n] -> [...]`."""
    return (x * logits - F.softplus(logits)).sum(-1)


def coin(logits: Tensor, generator: torch.Generator | None) -> Tensor:
    """0/1 units with these logits."""
    return torch.bernoulli(logits.detach().sigmoid(), generator=generator)


class BiHM(nn.Module):
    """L layers of 0/1 units, `sizes = (D, n_1, ..., n_L)`: p runs from the top down, q from x up.

    A state is the list `[x, h_1, ..., h_L]`, each `[..., B, n_l]`.
    """

    def __init__(self, sizes: Sequence[int]):
        super().__init__()
        if len(sizes) < 2 or min(sizes) < 1:
            raise ValueError(f"a BiHM needs a data size and at least one layer, but got {list(sizes)}")
        self.sizes = tuple(sizes)
        pairs = list(zip(self.sizes[:-1], self.sizes[1:], strict=True))
        self.down = nn.ModuleList(nn.Linear(above, below) for below, above in pairs)
        self.up = nn.ModuleList(nn.Linear(below, above) for below, above in pairs)
        self.top = nn.Parameter(torch.zeros(self.sizes[-1]))

    def check(self, x: Tensor) -> Tensor:
        """`x: [B, D]` if it is data for this model; ValueError otherwise."""
        if x.dim() != 2 or x.shape[1] != self.sizes[0]:
            raise ValueError(f"data must have shape [B, {self.sizes[0]}], but x has {list(x.shape)}")
        if not ((x == 0) | (x == 1)).all():
            raise ValueError("the units of a BiHM are 0 or 1: binarise the data first, for example x > .5")
        return x

    def log_p(self, h: Sequence[Tensor]) -> Tensor:
        """log p(x, h) of a state, `[..., B]`."""
        top = log_bernoulli(self.top.expand_as(h[-1]), h[-1])
        return top + sum(log_bernoulli(net(h[i + 1]), h[i]) for i, net in enumerate(self.down))

    def log_q(self, h: Sequence[Tensor]) -> Tensor:
        """log q(h | x) of a state, `[..., B]`."""
        return sum(log_bernoulli(net(h[i]), h[i + 1]) for i, net in enumerate(self.up))

    def recognise(self, x: Tensor, K: int, generator: torch.Generator | None = None) -> list[Tensor]:
        """K draws of q(h | x) for each row of `x: [B, D]`: a state of `[K, B, n_l]`."""
        h = [x.expand(K, *x.shape)]
        for net in self.up:
            h.append(coin(net(h[-1]), generator))
        return h

    def dream(self, n: int, generator: torch.Generator | None = None) -> list[Tensor]:
        """n draws of the generator p(x, h): a state of `[n, n_l]`."""
        h = [coin(self.top.expand(n, -1), generator)]
        for net in reversed(self.down):
            h.insert(0, coin(net(h[0]), generator))
        return h

    def objective(self, x: Tensor, K: int = 10, *, generator: torch.Generator | None = None) -> Tensor:
        """A surrogate `[B]` whose gradient is algorithm 1 of the paper, ascending log p~*(x).

        Its gradient is sum_k w_k grad log(p(x, h_k) q(h_k | x)), weights sqrt(p / q) normalised over the K
        draws; 1 / K is taken from those of q, whose score has mean zero. The value is that of log p~*.
        """
        h = self.recognise(x, K, generator)
        log_p, log_q = self.log_p(h), self.log_q(h)
        log_w = (log_p - log_q).detach() / 2
        w = log_w.softmax(0)
        path = (w * log_p + (w - 1 / K) * log_q).sum(0)
        return path - path.detach() + 2 * log_mean_exp(log_w, 0).to(path)

    @torch.no_grad()
    def estimate(self, x: Tensor, K: int = 1000, *, generator: torch.Generator | None = None) -> BiHMEstimate:
        """Importance estimates for each row of `x: [B, D]` from K draws of q(h | x)."""
        h = self.recognise(self.check(x), K, generator)
        log_ratio = self.log_p(h) - self.log_q(h)
        return BiHMEstimate(
            log_mean_exp(log_ratio, 0),
            2 * log_mean_exp(log_ratio / 2, 0),
            log_ratio.mean(0),
            weight_ess(log_ratio / 2, 0) / K,
        )

    @torch.no_grad()
    def log_z2(self, n: int = 20_000, *, generator: torch.Generator | None = None) -> float:
        """The estimate of log Z^2 <= 0, minus twice the Bhattacharyya distance of p and q.

        Z^2 = sum_x p~*(x) = E[sqrt(q(h | x) / p(x, h)) sqrt(p(x, h') / q(h' | x))] over x, h ~ p and
        h' ~ q(. | x), two independent halves of the square.
        """
        h = self.dream(n, generator)
        other = [layer[0] for layer in self.recognise(h[0], 1, generator)]
        log_a = (self.log_q(h) - self.log_p(h) + self.log_p(other) - self.log_q(other)) / 2
        return log_mean_exp(log_a).item()

    @torch.no_grad()
    def gibbs(
        self,
        h: list[Tensor],
        steps: int,
        *,
        known: Tensor | None = None,
        K: int = 10,
        generator: torch.Generator | None = None,
    ) -> list[Tensor]:
        """`steps` sweeps of a chain that leaves p*(x, h) invariant, from the state `h` of `[B, n_l]`.

        known: `[D]` or `[B, D]`, True where pixels are given and must stay: inpainting. Hidden units are
        drawn one by one from their exact conditionals. x is proposed from p(x | h_1) and accepted by
        Metropolis; the intractable sqrt(q(x)) is replaced by its unbiased estimate from K draws, kept with
        the state, which leaves the chain exact (pseudo-marginal: Andrieu & Roberts, 2009).
        """
        h = [layer.clone() for layer in h]
        free = torch.ones_like(h[0]) if known is None else (~known.expand_as(h[0])).to(h[0])
        log_s = self._log_root(h[0], K, generator)
        for _ in range(steps):
            for layer in range(1, len(h)):
                self._sweep_units(h, layer, generator)
            logits = self.down[0](h[1])
            new = torch.where(free > 0, coin(logits, generator), h[0])
            new_s = self._log_root(new, K, generator)
            log_ratio = new_s - log_s
            for x, sign in ((new, 1), (h[0], -1)):
                unit = x * logits - F.softplus(logits)
                proposal, joint = (free * unit).sum(-1), unit.sum(-1)
                log_ratio += sign * ((joint + log_bernoulli(self.up[0](x), h[1])) / 2 - proposal)
            chance = torch.empty_like(log_ratio).uniform_(generator=generator)
            accepted = chance.log() < log_ratio
            h[0] = torch.where(accepted[:, None], new, h[0])
            log_s = torch.where(accepted, new_s, log_s)
        return h

    def _log_root(self, x: Tensor, K: int, generator: torch.Generator | None) -> Tensor:
        """log of the unbiased estimate of Z sqrt(q(x)) = sum_h sqrt(p(x, h) q(h | x)), `[B]`."""
        h = self.recognise(x, K, generator)
        return log_mean_exp((self.log_p(h) - self.log_q(h)) / 2, 0).to(x)

    def _sweep_units(self, h: list[Tensor], layer: int, generator: torch.Generator | None) -> None:
        """Draw every unit of one hidden layer, in place, from p*(unit | all others)."""
        units, below, above = h[layer], h[layer - 1], layer + 1 < len(h)
        logits = self.up[layer - 1](below)
        logits = logits + (self.down[layer](h[layer + 1]) if above else self.top)
        neighbours = [(self.down[layer - 1], below)] + ([(self.up[layer], h[layer + 1])] if above else [])
        for j in range(units.shape[-1]):
            units[:, j] = 0.0
            logit = logits[:, j].clone()
            for net, target in neighbours:
                off = net(units)
                weight = net.weight[:, j]
                logit += (target * weight - F.softplus(off + weight) + F.softplus(off)).sum(-1)
            units[:, j] = coin(logit / 2, generator)


def train_bihm(
    model: BiHM,
    data: Tensor,
    *,
    K: int = 10,
    epochs: int = 60,
    batch: int = 100,
    lr: float = 3e-3,
    watch: Callable[[nn.Module], object] | None = None,
    generator: torch.Generator | None = None,
    progress: bool = False,
) -> History:
    """Algorithm 1 of the paper by Adam: `data [N, D]` of 0/1; `History.bound` is the estimate of log p~*."""
    model.check(data)
    with torch.no_grad():  # start from the pixels' own frequencies, so that the layers learn what they add
        model.down[0].bias.copy_(data.mean(0).clamp(0.02, 0.98).logit())
    return climb(
        model,
        data,
        lambda x: model.objective(x, K, generator=generator),
        epochs=epochs,
        batch=batch,
        lr=lr,
        watch=watch,
        generator=generator,
        progress=progress,
    )
