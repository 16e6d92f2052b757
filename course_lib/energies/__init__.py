"""Landscapes: energies `U: [C, D] -> [C]` in nats, with the density exp(-U) / Z.

Every shipped landscape knows its gradient in closed form, the log of its normaliser Z and how to
draw exact samples, so that every sampler of the course can be tested against the truth.
Any other callable of the same shape is an energy too: `value_and_grad` falls back to autograd.
"""

from course_lib.energies.base import Energy, Landscape, ValueAndGrad, on_grid, value_and_grad, view_box
from course_lib.energies.bridge import Bridge
from course_lib.energies.curved import Banana, DoubleWell, Funnel, Kidney
from course_lib.energies.gaussian import Gaussian, GaussianMixture, grid, ring
from course_lib.energies.moved import Moved
from course_lib.energies.posterior import LinearPosterior, Posterior
from course_lib.energies.tails import LogGamma, StudentT

__all__ = [
    "Banana",
    "Bridge",
    "DoubleWell",
    "Energy",
    "Funnel",
    "Gaussian",
    "GaussianMixture",
    "Kidney",
    "Landscape",
    "LinearPosterior",
    "LogGamma",
    "Moved",
    "Posterior",
    "StudentT",
    "ValueAndGrad",
    "grid",
    "on_grid",
    "ring",
    "value_and_grad",
    "view_box",
]
