"""Metrics: how good is a model, and compared with what?

Samples are `[N, D]` or, for S seeds at once, `[S, N, D]`. Each of these numbers ranks some bad model
well: a blob covers every mode, a copy of one point is of high quality. Read several, and look.
"""

from course_lib.metrics.coverage import Coverage, classes, coverage, spread
from course_lib.metrics.distances import frechet, js_estimate, two_sample, wasserstein
from course_lib.metrics.slopes import growth_per_layer, layer_slopes

__all__ = [
    "Coverage",
    "classes",
    "coverage",
    "frechet",
    "growth_per_layer",
    "js_estimate",
    "layer_slopes",
    "spread",
    "two_sample",
    "wasserstein",
]
