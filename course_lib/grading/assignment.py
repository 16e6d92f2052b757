"""An exercise as graders see it: its cells with their roles, its tasks with their points.

Roles and sources of test and locked cells always come from the course's own notebook; of a submission
only the answers (and cells that the student added) are used. What locked cells define is put back before
every test, so an answer needs a name that no locked cell defines.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from course_lib.workspace import ROOT

SEED_NAME = "check.HIDDEN_SEED"  # how an instructor notebook writes the seed of its hidden cases
NO_SOLUTIONS = (
    "this copy of the course was made for students and has no solutions; "
    "release, grade and set the hidden cases in the instructors' copy"
)
_HIDDEN = re.compile(r"^[ \t]*### BEGIN HIDDEN TESTS\n(.*?)^[ \t]*### END HIDDEN TESTS[ \t]*\n?", re.S | re.M)


@dataclass(frozen=True)
class Cell:
    """One code cell to run; its role is "test", "locked" (given), "answer" or "free" (the student's own).

    `source` is what a student sees; `hidden` are the further lines of a test cell.
    """

    id: str
    role: str
    source: str
    hidden: str = ""
    task: str = ""  # the task that fails when this cell does


@dataclass(frozen=True)
class Task:
    name: str
    points: float
    cell: str  # id of its test cell


@dataclass(frozen=True)
class Assignment:
    """name: like "ps02_hmc". cells: the code cells that nbgrader knows, in order, of `notebook`."""

    name: str
    notebook: NotebookNode
    cells: tuple[Cell, ...]
    tasks: tuple[Task, ...]

    @property
    def max_score(self) -> float:
        return sum(task.points for task in self.tasks)

    def public(self) -> Assignment:
        """The same without the hidden lines."""
        cells = tuple(Cell(c.id, c.role, c.source, "", c.task) for c in self.cells)
        return Assignment(self.name, self.notebook, cells, self.tasks)


def names(root: Path = ROOT, folder: str = "solutions") -> list[str]:
    """The exercises that `folder` ("solutions" or "exercises") holds."""
    notebooks = (root / folder).glob("*/*.ipynb")
    return sorted(path.stem for path in notebooks if path.stem == path.parent.name)


def find(name: str, root: Path = ROOT, folder: str = "solutions") -> Path:
    """Path of one exercise's notebook, by its name or by a beginning that no other shares ("ps02").

    Raises FileNotFoundError that lists the known ones.
    """
    there = names(root, folder)
    meant = [known for known in there if name and known.startswith(name)]
    if name in there or len(meant) == 1:
        full = name if name in there else meant[0]
        return root / folder / full / f"{full}.ipynb"
    if meant:
        raise FileNotFoundError(f"{name!r} may be {', '.join(meant)}: give more of the name")
    if not (root / folder).is_dir() and folder == "solutions":
        raise FileNotFoundError(f"there is no folder {root / folder}: {NO_SOLUTIONS}")
    known = ", ".join(there) or "none"
    raise FileNotFoundError(f"no exercise {name!r} in {root / folder}; known: {known}")


def load(name: str, root: Path = ROOT, folder: str = "solutions", seed: int | None = None) -> Assignment:
    """The exercise, with `seed` in its hidden tests (the public stand-in where none is given)."""
    path = find(name, root, folder)
    return parse(path.stem, nbformat.read(path, as_version=4), seed)


def parse(name: str, notebook: NotebookNode, seed: int | None = None) -> Assignment:
    """Roles and tasks of a notebook of ours; raises ValueError where an author broke the rules."""
    cells, tasks = [], []
    for node in notebook.cells:
        role = role_of(node)
        if role in ("text", "free"):
            continue
        grade_id = node.metadata["nbgrader"]["grade_id"]
        hidden = "".join(match[1] for match in _HIDDEN.finditer(node.source))
        if seed is not None:
            hidden = hidden.replace(SEED_NAME, str(seed))
        cells.append(Cell(grade_id, role, visible(node.source), hidden))
        if role == "test":
            tasks.append(
                Task(grade_id.removeprefix("test-"), float(node.metadata["nbgrader"]["points"]), grade_id)
            )
    if not tasks or len({cell.id for cell in cells}) < len(cells):
        raise ValueError(f"{name}: an exercise needs at least one test cell, and every grade_id once")
    return Assignment(name, notebook, _with_tasks(cells), tuple(tasks))


def visible(source: str) -> str:
    """The lines of a test cell that students see."""
    return _HIDDEN.sub("", source).rstrip("\n")


def role_of(node: NotebookNode) -> str:
    """ "test", "answer", "locked", "free" (code that nbgrader does not know) or "text"."""
    mark = node.metadata.get("nbgrader", {})
    if mark.get("grade") and (mark.get("solution") or node.cell_type != "code"):
        raise ValueError(
            f"cell {mark.get('grade_id')}: answers that are marked by hand are not supported yet"
        )
    if node.cell_type != "code":
        return "text"
    if mark.get("grade"):
        return "test"
    if mark.get("solution"):
        return "answer"
    return "locked" if mark.get("locked") else "free"


def _with_tasks(cells: list[Cell]) -> tuple[Cell, ...]:
    """Every answer belongs to the first test cell below it."""
    done, task = [], ""
    for cell in reversed(cells):
        if cell.role == "test":
            task = cell.id.removeprefix("test-")
        owner = task if cell.role in ("test", "answer") else ""
        done.append(Cell(cell.id, cell.role, cell.source, cell.hidden, owner))
    return tuple(reversed(done))
