"""Oracles of problem set 2: Hamiltonian Monte Carlo, piece by piece.

Each task is held against its own truth (closed forms, exact motion under a constant force, time
reversal, known laws); none needs the answer of another.
"""

from course_lib.checks.hmc.chain import ess
from course_lib.checks.hmc.integrator import leapfrog
from course_lib.checks.hmc.landscape import banana
from course_lib.checks.hmc.langevin import langevin
from course_lib.checks.hmc.metropolis import accept
from course_lib.checks.hmc.transition import hmc_step
from course_lib.checks.oracle import HIDDEN_SEED

__all__ = ["HIDDEN_SEED", "accept", "banana", "ess", "hmc_step", "langevin", "leapfrog"]
