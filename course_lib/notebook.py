"""What every notebook begins with: the right library, one seed, one look, one device, and source to read.

from course_lib.notebook import begin, show_source
device = begin("04")
"""

from __future__ import annotations

import inspect
import os
import random
import re
import textwrap
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import course_lib

if TYPE_CHECKING:
    import torch

LIBRARY = Path(course_lib.__file__).resolve().parent
STYLE = LIBRARY / "course.mplstyle"


class Chapter(NamedTuple):
    code: str  # what `begin` takes: "04" for a chapter, "ps02" for a problem set
    slug: str  # the file is `{code}_{slug}.ipynb`
    title: str


CHAPTERS = (
    Chapter("00", "welcome", "Welcome"),
    Chapter("01", "random_numbers", "Random numbers"),
    Chapter("02", "rejection_sampling", "Rejection sampling"),
    Chapter("03", "importance_sampling", "Importance sampling"),
    Chapter("04", "langevin_and_hmc", "Langevin and Hamiltonian Monte Carlo"),
    Chapter("05", "annealed_importance_sampling", "Annealed importance sampling"),
    Chapter("06", "variational_autoencoders", "Variational autoencoders"),
    Chapter("07", "bidirectional_helmholtz_machines", "Bidirectional Helmholtz machines"),
    Chapter("08", "the_gan_game", "The GAN game"),
    Chapter("09", "gan_objectives", "GAN objectives"),
    Chapter("10", "lipschitz_critics", "Lipschitz critics"),
    Chapter("11", "game_dynamics", "Game dynamics"),
    Chapter("12", "annealed_gans", "Annealed GANs"),
    Chapter("13", "variational_annealing", "Variational annealing"),
    Chapter("14", "measuring_models", "Measuring models"),
    Chapter("15", "growing_images", "Growing images"),
    Chapter("16", "cogeneration_in_two_dimensions", "Co-generation in two dimensions"),
    Chapter("17", "cogeneration_of_images", "Co-generation of images"),
)

PROBLEM_SETS = (
    Chapter("ps01", "direct_sampling", "Direct sampling"),
    Chapter("ps02", "hmc", "Hamiltonian Monte Carlo"),
    Chapter("ps03", "annealed_importance_sampling", "Annealed importance sampling"),
    Chapter("ps04", "vae", "Variational autoencoders"),
    Chapter("ps05", "gan_objectives", "GAN objectives"),
    Chapter("ps06", "game_dynamics", "Game dynamics"),
    Chapter("ps07", "annealed_gans", "Annealed GANs"),
    Chapter("ps08", "cogeneration", "Co-generation"),
)


def begin(code: str, *, seed: int = 0) -> torch.device:
    """Prepare a notebook and return the device it should put its tensors on.

    Checks that this library is the one the notebook was written for, seeds torch, numpy and random (each
    experiment still makes its own `torch.Generator`), sets the figure style and lets torch use one thread:
    on toy tensors a second thread costs far more than it gives (up to 10x, measured).

    Args:
        code: chapter ("04") or problem set ("ps02") that the notebook holds.
        seed: of the global generators.

    Returns:
        `cuda` where there is one, else `cpu`; the environment variable COURSE_DEVICE=cpu|cuda decides.
        Never mps, which has no float64 and so no honest log-weights.

    Raises:
        ValueError: unknown code, or a COURSE_DEVICE that is unknown or not there.
        RuntimeError: the notebook, the library and the installation are of different versions.
    """
    chapter = _known(code)
    _same_version(Path.cwd())
    device = _device(os.environ.get("COURSE_DEVICE", ""))

    import matplotlib.pyplot as plt
    import numpy as np
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - the generator that other people's code uses
    random.seed(seed)
    plt.style.use(STYLE)
    print(
        f"{chapter.title}: ready on {device.type} with course {course_lib.__version__}, "
        f"torch {torch.__version__}, one thread, seed {seed}."
    )
    return device


def show_source(thing: Callable | type) -> None:
    """Show the library's own source of a function, method or class, so that no notebook holds a second copy.

    Sent as markdown, which JupyterLab colours by the reader's theme; plain text where there is no markdown.

    Raises:
        ValueError: `thing` is not a function, method or class, or does not come from course_lib.
    """
    from IPython.display import display

    target = inspect.unwrap(thing) if callable(thing) else thing
    if not (inspect.isfunction(target) or inspect.ismethod(target) or inspect.isclass(target)):
        raise ValueError(
            f"show_source({thing!r}) got a {type(thing).__name__}; give it a function, method or class of "
            f"course_lib itself, like show_source({type(thing).__name__})"
        )
    if target.__module__.split(".")[0] != course_lib.__name__:
        raise ValueError(
            f"show_source({target.__qualname__}) comes from {target.__module__}, not from course_lib; "
            "notebooks show the library's own code. Import the function from course_lib"
        )
    lines, first = inspect.getsourcelines(target)
    source = textwrap.dedent("".join(lines)).rstrip()
    # relative to the library, for the reader to open; never a path of this machine
    place = Path(inspect.getfile(target)).resolve().relative_to(LIBRARY.parent).as_posix()
    text = f"{target.__qualname__}, from {place}, line {max(first, 1)}"
    markdown = f"*{target.__qualname__}*, from `{place}`, line {max(first, 1)}\n\n```python\n{source}\n```"
    display({"text/markdown": markdown, "text/plain": f"# {text}\n{source}"}, raw=True)


def _known(code: str) -> Chapter:
    for chapter in CHAPTERS + PROBLEM_SETS:
        if chapter.code == code:
            return chapter
    raise ValueError(
        f"begin({code!r}): course {course_lib.__version__} knows the chapters {CHAPTERS[0].code} to "
        f"{CHAPTERS[-1].code} and the problem sets {PROBLEM_SETS[0].code} to {PROBLEM_SETS[-1].code}. "
        'Give the code as in the file name, like begin("04"); if the notebook is newer than the library, '
        "run `python course.py lab` in the folder it came from"
    )


def _same_version(here: Path) -> None:
    """The library in use must be what was installed, and what lies beside the notebook."""
    used = course_lib.__version__
    try:
        installed = metadata.version("course-lib")
    except metadata.PackageNotFoundError:
        raise RuntimeError(
            "course_lib can be imported but is not installed, so its requirements may be missing. "
            "Run `python course.py lab` in the course folder"
        ) from None
    if installed != used:
        raise RuntimeError(
            f"The course was updated to {used} but its environment was installed for {installed}. "
            "Close JupyterLab and run `python course.py lab`: it brings the environment up to date"
        )
    for folder in (here, *here.parents):
        source = folder / "course_lib" / "__init__.py"
        if source.is_file():
            beside = re.search(r'^__version__ = "(.+)"$', source.read_text(encoding="utf-8"), re.MULTILINE)
            if beside is None or beside[1] != used:
                raise RuntimeError(
                    f"This notebook lies in a course folder of version {beside[1] if beside else 'unknown'} "
                    f"({folder}), but Python uses course_lib {used} from {LIBRARY.parent}. "
                    f"Start it with `python course.py lab` in {folder}"
                )
            return


def _device(wish: str) -> torch.device:
    import torch

    if wish not in ("", "cpu", "cuda"):
        raise ValueError(f"COURSE_DEVICE={wish!r} is not known; set it to cpu or cuda, or leave it unset")
    there = torch.cuda.is_available()
    if wish == "cuda" and not there:
        raise ValueError(
            "COURSE_DEVICE=cuda, but torch sees no CUDA device here. Unset COURSE_DEVICE to run on the CPU; "
            "if there is an NVIDIA GPU, `python course.py doctor` says what is missing"
        )
    return torch.device(wish or ("cuda" if there else "cpu"))
