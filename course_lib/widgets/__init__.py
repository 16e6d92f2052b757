"""Explorers: landscapes that answer when they are touched.

`LandscapeExplorer` plays the library's own kernels, so what moves on the screen is what the tests test.
The browser asks for frames and the kernel answers with binary chunks; with no browser nothing runs.
`explorer.replay()` stores a short animation that plays where there is no kernel at all.
"""

from course_lib.widgets.annealing import AnnealingExplorer
from course_lib.widgets.arrows import ArrowExplorer
from course_lib.widgets.darts import RejectionExplorer
from course_lib.widgets.game import GameExplorer
from course_lib.widgets.landscape import LandscapeExplorer
from course_lib.widgets.latent import LatentExplorer
from course_lib.widgets.slices import QuantileExplorer
from course_lib.widgets.weights import ImportanceExplorer

__all__ = [
    "AnnealingExplorer",
    "ArrowExplorer",
    "GameExplorer",
    "ImportanceExplorer",
    "LandscapeExplorer",
    "LatentExplorer",
    "QuantileExplorer",
    "RejectionExplorer",
]
