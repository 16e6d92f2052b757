"""Distances between two sets of samples, and what a critic says about them."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import softplus


def _pair(x: Tensor, y: Tensor, what: str) -> None:
    if x.dim() < 2 or x.dim() != y.dim() or x.shape[-1] != y.shape[-1] or not x.shape[-2] or not y.shape[-2]:
        raise ValueError(
            f"{what} compares samples [N, D] with samples [M, D], but got {list(x.shape)} and {list(y.shape)}"
        )


@torch.no_grad()
def wasserstein(x: Tensor, y: Tensor, p: int = 1) -> float:
    """The exact Wasserstein-p distance of two empirical measures, `x [N, D]` and `y [M, D]`, in units of x.

    Solved as a transport problem by POT (Flamary et al., 2021); around a second at N = M = 2,500. Two
    independent sets of the same law are not at 0 but at the noise floor: draw it beside.
    """
    import ot

    _pair(x, y, "wasserstein")
    if x.dim() != 2 or p not in (1, 2):
        raise ValueError(f"wasserstein takes [N, D] and [M, D], and p 1 or 2, but got {list(x.shape)}, p={p}")
    cost = torch.cdist(x.double(), y.double(), compute_mode="donot_use_mm_for_euclid_dist").pow(p).cpu()
    return float(ot.emd2([], [], cost.numpy(), numItermax=10_000_000)) ** (1 / p)


@torch.no_grad()
def js_estimate(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """The Jensen-Shannon divergence as a classifier sees it, nats, `[..., B] -> [...]`.

    `log 2 - (E softplus(-l_real) + E softplus(l_fake)) / 2`, which is JS for the best classifier and less for
    any other (Goodfellow et al., 2014, theorem 1); at most log 2.
    """
    return math.log(2) - (softplus(-real_logits).mean(-1) + softplus(fake_logits).mean(-1)) / 2


@torch.no_grad()
def two_sample(x: Tensor, y: Tensor, k: int = 1) -> Tensor:
    """Accuracy of a leave-one-out k-nearest-neighbour classifier, x against y (Lopez-Paz & Oquab, 2017).

    `x, y: [..., N, D] -> [...]`. About .5 if both have the same law, 1 if they can be told apart; below .5
    where fakes are copies of the data. Equal numbers of samples, k odd.
    """
    _pair(x, y, "two_sample")
    n = x.shape[-2]
    if x.shape != y.shape or k < 1 or k % 2 == 0 or k >= 2 * n:
        raise ValueError(
            "two_sample needs as many x as y and an odd k < 2 N, "
            f"but got {list(x.shape)}, {list(y.shape)}, k={k}"
        )
    both = torch.cat([x, y], -2)
    distance = torch.cdist(both, both, compute_mode="donot_use_mm_for_euclid_dist")
    distance.diagonal(dim1=-2, dim2=-1).fill_(math.inf)
    near = distance.topk(k, largest=False).indices >= n  # is each neighbour one of y?
    said = near.float().mean(-1) > 0.5
    return (said == (torch.arange(2 * n, device=x.device) >= n)).float().mean(-1)


@torch.no_grad()
def frechet(x: Tensor, y: Tensor) -> Tensor:
    """The Fréchet distance of Gaussians fitted to two sets of features, `[..., N, F] -> [...]`, in units^2.

    `|m_x - m_y|^2 + tr(C_x + C_y - 2 (C_x C_y)^(1/2))` (Dowson & Landau, 1982; Heusel et al., 2017). What it
    means depends on the features and on N: compare only with the same of both.
    """
    _pair(x, y, "frechet")
    if x.shape[-2] < 2 or y.shape[-2] < 2:
        raise ValueError("frechet fits covariances and needs at least 2 samples of each")
    x, y = x.double(), y.double()
    (mx, cx), (my, cy) = ((a.mean(-2), _covariance(a)) for a in (x, y))
    root = _root(cx)  # C_x C_y is similar to the symmetric root C_y root, whose eigenvalues are safe to take
    cross = torch.linalg.eigvalsh(root @ cy @ root).clamp(min=0).sqrt().sum(-1)
    trace = (cx + cy).diagonal(dim1=-2, dim2=-1).sum(-1)
    return (mx - my).square().sum(-1) + trace - 2 * cross


def _covariance(x: Tensor) -> Tensor:
    centred = x - x.mean(-2, keepdim=True)
    return centred.mT @ centred / (x.shape[-2] - 1)


def _root(c: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(c)
    return (vectors * values.clamp(min=0).sqrt()[..., None, :]) @ vectors.mT
