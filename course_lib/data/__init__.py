"""Data: what models learn from, from points in the plane to photographs.

Point sets know their truth and draw fresh samples, `sample(n, *, generator) -> [n, D]`, like energies.
Pictures are tensors `[N, channels, H, W]` in [-1, 1]: real digits and faces come with the installation,
MNIST, CelebA and LSUN are read from a folder that you name. Nothing here uses the network.
"""

from course_lib.data.files import ImageFolder, celeba, lsun, mnist, read_idx
from course_lib.data.pictures import Labelled, digits, faces
from course_lib.data.points import (
    CubeFrames,
    Line,
    Mixture,
    SwissRoll,
    five_gaussians,
    grid,
    line_of_modes,
    parallel_lines,
    ring,
)

__all__ = [
    "CubeFrames",
    "ImageFolder",
    "Labelled",
    "Line",
    "Mixture",
    "SwissRoll",
    "celeba",
    "digits",
    "faces",
    "five_gaussians",
    "grid",
    "line_of_modes",
    "lsun",
    "mnist",
    "parallel_lines",
    "read_idx",
    "ring",
]
