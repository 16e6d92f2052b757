"""Oracles of problem set 5: what the two players of a GAN pay, and what keeps the critic smooth.

Each task is held against its own truth (losses and slopes at any logit, the best critic, the points where a
penalty asks and what it must find there, codes with known angles, a step by hand); none needs the answer of
another. Several of the mistakes they name stood in popular libraries.
"""

from course_lib.checks.gan.objectives import best_critic, gan_losses
from course_lib.checks.gan.penalties import dragan, gradient_penalty
from course_lib.checks.gan.training import critic_step, pull_away
from course_lib.checks.oracle import HIDDEN_SEED

__all__ = [
    "HIDDEN_SEED",
    "best_critic",
    "critic_step",
    "dragan",
    "gan_losses",
    "gradient_penalty",
    "pull_away",
]
