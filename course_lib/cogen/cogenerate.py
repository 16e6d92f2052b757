"""Sampling what is hidden: annealed importance sampling by HMC in the generator's latent space."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from course_lib.cogen.network import frozen
from course_lib.cogen.posterior import LatentPosterior
from course_lib.sampling import HMC, Annealed, Kept, ais, geometric_betas, pilot, smc, systematic


class Cogeneration(NamedTuple):
    """n weighted completions of each of B observations."""

    z: Tensor
    """`[B, n, d]`"""
    x: Tensor
    """`[B, n, D]`, G(z)"""
    log_w: Tensor
    """`[B, n]`, float64; all equal after resampling"""
    log_evidence: Tensor
    """`[B]`: the estimate of log p(x_o), comparable between noise levels and generators"""
    weight_ess: Tensor
    """`[B]`: effective number of the n chains, before the last resampling"""
    acceptance: Tensor
    """mean acceptance at each temperature"""
    kept: list[Kept]
    """the populations that `keep` asked for, for the explorer"""
    betas: Tensor
    finished: bool

    @property
    def weights(self) -> Tensor:
        """`[B, n]`, adding up to one for each observation."""
        return self.log_w.softmax(1)


def cogenerate(
    posterior: LatentPosterior,
    n: int = 100,
    *,
    anneal: Literal["ais", "smc"] = "ais",
    path: Literal["posterior", "literal"] = "posterior",
    betas: Sequence[float] | Tensor | None = None,
    kernel: HMC | Sequence[HMC] | None = None,
    moves: int | None = None,
    resample_below: float | None = 0.9,
    resample_at_end: bool = True,
    cess: float = 0.9,
    warm_start: int = 5000,
    keep: Iterable[int] = (),
    generator: torch.Generator | None = None,
    progress: bool = False,
) -> Cogeneration:
    """n completions of each observation by annealed HMC (Fang & Schwing, 2019, algorithm 1), with weights.

    anneal="ais": `betas` (default: 400 geometric steps from 1e-4) and `kernel` as given; kernel=None runs a
    pilot (10 leapfrogs, jitter .5) and freezes its step sizes. Groups resample when their ESS falls below
    `resample_below` n, and once more at the end. anneal="smc": temperatures by conditional ESS
    `cess`, an importance warm start from `warm_start` prior draws, the population's own metric; every
    observation at its own pace.
    moves: HMC steps per temperature, by default 1 for "ais" and 3 for "smc".
    The generator is put in eval mode and its weights are frozen meanwhile. keep: temperature indices (for
    "smc" any non-empty value keeps all).
    """
    if anneal not in ("ais", "smc"):
        raise ValueError(f'anneal must be "ais" or "smc", but it is {anneal!r}')
    bridge, groups = posterior.bridge(path), len(posterior.x_o)
    moves = (3 if anneal == "smc" else 1) if moves is None else moves
    options: dict[str, Any] = {"moves": moves, "groups": groups, "generator": generator, "progress": progress}
    with frozen(posterior.generator):
        if anneal == "smc":
            if isinstance(kernel, Sequence):
                raise ValueError("smc adapts one kernel as it goes; pass a single HMC, or None")
            out = smc(bridge, n, kernel=kernel, cess=cess, warm_start=warm_start, keep=bool(keep), **options)
        else:
            betas = geometric_betas(400, 1e-4) if betas is None else betas
            if kernel is None:
                start = HMC(0.3, 10, jitter=0.5)
                kernel = pilot(bridge, min(n, 20), betas, start, groups=groups, generator=generator)
            out = ais(bridge, n, betas, kernel, resample_below=resample_below, keep=keep, **options)
        return _collect(posterior, out, n, anneal == "ais" and resample_at_end, generator)


def _collect(
    posterior: LatentPosterior, out: Annealed, n: int, resample: bool, generator: torch.Generator | None
) -> Cogeneration:
    groups = len(posterior.x_o)
    z, log_w = out.x.reshape(groups, n, -1), out.log_w.view(groups, n)
    if resample:
        index = systematic(log_w, generator=generator)
        z = z.gather(1, index[..., None].expand_as(z))
        log_w = (log_w.logsumexp(1, keepdim=True) - torch.tensor(float(n)).log()).expand(-1, n)
    x = posterior.generate(z.flatten(0, 1)).view(groups, n, -1)
    evidence, effective = out.log_z.view(groups), out.weight_ess.view(groups)
    return Cogeneration(z, x, log_w, evidence, effective, out.acceptance, out.kept, out.betas, out.finished)
