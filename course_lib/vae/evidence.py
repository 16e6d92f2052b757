"""What the decoder really gives to a picture: log p(x) by annealing in latent space (Wu et al., 2017)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from course_lib.energies import Gaussian, Posterior
from course_lib.sampling import HMC, Annealed, ais, pilot, sigmoid_betas
from course_lib.vae.model import VAE


class DecoderLikelihood:
    """log p(x_b | z) for B observations at once: `z [B n, d] -> [B n]`, n chains for each, in order."""

    def __init__(self, model: VAE, x: Tensor):
        self.model, self.x = model, model.check(x)

    def __call__(self, z: Tensor) -> Tensor:
        if len(z) % len(self.x):
            raise ValueError(f"{len(z)} chains cannot be shared out to {len(self.x)} observations")
        return self.model.log_likelihood(self.x.repeat_interleave(len(z) // len(self.x), 0), z)


def decoder_posterior(model: VAE, x: Tensor) -> Posterior:
    """p(z | x_b) of B observations `x: [B, D]`, up to the evidence, as a landscape for G = B groups."""
    return Posterior(Gaussian(torch.zeros(model.latent_dim)).to(x.device), DecoderLikelihood(model, x))


def evidence(
    model: VAE,
    x: Tensor,
    n: int = 16,
    *,
    betas: Sequence[float] | Tensor | None = None,
    kernel: HMC | Sequence[HMC] | None = None,
    generator: torch.Generator | None = None,
    progress: bool = False,
) -> Annealed:
    """log p(x_b) of each row of `x: [B, D]` by AIS with n chains each; `log_z [B]`, low on average.

    betas: 200 sigmoid steps by default. kernel: used as it is; None runs a pilot with 10 leapfrogs and jitter
    and freezes its step sizes. For simulated x, `ais_reverse` on the same bridge gives the upper bound.
    """
    bridge = decoder_posterior(model, x).bridge()
    betas = sigmoid_betas(200) if betas is None else betas
    if kernel is None:
        start = HMC(0.3, 10, jitter=0.2)
        kernel = pilot(bridge, min(n, 4), betas, start, groups=len(x), generator=generator)
    return ais(bridge, n, betas, kernel, groups=len(x), generator=generator, progress=progress)
