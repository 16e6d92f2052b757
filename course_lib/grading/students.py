"""What students do with an exercise, check it and pack it, and the copy of the course that they are given.

None of this needs nbgrader.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import nbformat

from course_lib.workspace import ROOT

from . import assignment as exercises
from . import intake
from .assignment import Assignment
from .execute import Limits, Outcome, execute
from .merge import Merged, NotThisExercise, merge

KEPT_BACK = ("solutions", "tests")  # folders that the students' copy of the course does not have


@dataclass(frozen=True)
class Checked:
    """The visible checks of one notebook: an outcome for each task, and what was odd about the notebook."""

    assignment: Assignment
    path: Path
    results: dict[str, Outcome]
    notes: tuple[str, ...]

    @property
    def points(self) -> float:
        return sum(t.points for t in self.assignment.tasks if self.results[t.name].status == "passed")


def check(name: str, path: Path | None = None, *, limits: Limits | None = None, root: Path = ROOT) -> Checked:
    """Run the visible checks on a student's notebook (by default the copy in work/).

    Raises FileNotFoundError or ValueError that says what to do.
    """
    path = path or _own_copy(name, root)
    assignment, merged = _merged(name, path, root)
    outcomes = execute(merged.counting, limits)
    results = {task.name: outcomes[task.cell] for task in assignment.tasks}
    return Checked(assignment, path, results, merged.notes + merged.tampered)


def _own_copy(name: str, root: Path) -> Path:
    original = exercises.find(name, root, "exercises")
    path = root / "work" / original.relative_to(root)
    if not path.exists():
        raise FileNotFoundError(
            f"there is no {path.relative_to(root).as_posix()} yet: `python course.py lab` makes your copy, "
            "or give the path of your notebook"
        )
    return path


def _merged(name: str, path: Path, root: Path) -> tuple[Assignment, Merged]:
    assignment = exercises.load(name, root, "exercises").public()
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}")
    try:
        return assignment, merge(assignment, intake.parse(path.read_bytes()))
    except (intake.Refused, NotThisExercise) as e:
        raise ValueError(f"{path}: {e}") from None


@dataclass(frozen=True)
class Packed:
    """The file to hand in, and the tasks whose answer is still the empty one."""

    path: Path
    size: int
    untouched: tuple[str, ...]


def pack(name: str, path: Path | None = None, *, out: Path | None = None, root: Path = ROOT) -> Packed:
    """Write the one file to hand in, without outputs, after it was found complete and unedited.

    Raises FileNotFoundError, or ValueError that lists what is wrong with the notebook.
    """
    path = path or _own_copy(name, root)
    assignment, merged = _merged(name, path, root)
    name = assignment.name
    if problems := merged.notes + merged.tampered:
        listed = "".join(f"\n  - {problem}" for problem in problems)
        raise ValueError(
            f"{path} cannot be handed in as it is:{listed}\n"
            f"Get a fresh copy with `python course.py renew exercises/{name}/{name}.ipynb` "
            "(yours is kept beside it) and copy your answers into its cells"
        )
    out = out or root / "work" / "hand-in" / f"{name}.ipynb"
    if out.is_dir():
        raise ValueError(f"--out {out} is a folder: give the file to write, such as {out / f'{name}.ipynb'}")
    notebook = intake.parse(path.read_bytes())
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8", newline="\n")
    empty = {cell.id: cell.source for cell in assignment.cells if cell.role == "answer"}
    untouched = [cell.task for cell in merged.cells if empty.get(cell.id) == cell.source]
    return Packed(out, out.stat().st_size, tuple(dict.fromkeys(untouched)))


def bundle(out: Path, *, root: Path = ROOT) -> int:
    """Copy the course as git knows it, without solutions and tests, into the empty folder `out`.

    Returns the number of files. Raises ValueError where `out` is not empty or the course is not in git.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out} is not an empty folder: give a new one")
    listed = subprocess.run(["git", "-C", str(root), "ls-files", "-z"], capture_output=True, check=False)
    if listed.returncode:
        raise ValueError(f"{root} is not a git checkout, so what belongs to the course is unknown")
    names = [Path(name) for name in listed.stdout.decode().split("\0") if name]
    wanted = [name for name in names if name.parts[0] not in KEPT_BACK]
    for name in wanted:
        target = out / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / name, target, follow_symlinks=False)
    return len(wanted)
