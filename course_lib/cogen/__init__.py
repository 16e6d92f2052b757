"""Co-generation: given part of x, sample the rest from a trained generator, by walking its latent landscape.

Fang & Schwing (2019). What is seen (`Mask`, `Downsample`) turns the generator's latent space into a
landscape (`LatentPosterior`); `cogenerate` walks it with annealed HMC and keeps the weights; `descend` and
`best_of` are the gradient-descent baselines; `posterior_grid` is the truth where the latent space is a plane.
"""

from course_lib.cogen.answers import interval, posterior_mean, project
from course_lib.cogen.baselines import Descent, best_of, descend, restarts
from course_lib.cogen.cogenerate import Cogeneration, cogenerate
from course_lib.cogen.grid import PosteriorGrid, posterior_grid
from course_lib.cogen.network import Columns, frozen
from course_lib.cogen.observe import Downsample, Mask
from course_lib.cogen.posterior import LatentPosterior

__all__ = [
    "Cogeneration",
    "Columns",
    "Descent",
    "Downsample",
    "LatentPosterior",
    "Mask",
    "PosteriorGrid",
    "best_of",
    "cogenerate",
    "descend",
    "frozen",
    "interval",
    "posterior_grid",
    "posterior_mean",
    "project",
    "restarts",
]
