"""Sampling: how to draw from a density that is known only up to its normaliser.

Kernels are small frozen dataclasses with pure `init` and `step`; the loop belongs to the caller,
so that `run`, annealing and the explorers all play the same transition. Chains come first,
`x: [C, D]`, trajectories are `[T, C, D]`, and every stochastic function takes a `generator`.
"""

from course_lib.sampling.diagnostics import ess, log_mean_exp, rhat, weight_ess
from course_lib.sampling.mcmc import HMC, Info, Kernel, Langevin, RandomWalk, State, Trajectory, leapfrog
from course_lib.sampling.runs import Chain, run, warm_up

__all__ = [
    "HMC",
    "Chain",
    "Info",
    "Kernel",
    "Langevin",
    "RandomWalk",
    "State",
    "Trajectory",
    "ess",
    "leapfrog",
    "log_mean_exp",
    "rhat",
    "run",
    "warm_up",
    "weight_ess",
]
