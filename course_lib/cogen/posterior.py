"""The landscape that a trained generator hides: which z could have made what is seen?"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from course_lib.cogen.network import Columns
from course_lib.cogen.observe import Observation
from course_lib.energies import Bridge, Gaussian, Landscape, Posterior


class Fit(Landscape):
    """log N(x_o; observe(G(z)), noise_var I) for B observations: `z [B n, d] -> [B n]`, n chains for each."""

    def __init__(self, generator: nn.Module, observe: Observation, x_o: Tensor, noise_var: Tensor, dim: int):
        self.generator, self.observe, self.x_o, self.dim = generator, observe, x_o, dim
        self.noise_var = noise_var  # [B]
        self.columns_net = Columns.of(generator)
        count = observe.count().to(x_o.device).expand(len(x_o))
        self.constant = -count / 2 * (2 * math.pi * noise_var).log()

    def per_chain(self, values: Tensor, chains: int) -> Tensor:
        """`[B, ...]` -> `[C, ...]`: each observation's value for all of its chains."""
        if chains % len(values):
            raise ValueError(f"{chains} chains cannot be shared out to {len(values)} observations")
        return values.repeat_interleave(chains // len(values), 0)

    def generate(self, z: Tensor) -> Tensor:
        """G(z) as rows: `[C, d] -> [C, D]`."""
        if self.columns_net is not None:
            return self.columns_net.merged(self.columns_net.forward(self.columns(z))[-1]).T
        return self.generator(z).flatten(1)

    def residual(self, x: Tensor) -> Tensor:
        """What is seen of `x [D, C]` minus what was seen, `[m, C]`."""
        return self.observe.forward(x) - self.per_chain(self.x_o, x.shape[1]).T.to(x)

    def squared_error(self, z: Tensor) -> Tensor:
        """The observed loss ||observe(G(z)) - x_o||^2, `[C]`."""
        return self.residual(self.generate(z).T).square().sum(0)

    def _log_density(self, squares: Tensor) -> Tensor:
        chains = len(squares)
        scale = self.per_chain(self.noise_var, chains).to(squares)
        return self.per_chain(self.constant, chains).to(squares) - squares / (2 * scale)

    def __call__(self, x: Tensor) -> Tensor:
        return self._log_density(self.squared_error(x))

    def value_and_grad(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if self.columns_net is None:
            with torch.enable_grad():
                z = x.detach().requires_grad_()
                value = self(z)
                (grad,) = torch.autograd.grad(value.sum(), z)
            return value.detach(), grad
        outputs = self.columns_net.forward(self.columns(x))
        residual = self.residual(self.columns_net.merged(outputs[-1]))
        return self._log_density(residual.square().sum(0)), self._pull(self.columns_net, outputs, residual)

    def grad(self, x: Tensor) -> Tensor:
        if self.columns_net is None:
            return self.value_and_grad(x)[1]
        outputs = self.columns_net.forward(self.columns(x))
        residual = self.residual(self.columns_net.merged(outputs[-1]))
        return self._pull(self.columns_net, outputs, residual)

    def _pull(self, net: Columns, outputs: list[Tensor], residual: Tensor) -> Tensor:
        slope = residual / -self.per_chain(self.noise_var, residual.shape[1]).to(residual)
        return net.back(outputs, self.observe.back(slope)).T


class LatentPosterior(Posterior):
    """p(z | x_o) of a generator, up to the evidence p(x_o): N(z; 0, I) N(x_o; observe(G(z)), noise_var I).

    generator: `[C, d] -> [C, D]` or `[C, ...]`. observe: a `Mask` or `Downsample`. x_o: `[B, m]`, B
    observations at once: chains come in B groups of n. With S generators in one batch (SeedLinear) the
    groups are seed-major: repeat x_o S times. noise_var: the **variance** of what is seen around G(z), per
    number, one value or `[B]`. Choose about the mean squared misfit that the generator has on pictures
    like these: about .1 for real digits in [-1, 1] and a small net, 1e-3 for data that it fits well. The
    paper's literal -||.||^2 means .5, far too much: the data then hardly count. A small value makes the
    landscape steep and the annealing long. latent_dim: d, read off the generator if None.
    """

    def __init__(
        self,
        generator: nn.Module,
        observe: Observation,
        x_o: Tensor,
        noise_var: float | Tensor,
        *,
        latent_dim: int | None = None,
    ):
        latent_dim = getattr(generator, "latent_dim", None) if latent_dim is None else latent_dim
        if latent_dim is None:
            raise ValueError("the generator has no attribute latent_dim; pass latent_dim=")
        if x_o.dim() != 2:
            raise ValueError(
                f"x_o must have shape [B, m], one row an observation, but it has {list(x_o.shape)}"
            )
        if not x_o.isfinite().all():
            raise ValueError("x_o must be finite, but it holds NaN or infinity")
        noise = torch.as_tensor(noise_var, dtype=torch.float64, device=x_o.device).expand(len(x_o))
        if not (noise > 0).all():
            raise ValueError(f"noise_var is a variance and must be positive, but it is {noise_var}")
        width = len(observe.forward(torch.zeros(observe.data_dim, len(x_o), device=x_o.device)))
        if x_o.shape[1] != width:
            raise ValueError(f"this observation sees {width} numbers, but x_o has shape {list(x_o.shape)}")
        self.fit = Fit(generator, observe, x_o, noise, latent_dim)
        super().__init__(Gaussian(torch.zeros(latent_dim)).to(x_o.device), self.fit)
        self.generator, self.observe, self.x_o = generator, observe, x_o

    def generate(self, z: Tensor) -> Tensor:
        """G(z) as rows, `[C, d] -> [C, D]`."""
        with torch.no_grad():
            return self.fit.generate(z)

    def squared_error(self, z: Tensor) -> Tensor:
        """The observed loss of each chain, `[C]`. Zero is not success: only what is seen is compared."""
        with torch.no_grad():
            return self.fit.squared_error(z)

    def bridge(self, path: Literal["posterior", "literal"] = "posterior") -> Bridge:
        """The way from the prior to what is wanted.

        "posterior": p(z) lik(z)^b, from the prior to the posterior. "literal": the paper's
        p(z|x_o)^b p(z)^(1-b) with p(z|x_o) read as the likelihood alone, so that the prior fades out; it
        ends at exp(-misfit), which need not even be normalisable. With p(z|x_o) the true posterior, the
        paper's path is the first one.
        """
        if path == "posterior":
            return super().bridge()
        if path != "literal":
            raise ValueError(f'path must be "posterior" or "literal", but it is {path!r}')
        return Bridge.between(self.prior, self.misfit)
