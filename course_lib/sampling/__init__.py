"""Sampling: how to draw from a density that is known only up to its normaliser.

Kernels are small frozen dataclasses with pure `init` and `step`; the loop belongs to the caller,
so that `run`, annealing and the explorers all play the same transition. Chains come first,
`x: [C, D]`, trajectories are `[T, C, D]`, and every stochastic function takes a `generator`.
"""

from course_lib.sampling.annealed import (
    Annealed,
    Kept,
    Sandwich,
    ais,
    ais_reverse,
    geometric_betas,
    sandwich,
    sigmoid_betas,
)
from course_lib.sampling.compiled import Compiled
from course_lib.sampling.diagnostics import ess, log_mean_exp, pareto_k, rhat, weight_ess
from course_lib.sampling.direct import Darts, Rejection, inverse_cdf, rejection, tabulate_quantile, throw
from course_lib.sampling.importance import Weighted, grid_log_z, importance, systematic
from course_lib.sampling.mcmc import HMC, Info, Kernel, Langevin, RandomWalk, State, Trajectory, leapfrog
from course_lib.sampling.pilot import pilot
from course_lib.sampling.runs import Chain, run, warm_up
from course_lib.sampling.smc import next_beta, smc
from course_lib.sampling.tempering import Tempered, parallel_tempering

__all__ = [
    "HMC",
    "Annealed",
    "Chain",
    "Compiled",
    "Darts",
    "Info",
    "Kept",
    "Kernel",
    "Langevin",
    "RandomWalk",
    "Rejection",
    "Sandwich",
    "State",
    "Tempered",
    "Trajectory",
    "Weighted",
    "ais",
    "ais_reverse",
    "ess",
    "geometric_betas",
    "grid_log_z",
    "importance",
    "inverse_cdf",
    "leapfrog",
    "log_mean_exp",
    "next_beta",
    "parallel_tempering",
    "pareto_k",
    "pilot",
    "rejection",
    "rhat",
    "run",
    "sandwich",
    "sigmoid_betas",
    "smc",
    "systematic",
    "tabulate_quantile",
    "throw",
    "warm_up",
    "weight_ess",
]
