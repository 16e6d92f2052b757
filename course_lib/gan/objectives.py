"""What the two players pay: every objective of the lecture, as three functions of a logit.

A critic gives each sample one logit, high meaning real. An objective says what the critic pays for a
real sample, what it pays for a fake, and what the generator pays for a fake; both players descend.
All are written in logits, never through log(sigmoid(...)), and so hold at logits of 50 and more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import relu, softplus

Pay = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Objective:
    """A pair of losses on logits `[..., B]`; each reduces the last axis only, so that seeds stay apart.

    Objectives mix: `replace(nonsaturating, fool=rkl.fool)` trains a classifier and takes its logit as the
    log density ratio.
    """

    name: str
    real: Pay
    """elementwise: what the critic pays for a real sample with this logit"""
    fake: Pay
    """elementwise: what the critic pays for a fake"""
    fool: Pay
    """elementwise: what the generator pays for a fake"""
    optimum: Callable[[Tensor, Tensor], Tensor] | None = None
    """the best logit where data have density p and fakes q; None where there is none without a bound"""

    def d(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """The critic's loss `[...]` from logits `[..., B]` of real and fake samples."""
        return self.real(real_logits).mean(-1) + self.fake(fake_logits).mean(-1)

    def g(self, fake_logits: Tensor) -> Tensor:
        """The generator's loss `[...]`."""
        return self.fool(fake_logits).mean(-1)


def _log_ratio(p: Tensor, q: Tensor) -> Tensor:
    return p.log() - q.log()


# Goodfellow et al. (2014). With D = sigmoid(l): -log D = softplus(-l) and -log(1 - D) = softplus(l).
minimax = Objective("minimax", lambda s: softplus(-s), softplus, lambda s: -softplus(s), _log_ratio)
"""The game of the paper's equation (1). The generator's slope is -sigmoid(l), nothing where D is sure."""

nonsaturating = replace(minimax, name="non-saturating", fool=lambda s: softplus(-s))
"""The paper's remedy: the generator raises log D. What most code calls "the GAN loss"."""

wasserstein = Objective("Wasserstein", lambda s: -s, lambda s: s, lambda s: -s)
"""Arjovsky et al. (2017). Means something only for a critic of bounded slope: see penalties and `clipped`."""

hinge = Objective(
    "hinge",
    lambda s: relu(1 - s),
    lambda s: relu(1 + s),
    lambda s: -s,
    lambda p, q: torch.sign(p - q),
)
"""Lim & Ye (2017): the critic stops caring beyond a margin of 1."""

rkl = Objective("reverse KL", lambda s: torch.exp(-s), lambda s: s, lambda s: -s, _log_ratio)
"""Reverse KL(fake || data) (Tao et al., 2019), with D = -exp(-l), which is -q/p at the optimum l = log p/q.

There the critic's loss is 1 - KL(q || p) and the generator's gradient is exactly that of KL(q || p). The
term exp(-l) has infinite variance once the fakes are much wider than the data (for Gaussians, variance
above twice the data's); `replace(nonsaturating, fool=rkl.fool)` has the same optimum without that.
"""


def least_squares(a: float = 0.0, b: float = 1.0, c: float = 1.0) -> Objective:
    """LSGAN (Mao et al., 2016, equation 2): targets a of fakes, b of data, and c that the generator aims at.

    The best critic is (b p + a q) / (p + q). With b - c = 1 and b - a = 2 the generator minimises the Pearson
    chi-square divergence between p + q and 2 q.
    """
    return Objective(
        "least squares",
        lambda s: (s - b).square() / 2,
        lambda s: (s - a).square() / 2,
        lambda s: (s - c).square() / 2,
        lambda p, q: (b * p + a * q) / (p + q),
    )


def ebgan(margin: float = 1.0) -> Objective:
    """Energy-based GAN (Zhao et al., 2016): `E(real) + [margin - E(fake)]^+`, the logit being -E, E >= 0.

    Use it with `nets.autoencoder_critic`, whose energy is the reconstruction error. Raises ValueError unless
    margin > 0.
    """
    if not margin > 0:
        raise ValueError(
            f"ebgan needs a positive margin, the energy that fakes are pushed up to, not {margin}"
        )
    return Objective(
        f"energy-based, margin {margin:g}",
        lambda s: -s,
        lambda s: relu(margin + s),
        lambda s: -s,
        lambda p, q: torch.where(p > q, 0.0, -margin),
    )


def smooth_real(objective: Objective, alpha: float = 0.9) -> Objective:
    """One-sided label smoothing (Salimans et al., 2016): call the data real with probability alpha only.

    Fakes keep their hard label. Smoothing these too would put alpha p + (1 - alpha) q into D's numerator, and
    far from the data, where q >> p, D would be flat: stray fakes would feel no pull.
    """
    if not 0.5 < alpha <= 1:
        raise ValueError(f"alpha is the label of real data and lies in (.5, 1], but it is {alpha}")
    best = objective.optimum
    return replace(
        objective,
        name=f"{objective.name}, real labels {alpha:g}",
        real=lambda s: alpha * objective.real(s) + (1 - alpha) * objective.fake(s),
        optimum=best and (lambda p, q: best(alpha * p, (1 - alpha) * p + q)),
    )


def critic_only(objective: Objective) -> Objective:
    """The same critic, and a generator that learns from its `terms` alone, as in feature matching."""
    return replace(objective, name=f"{objective.name}, critic only", fool=lambda s: 0 * s)
