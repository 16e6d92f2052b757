"""Oracles of problem set 3: annealed importance sampling, piece by piece.

Each task is held against its own truth (the two ends of the path, every state that a move is given, the
normaliser that the mean weight must have, samples in exact proportions); none needs the answer of another.
"""

from course_lib.checks.annealing.account import resample, sandwich
from course_lib.checks.annealing.path import bridge, sigmoid_betas
from course_lib.checks.annealing.walk import ais
from course_lib.checks.oracle import HIDDEN_SEED

__all__ = ["HIDDEN_SEED", "ais", "bridge", "resample", "sandwich", "sigmoid_betas"]
