"""Oracles of problem set 4: the parts of a variational bound, and the weights of a Helmholtz machine.

Each task is held against its own truth (known divergences and laws, evidence in closed form, sums over all
states); none needs the answer of another.
"""

from course_lib.checks.oracle import HIDDEN_SEED
from course_lib.checks.vae.bound import elbo_a, elbo_b, kl, log_bernoulli
from course_lib.checks.vae.noise import reparameterise
from course_lib.checks.vae.weights import helmholtz, iwae

__all__ = [
    "HIDDEN_SEED",
    "elbo_a",
    "elbo_b",
    "helmholtz",
    "iwae",
    "kl",
    "log_bernoulli",
    "reparameterise",
]
