"""Make the students' notebook of an instructor's one, with nbgrader's own generation steps."""

from __future__ import annotations

import copy
import logging
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from course_lib.workspace import ROOT

from . import assignment

STUB = "raise NotImplementedError"
SEED_FILE = ".hidden-seed"  # git-ignored, at the root of the instructor's copy


def release(names: list[str] | None = None, root: Path = ROOT) -> list[Path]:
    """Write `exercises/NAME/NAME.ipynb` for every instructor notebook (or the named ones).

    names: as `assignment.find` takes them. The same input gives the same bytes. Raises FileNotFoundError
    for a name that is not in solutions/, and where there is nothing to release.
    """
    written = []
    need_solutions(root)
    for source in [assignment.find(name, root) for name in names or assignment.names(root)]:
        name = source.stem
        target = root / "exercises" / name / f"{name}.ipynb"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(released_text(name, root), encoding="utf-8", newline="\n")
        written.append(target)
    return written


def need_solutions(root: Path = ROOT) -> None:
    """Raise FileNotFoundError where solutions/ is missing or holds no exercise."""
    if not assignment.names(root):
        folder = root / "solutions"
        raise FileNotFoundError(
            f"{folder} holds no NAME/NAME.ipynb"
            if folder.is_dir()
            else f"there is no folder {folder}: {assignment.NO_SOLUTIONS}"
        )


def released_text(name: str, root: Path = ROOT) -> str:
    """The released notebook as it is stored."""
    notebook = released(nbformat.read(assignment.find(name, root), as_version=4))
    return nbformat.writes(notebook).rstrip("\n") + "\n"


def released(source: NotebookNode) -> NotebookNode:
    """The students' form of an instructor notebook: no solutions, no outputs, no hidden tests."""
    preprocessors = nbgrader_preprocessors()
    notebook = recorded(source)
    for name in ("ClearHiddenTests", "ClearMarkScheme", "ComputeChecksums", "CheckCellMetadata"):
        notebook = _apply(getattr(preprocessors, name)(), notebook)
    return notebook


def recorded(source: NotebookNode) -> NotebookNode:
    """The form that the gradebook stores: solutions cleared, hidden tests still there."""
    preprocessors = nbgrader_preprocessors()
    notebook = copy.deepcopy(source)
    steps = [
        preprocessors.LockCells(),
        preprocessors.ClearSolutions(code_stub={"python": STUB}),
        preprocessors.ClearOutput(),
        preprocessors.CheckCellMetadata(),
        preprocessors.ComputeChecksums(),
    ]
    for step in steps:
        notebook = _apply(step, notebook)
    return notebook


def nbgrader_preprocessors():
    """nbgrader's steps; raises ValueError with the cure where nbgrader is not installed."""
    try:
        from nbgrader import preprocessors
    except ModuleNotFoundError as e:
        raise ValueError(
            f"releasing and grading need the extra `grade` ({e}); start them with `python course.py release` "
            "or `python course.py grade`, which install it"
        ) from None
    return preprocessors


def _apply(step, notebook: NotebookNode) -> NotebookNode:
    step.log = logging.getLogger("course.release")
    return step.preprocess(notebook, {})[0]


def keep_hidden_seed(seed: int, root: Path = ROOT) -> Path:
    """Note the seed of the hidden cases for `course grade`; raises ValueError for a number it cannot be."""
    if not 0 <= seed < 2**63:
        raise ValueError(f"--hidden-seed {seed}: take a whole number from 0 to 2^63 - 1")
    path = root / SEED_FILE
    path.write_text(f"{seed}\n", encoding="utf-8")
    return path


def hidden_seed(root: Path = ROOT) -> int | None:
    """The instructor's seed, or None where none was set. Raises ValueError if the file holds no number."""
    path = root / SEED_FILE
    if not path.exists():
        return None
    text = path.read_text(encoding="utf-8").strip()
    if not text.isdecimal():
        raise ValueError(f"{path} must hold one whole number; write it with `course release --hidden-seed N`")
    return int(text)
