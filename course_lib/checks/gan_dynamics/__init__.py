"""Oracles of problem set 6: how two players move, and whether they ever arrive.

Each task is held against its own truth (steps by hand on games with closed forms, the derivative through a
look ahead, eigenvalues that are known); none needs the answer of another.
"""

from course_lib.checks.gan_dynamics.foresight import growth, unrolled_slope
from course_lib.checks.gan_dynamics.rules import consensus_step, game_step, historical_average
from course_lib.checks.oracle import HIDDEN_SEED

__all__ = [
    "HIDDEN_SEED",
    "consensus_step",
    "game_step",
    "growth",
    "historical_average",
    "unrolled_slope",
]
