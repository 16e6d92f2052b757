"""Put a submission's answers between the test cells of the course's own notebook."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from nbformat import NotebookNode

from .assignment import Assignment, Cell, visible

MARKS = ("grade", "locked", "solution", "task", "points")


@dataclass(frozen=True)
class Merged:
    """cells: what to run, in order. notes: harmless edits, undone. tampered: edits no honest work makes."""

    cells: tuple[Cell, ...]
    notes: tuple[str, ...]
    tampered: tuple[str, ...]

    @property
    def counting(self) -> tuple[Cell, ...]:
        """The cells up to the last test: what comes behind it can change no mark."""
        last = max(i for i, cell in enumerate(self.cells) if cell.role == "test")
        return self.cells[: last + 1]


class NotThisExercise(ValueError):
    """The notebook holds no cell of this exercise."""


def merge(assignment: Assignment, submitted: NotebookNode) -> Merged:
    """Run order of a submission: its own order, with every test and locked cell as the course wrote it.

    Raises NotThisExercise where no cell of the exercise is found.
    """
    notes, tampered = [], []
    found = list(_recognised(assignment, submitted, notes, tampered))
    seen = {cell.id for cell in found}
    if not seen & {cell.id for cell in assignment.cells}:
        raise NotThisExercise(f"no cell of {assignment.name} is in this notebook: is it another file?")
    for cell in assignment.cells:
        if cell.id in seen:
            continue
        if cell.role == "answer":
            notes.append(f"the cell of {cell.id} is missing")
            continue
        notes.append(f"{cell.role} cell {cell.id} was missing: the course's own is used")
        found.insert(_place(assignment, found, cell), cell)
    return Merged(tuple(found), tuple(notes), tuple(tampered))


def _recognised(assignment, submitted, notes: list[str], tampered: list[str]) -> Iterator[Cell]:
    known = {cell.id: cell for cell in assignment.cells}
    marks = {node.metadata["nbgrader"]["grade_id"]: node for node in assignment.notebook.cells if _mark(node)}
    seen = set()
    for index, node in enumerate(submitted.cells):
        mark = _mark(node)
        cell = known.get(mark.get("grade_id"))
        if cell is None:
            if mark.get("grade") or mark.get("solution"):
                tampered.append(
                    f"cell {str(mark.get('grade_id'))[:60]!r} is marked as one of the exercise, but is not"
                )
            if node.cell_type == "code":
                yield Cell(f"added-{index}", "free", node.source)
            continue
        if changed := _changed(marks[cell.id].metadata["nbgrader"], mark):
            tampered.append(f"the grading data of cell {cell.id} were changed ({', '.join(changed)})")
        again, _ = cell.id in seen, seen.add(cell.id)
        if cell.role == "answer":
            if node.cell_type != "code":
                notes.append(f"the cell of {cell.id} is no longer a code cell")
            elif again:
                notes.append(f"the cell of {cell.id} is there more than once")
                yield Cell(f"added-{index}", "free", node.source, task=cell.task)
            else:
                yield replace(cell, source=node.source)
        elif again:
            notes.append(f"a second {cell.role} cell {cell.id} was left out")
        else:
            if node.cell_type != "code" or _trimmed(visible(node.source)) != _trimmed(cell.source):
                notes.append(f"{cell.role} cell {cell.id} was edited: the course's own is used")
            yield cell


def _mark(node: NotebookNode) -> dict:
    mark = node.metadata.get("nbgrader", {})
    return mark if isinstance(mark, dict) and isinstance(mark.get("grade_id"), str) else {}


def _changed(ours: dict, theirs: dict) -> list[str]:
    return [key for key in MARKS if (ours.get(key) or 0) != (theirs.get(key) or 0)]


def _trimmed(source: str) -> list[str]:
    return [line.rstrip() for line in source.strip().splitlines()]


def _place(assignment: Assignment, found: list[Cell], cell: Cell) -> int:
    """Behind the nearest earlier cell of the exercise that is there."""
    order = [c.id for c in assignment.cells]
    earlier = set(order[: order.index(cell.id)])
    return max((i + 1 for i, c in enumerate(found) if c.id in earlier), default=0)
