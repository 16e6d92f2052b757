"""Keep marks in nbgrader's database, scored by nbgrader's own rules, so that formgrader can open them.

The database and the folders around it have nbgrader's layout; `nbgrader_config.py` beside them tells where
they are relative to itself, so the whole folder can be moved.
"""

from __future__ import annotations

import logging
import shutil
import warnings
from datetime import UTC, datetime
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from .assignment import Assignment, Cell
from .execute import Outcome
from .release import recorded, released

COURSE_ID = "landscapes"
CONFIG = '''"""Opens these marks in nbgrader: run `jupyter lab` or `nbgrader` in this folder."""

import os

c = get_config()  # noqa: F821 - nbgrader defines it
c.CourseDirectory.root = os.path.dirname(os.path.abspath(__file__))
c.CourseDirectory.course_id = "landscapes"
'''


class Marks:
    """The gradebook of one batch, in the folder `out`. A context manager; used by one thread only."""

    def __init__(self, out: Path, assignment: Assignment):
        from nbgrader.preprocessors import SaveAutoGrades, SaveCells
        from sqlalchemy.exc import SAWarning

        # nbgrader's own, about its order of inserts: three for each student
        warnings.filterwarnings("ignore", category=SAWarning, module=r"nbgrader\.")
        self.out, self.assignment = out, assignment
        self.name = assignment.name
        (out / "nbgrader_config.py").write_text(CONFIG, encoding="utf-8")
        self.book = _open(out / "gradebook.db")
        self.book.update_or_create_assignment(self.name)
        self.record = recorded(assignment.notebook)
        self._save("source", "", assignment.notebook)
        self._save("release", "", released(assignment.notebook))
        names = {"notebook": self.name, "assignment": self.name, "db_url": str(self.book.engine.url)}
        saver = SaveCells(log=logging.getLogger("course.grade"))
        try:
            saver.preprocess(self.record, {"nbgrader": names})
        except RuntimeError as e:
            self.book.close()
            raise ValueError(
                f"{out} holds marks of another version of {self.name}: give an empty --out ({e})"
            ) from None
        self.scorer = SaveAutoGrades(log=saver.log)
        self.scorer.gradebook = self.book
        self.scorer.notebook_id = self.scorer.assignment_id = self.name

    def __enter__(self) -> Marks:
        return self

    def __exit__(self, *error) -> None:
        self.book.close()

    def enrol(self, student_id: str) -> None:
        """Make sure that the student is known, even without a mark."""
        self.book.update_or_create_student(student_id)

    def grade(self, student_id: str, submitted: NotebookNode, notebook: NotebookNode) -> dict[str, float]:
        """Store the executed `notebook` of a submission and return {test cell id: points}."""
        self.enrol(student_id)
        now = datetime.now(UTC).replace(tzinfo=None)
        self.book.update_or_create_submission(self.name, student_id, timestamp=now)
        self.scorer.student_id = student_id
        for index, cell in enumerate(notebook.cells):
            self.scorer.preprocess_cell(cell, {}, index)
        self._save("submitted", student_id, submitted)
        self._save("autograded", student_id, notebook)
        stored = self.book.find_submission(self.name, student_id).notebooks[0]
        return {grade.name: float(grade.score or 0) for grade in stored.grades}

    def withdraw(self, student_id: str) -> dict[str, float]:
        """Forget what an earlier run made of a student's submission, which cannot be graded any more.

        Marks given by hand are somebody's work and stay; returns them as {test cell id: points}.
        """
        from nbgrader.api import MissingEntry

        for step in ("submitted", "autograded", "feedback"):
            folder = self.out / step / student_id
            if (folder / self.name).is_dir():
                shutil.rmtree(folder / self.name)
                if not any(folder.iterdir()):  # marks of other exercises lie beside it
                    folder.rmdir()
        try:
            grades = self.book.find_submission(self.name, student_id).notebooks[0].grades
        except MissingEntry:
            return {}
        if all(grade.manual_score is None and not grade.extra_credit for grade in grades):
            self.book.remove_submission(self.name, student_id)
            return {}
        for grade in grades:
            grade.auto_score = 0.0
        self.book.db.commit()
        return {grade.name: float(grade.score) for grade in grades}

    def _save(self, step: str, student_id: str, notebook: NotebookNode) -> None:
        path = self.out / step / student_id / self.name / f"{self.name}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8", newline="\n")


def _open(path: Path):
    """nbgrader's gradebook at `path`, made where there is none."""
    import nbgrader
    from nbgrader.api import Base, Gradebook

    url = f"sqlite:///{path.resolve().as_posix()}"
    if not path.exists():  # by ourselves, since nbgrader starts a program for the version of its schema
        from alembic.script import ScriptDirectory
        from sqlalchemy import create_engine, text

        version = ScriptDirectory(str(Path(nbgrader.__file__).parent / "alembic")).get_current_head()
        engine = create_engine(url)
        Base.metadata.create_all(bind=engine)
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)"))
            connection.execute(text("INSERT INTO alembic_version VALUES (:version)"), {"version": version})
        engine.dispose()
    return Gradebook(url, COURSE_ID)


def executed(
    assignment: Assignment, record: NotebookNode, cells: tuple[Cell, ...], outcomes: dict[str, Outcome]
) -> NotebookNode:
    """The notebook that nbgrader scores: the exercise's texts, the submission's cells, outcomes as outputs.

    A test cell that did not pass always carries an error, since nbgrader gives full marks to a silent one;
    one that passed carries nothing, since nbgrader gives none to a cell that warns.
    """
    ours = {_grade_id(node): node for node in record.cells if _grade_id(node)}
    nodes, used = [], set()
    for cell in cells:
        if cell.id in ours:
            node = nbformat.from_dict(ours[cell.id])
            used.add(cell.id)
        else:
            node = nbformat.v4.new_code_cell(id=cell.id)
        if cell.role not in ("test", "locked"):
            node.source = cell.source
        node.outputs = _outputs(cell, outcomes[cell.id])
        nodes.append(node)
    return nbformat.v4.new_notebook(cells=_with_texts(record, nodes), metadata=dict(record.metadata))


def _with_texts(record: NotebookNode, nodes: list[NotebookNode]) -> list[NotebookNode]:
    """Put the exercise's markdown back in front of the cell that it introduces."""
    before, text = {}, []
    for node in record.cells:
        if node.cell_type == "markdown":
            text.append(node)
        elif _grade_id(node):
            before[_grade_id(node)], text = text, []
    placed = [part for node in nodes for part in (*before.pop(_grade_id(node), ()), node)]
    return [*placed, *text]


def _grade_id(node: NotebookNode) -> str:
    return node.metadata.get("nbgrader", {}).get("grade_id", "")


def _outputs(cell: Cell, outcome: Outcome) -> list[NotebookNode]:
    if cell.role == "test":
        if outcome.status == "passed":
            return []
        line = f"{outcome.status}: {outcome.message}".rstrip(": ")
        return [
            nbformat.v4.new_output("error", ename=outcome.status, evalue=outcome.message, traceback=[line])
        ]
    outputs = [nbformat.from_dict(output) for output in outcome.outputs]
    if outcome.status in ("timeout", "crashed", "memory"):
        line = f"{outcome.status}: {outcome.message}"
        outputs.append(
            nbformat.v4.new_output("error", ename=outcome.status, evalue=outcome.message, traceback=[line])
        )
    return outputs
