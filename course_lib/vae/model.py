"""The variational autoencoder: a decoder p(x | z), and an encoder q(z | x) that guesses which z it was."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.nets import mlp


class VAE(nn.Module):
    """`z ~ N(0, I)`, `x | z` Bernoulli or Gaussian, `q(z | x) = N(mean(x), diag var(x))`.

    After Kingma & Welling (2014).

    data_dim: D. latent_dim: d. hidden: widths of the hidden layers, mirrored in the decoder. likelihood:
    "bernoulli" (x in [0, 1], the decoder gives logits) or "gaussian" (the decoder gives the mean).
    noise_var: the variance of the Gaussian pixel noise; learned if None.
    """

    def __init__(
        self,
        data_dim: int,
        latent_dim: int,
        hidden: tuple[int, ...] = (128,),
        likelihood: Literal["bernoulli", "gaussian"] = "bernoulli",
        noise_var: float | None = None,
    ):
        super().__init__()
        if likelihood not in ("bernoulli", "gaussian"):
            raise ValueError(f'likelihood must be "bernoulli" or "gaussian", but it is {likelihood!r}')
        if noise_var is not None and not noise_var > 0:
            raise ValueError(f"noise_var is a variance and must be positive, but it is {noise_var}")
        self.data_dim, self.latent_dim, self.likelihood = data_dim, latent_dim, likelihood
        self.encoder = mlp([data_dim, *hidden, 2 * latent_dim])
        self.decoder = mlp([latent_dim, *reversed(hidden), data_dim])
        start = torch.tensor(math.log(1.0 if noise_var is None else noise_var))
        self.log_noise_var = nn.Parameter(start, requires_grad=noise_var is None and likelihood == "gaussian")

    def check(self, x: Tensor) -> Tensor:
        """`x: [B, D]` if it is data for this model; ValueError otherwise."""
        if x.dim() != 2 or x.shape[1] != self.data_dim:
            raise ValueError(f"data must have shape [B, {self.data_dim}], but x has {list(x.shape)}")
        if not x.isfinite().all():
            raise ValueError("data must be finite, but x holds NaN or infinity")
        if self.likelihood == "bernoulli" and not ((x >= 0) & (x <= 1)).all():
            raise ValueError(
                f"Bernoulli pixels lie in [0, 1], but x runs from {x.min().item():g} to {x.max().item():g}: "
                "rescale it, or use likelihood='gaussian'"
            )
        return x

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z | x), each `[B, d]`."""
        mean, log_var = self.encoder(x).chunk(2, -1)
        return mean, log_var

    def decode(self, z: Tensor) -> Tensor:
        """The mean of x given z, `[..., d] -> [..., D]`."""
        out = self.decoder(z)
        return out.sigmoid() if self.likelihood == "bernoulli" else out

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x | z), nats: `x [B, D]`, `z [..., B, d]` -> `[..., B]`, summed over pixels."""
        out = self.decoder(z)
        x = x.expand_as(out)
        if self.likelihood == "bernoulli":
            return -F.binary_cross_entropy_with_logits(out, x, reduction="none").sum(-1)
        noise = (x - out).square() / self.log_noise_var.exp() + self.log_noise_var + math.log(2 * math.pi)
        return -noise.sum(-1) / 2

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """`n` draws of the model, `[n, D]`: Bernoulli pixels are 0 or 1, Gaussian ones carry their noise."""
        with torch.no_grad():
            device = self.log_noise_var.device
            mean = self.decode(torch.randn(n, self.latent_dim, generator=generator, device=device))
            if self.likelihood == "bernoulli":
                return torch.bernoulli(mean, generator=generator)
            noise = torch.empty_like(mean).normal_(generator=generator)
            return mean + (self.log_noise_var / 2).exp() * noise


def log_standard_normal(z: Tensor) -> Tensor:
    """log N(z; 0, I), `[..., d] -> [...]`."""
    return -(z.square() + math.log(2 * math.pi)).sum(-1) / 2


def log_normal(z: Tensor, mean: Tensor, log_var: Tensor) -> Tensor:
    """log N(z; mean, diag exp(log_var)), `[..., d] -> [...]`."""
    return -((z - mean).square() * (-log_var).exp() + log_var + math.log(2 * math.pi)).sum(-1) / 2
