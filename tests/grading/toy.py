"""A small exercise of two tasks, quick to run, and submissions to it."""

from __future__ import annotations

import copy
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from course_lib.grading import release

BEGIN = """\
import types

from course_lib.checks import HIDDEN_SEED, need, oracle


@oracle
def check_double(answer, seed):
    need(answer(seed) == 2 * seed, "not twice the number")


@oracle
def check_square(answer, seed):
    need(answer(seed + 1) == (seed + 1) ** 2, "not the square")


check = types.SimpleNamespace(double=check_double, square=check_square, HIDDEN_SEED=HIDDEN_SEED)"""
ANSWERS = {"double": "return 2 * x", "square": "return x * x"}
POINTS = {"double": 2, "square": 3}


def code(name: str, source: str, **mark) -> NotebookNode:
    cell = nbformat.v4.new_code_cell(source, id=name)
    plain = {"grade": False, "locked": False, "solution": False, "task": False, "schema_version": 3}
    cell.metadata["nbgrader"] = {**plain, "grade_id": name, **mark}
    return cell


def instructor() -> NotebookNode:
    cells = [nbformat.v4.new_markdown_cell("# Toy", id="title"), code("begin", BEGIN, locked=True)]
    for name, line in ANSWERS.items():
        body = f"def {name}(x):\n    ### BEGIN SOLUTION\n    {line}\n    ### END SOLUTION"
        test = (
            f"check.{name}({name})\n### BEGIN HIDDEN TESTS\n"
            f"check.{name}({name}, seed=check.HIDDEN_SEED)\n### END HIDDEN TESTS"
        )
        cells.append(code(name, body, solution=True))
        cells.append(code(f"test-{name}", test, grade=True, locked=True, points=POINTS[name]))
    return nbformat.v4.new_notebook(cells=cells)


def course(root: Path, seed: int | None = 777) -> Path:
    """A course folder with this exercise, released."""
    path = root / "solutions" / "toy" / "toy.ipynb"
    path.parent.mkdir(parents=True)
    nbformat.write(instructor(), path)
    release.release(root=root)
    if seed is not None:
        release.keep_hidden_seed(seed, root)
    return root


def released() -> NotebookNode:
    return release.released(instructor())


def submission(**answers: str) -> NotebookNode:
    """The released notebook with other sources in the named cells (dashes written as two underscores)."""
    notebook = copy.deepcopy(released())
    for name, source in answers.items():
        cell_of(notebook, name.replace("__", "-")).source = source
    return notebook


def right() -> NotebookNode:
    return submission(**{name: f"def {name}(x):\n    {line}" for name, line in ANSWERS.items()})


def cell_of(notebook: NotebookNode, name: str) -> NotebookNode:
    return next(cell for cell in notebook.cells if cell.id == name)


def hand_in(folder: Path, student: str, notebook: NotebookNode | bytes) -> Path:
    path = folder / student / "toy.ipynb"
    path.parent.mkdir(parents=True)
    data = notebook if isinstance(notebook, bytes) else nbformat.writes(notebook).encode()
    path.write_bytes(data)
    return path
