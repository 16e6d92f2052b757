"""What is seen changes what is believed: a prior landscape plus the misfit to an observation."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from course_lib.energies.base import Energy, Landscape, Numbers, value_and_grad
from course_lib.energies.bridge import Bridge
from course_lib.energies.gaussian import Gaussian


class Normalised(Landscape):
    """A landscape shifted by its log Z, so that exp(-U) integrates to one."""

    def __init__(self, energy: Landscape):
        if energy.log_z is None:
            raise ValueError(f"{type(energy).__name__} has no known log_z, so it cannot be normalised")
        self.energy, self.dim, self.log_z, self.shift = energy, energy.dim, 0.0, energy.log_z

    def __call__(self, x: Tensor) -> Tensor:
        return self.energy(x) + self.shift

    def value_and_grad(self, x: Tensor) -> tuple[Tensor, Tensor]:
        u, grad = self.energy.value_and_grad(x)
        return u + self.shift, grad

    def grad(self, x: Tensor) -> Tensor:
        return self.energy.grad(x)

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        return self.energy.sample(n, generator=generator)


class Negative(Landscape):
    """`-f` of a function `[C, D] -> [C]`, with its closed-form gradient where it has one."""

    def __init__(self, function: Energy, dim: int):
        self.function, self.dim = function, dim

    def __call__(self, x: Tensor) -> Tensor:
        return -self.function(x)

    def value_and_grad(self, x: Tensor) -> tuple[Tensor, Tensor]:
        value, grad = value_and_grad(self.function)(x)
        return -value, -grad

    def grad(self, x: Tensor) -> Tensor:
        return -value_and_grad(self.function).grad(x)


class Posterior(Landscape):
    """`U(x) = U_prior(x) + log Z_prior - log p(observation | x)`: an unnormalised posterior.

    prior: a landscape with known log_z and exact samples. log_likelihood: `[C, D] -> [C]`, nats, itself
    normalised over observations. The prior is normalised first, so that the integral of exp(-U) is the
    evidence p(observation), and `ais` on `bridge()` estimates its log.
    """

    def __init__(self, prior: Landscape, log_likelihood: Energy):
        self.prior, self.misfit = Normalised(prior), Negative(log_likelihood, prior.dim)
        self.dim = prior.dim

    def bridge(self) -> Bridge:
        """The path from the prior (beta = 0) to the posterior (beta = 1): prior times likelihood^beta."""
        return Bridge(self.prior, self.misfit)

    def __call__(self, x: Tensor) -> Tensor:
        return self.prior(x) + self.misfit(x)

    def value_and_grad(self, x: Tensor) -> tuple[Tensor, Tensor]:
        (u, grad), (misfit, grad_misfit) = self.prior.value_and_grad(x), self.misfit.value_and_grad(x)
        return u + misfit, grad + grad_misfit

    def grad(self, x: Tensor) -> Tensor:
        return self.prior.grad(x) + self.misfit.grad(x)


class LinearLikelihood(Landscape):
    """`log N(observed; W z + b, noise_var I)`, the likelihood of a linear generator, `[C, D] -> [C]`."""

    def __init__(self, weight: Tensor, bias: Tensor, observed: Tensor, noise_var: float):
        self.weight, self.bias, self.observed = weight, bias, observed
        self.noise_var, self.dim = float(noise_var), weight.shape[1]
        self.constant = -len(observed) / 2 * math.log(2 * math.pi * self.noise_var)

    def __call__(self, x: Tensor) -> Tensor:
        return self.value_and_grad(x)[0]

    def value_and_grad(self, x: Tensor) -> tuple[Tensor, Tensor]:
        weight = self.weight.to(x)
        misfit = weight @ self.columns(x) + (self.bias - self.observed).to(x)[:, None]
        value = self.constant - misfit.square().sum(0) / (2 * self.noise_var)
        return value, -(weight.T @ misfit / self.noise_var).T


class LinearPosterior(Posterior):
    """The posterior of a linear generator `x = W z + b + noise`, z ~ N(0, I), given x: all in closed form.

    weight: W `[m, D]`. bias, observed: `[m]`. noise_var: the variance of the noise.
    The posterior is Gaussian with precision `I + W' W / noise_var`, and `log_z` is the log-evidence
    `log N(observed; b, W W' + noise_var I)`: the ground truth of annealing and of co-generation.
    """

    def __init__(self, weight: Numbers, bias: Numbers, observed: Numbers, noise_var: float):
        weight, bias, observed = (torch.as_tensor(t, dtype=torch.float64) for t in (weight, bias, observed))
        if weight.dim() != 2 or bias.shape != weight.shape[:1] or observed.shape != weight.shape[:1]:
            raise ValueError(
                "weight, bias and observed must have shapes [m, D], [m] and [m], but they have "
                f"{list(weight.shape)}, {list(bias.shape)} and {list(observed.shape)}"
            )
        if not noise_var > 0:
            raise ValueError(f"noise_var is a variance and must be positive, but it is {noise_var}")
        m, dim = weight.shape
        precision = torch.eye(dim, dtype=torch.float64) + weight.T @ weight / noise_var
        cov = torch.linalg.inv(precision)
        mean = cov @ weight.T @ (observed - bias) / noise_var
        evidence = Gaussian(bias, weight @ weight.T + noise_var * torch.eye(m, dtype=torch.float64))
        log_evidence = -evidence(observed[None]).item() - evidence.log_z
        default = torch.get_default_dtype()
        likelihood = LinearLikelihood(weight.to(default), bias.to(default), observed.to(default), noise_var)
        super().__init__(Gaussian(torch.zeros(dim)), likelihood)
        self.exact = Gaussian(mean.to(default), (cov + cov.T) / 2)
        self.log_z = log_evidence

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        return self.exact.sample(n, generator=generator)
