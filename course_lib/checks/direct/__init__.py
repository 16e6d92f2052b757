"""Oracles of problem set 1: drawing without a chain, and weighing what was drawn.

Each task is held against its own truth (distribution functions, bounds, the chance of every single dart,
samples in exact proportions); none needs the answer of another.
"""

from course_lib.checks.direct.darts import envelope, rejection
from course_lib.checks.direct.quantiles import tabulated, triangle
from course_lib.checks.direct.weights import importance, weight_ess
from course_lib.checks.oracle import HIDDEN_SEED

__all__ = [
    "HIDDEN_SEED",
    "envelope",
    "importance",
    "rejection",
    "tabulated",
    "triangle",
    "weight_ess",
]
