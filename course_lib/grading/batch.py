"""Grade a folder of submissions: read, merge, execute, score, report; one broken submission stops nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from nbformat import NotebookNode

from course_lib.workspace import ROOT

from . import assignment as exercises
from . import intake, release, report
from .assignment import Assignment, Cell
from .execute import FATAL, Limits, Outcome, Stopped, execute, ready, stopping
from .merge import Merged, NotThisExercise, merge
from .report import Row

SUSPECT = "answers as they stand would earn {score:g} of {max_score:g}; needs a human look"


@dataclass(frozen=True)
class Graded:
    """What the pure part of grading makes of one submission; `refused` tells why nothing can be scored."""

    entry: intake.Entry
    submitted: NotebookNode | None = None
    merged: Merged | None = None
    outcomes: dict[str, Outcome] | None = None
    refused: intake.Refused | None = None


def grade(
    name: str,
    submissions: Path,
    out: Path,
    *,
    jobs: int = 1,
    limits: Limits | None = None,
    root: Path = ROOT,
    told: Callable[[int, Row | None], None] = lambda total, row: None,
) -> list[Row]:
    """Grade every submission and write grades.csv, report.html, feedback/ and gradebook.db into `out`.

    told: called with the number of submissions, and with each row as it is done (for a progress bar).
    Raises FileNotFoundError or ValueError where the batch as a whole cannot be graded.
    """
    from .gradebook import Marks

    limits = limits or Limits()
    if jobs < 1:
        raise ValueError(f"--jobs {jobs}: at least one submission must run at a time")
    entries = intake.scan(submissions)
    if out.resolve() == submissions.resolve() or submissions.resolve() in out.resolve().parents:
        raise ValueError(f"--out {out} lies in the folder of submissions: choose one outside")
    if out.exists() and not out.is_dir():
        raise ValueError(f"--out {out} is a file: give a folder, which is made where there is none")
    assignment = exercises.load(name, root, seed=release.hidden_seed(root))
    _solution_passes(assignment, limits)
    out.mkdir(parents=True, exist_ok=True)
    rows: dict[intake.Entry, Row] = {}
    try:
        with Marks(out, assignment) as marks:
            told(len(entries), None)
            for graded in _all(assignment, entries, jobs, limits):
                row = _record(marks, assignment, graded, out)
                rows[graded.entry] = row
                told(len(entries), row)
    finally:  # on Ctrl-C too: what is done is told
        done = [rows[entry] for entry in entries if entry in rows]
        report.write_csv(out / "grades.csv", assignment, done)
        report.write_report(out / "report.html", assignment, done)
    return done


def _solution_passes(assignment: Assignment, limits: Limits) -> None:
    """The instructor's own answers must have full marks, or nobody's marks mean anything."""
    outcomes = execute(merge(assignment, assignment.notebook).counting, limits)
    for task in assignment.tasks:
        outcome = outcomes[task.cell]
        if outcome.status != "passed":
            raise ValueError(
                f"the solution of {assignment.name} itself fails {task.name} ({outcome.status}: "
                f"{outcome.message}); correct it, give more time, or choose another --hidden-seed"
            )


def _all(assignment: Assignment, entries, jobs: int, limits: Limits) -> Iterator[Graded]:
    """Submissions as they are done, `jobs` at a time; on Ctrl-C those not begun are given up."""
    pool = ThreadPoolExecutor(jobs)
    try:
        with stopping():
            waiting = [pool.submit(grade_one, assignment, entry, limits) for entry in entries]
            for future in as_completed(waiting):
                yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)
        ready()


def grade_one(assignment: Assignment, entry: intake.Entry, limits: Limits) -> Graded:
    """The unit of work: read, merge and execute one submission. Touches nothing but its own process."""
    try:
        submitted = intake.read(entry, assignment.name)
        merged = merge(assignment, submitted)
        outcomes = dict.fromkeys((cell.id for cell in merged.cells), Outcome("not run"))
        return Graded(entry, submitted, merged, outcomes | execute(merged.counting, limits))
    except Stopped:
        raise
    except intake.Refused as e:
        return Graded(entry, refused=e)
    except NotThisExercise as e:
        return Graded(entry, refused=intake.Refused("invalid", str(e)))
    except Exception as e:  # a fault of ours must cost one row, and say so there
        fault = f"the grader itself failed here ({type(e).__name__}: {str(e)[:300]}); grade this one again"
        return Graded(entry, refused=intake.Refused("crashed", fault))


def _record(marks, assignment: Assignment, graded: Graded, out: Path) -> Row:
    """Store one result and write its feedback; returns its row."""
    from .gradebook import executed

    row = Row(graded.entry.student_id, "graded", assignment.max_score)
    if graded.refused is not None:
        row.status, row.notes = graded.refused.status, [str(graded.refused)]
        kept = marks.withdraw(row.student_id)
        row.points = {task.name: kept.get(task.cell, 0.0) for task in assignment.tasks}
        if kept:
            row.notes.append("the marks given by hand to an earlier submission are kept")
        if not graded.entry.problem:
            marks.enrol(row.student_id)
            _feedback(assignment, row, (), {}, out)
        return row
    cells, outcomes = graded.merged.cells, graded.outcomes
    row.results = {task.name: outcomes[task.cell] for task in assignment.tasks}
    row.notes = [*graded.merged.notes, *_stray(cells, outcomes)]
    row.status = _status(graded.merged, cells, outcomes)
    if row.status == "tampered":
        passed = sum(task.points for task in assignment.tasks if row.results[task.name].status == "passed")
        row.notes = [*graded.merged.tampered, *row.notes]
        row.notes.append(SUSPECT.format(score=passed, max_score=row.max_score))
        held = Outcome("tampered", "the notebook's grading data were changed")
        outcomes = outcomes | {task.cell: held for task in assignment.tasks}
        row.results = {task.name: held for task in assignment.tasks}
    points = marks.grade(
        row.student_id, graded.submitted, executed(assignment, marks.record, cells, outcomes)
    )
    row.points = {task.name: points[task.cell] for task in assignment.tasks}
    _feedback(assignment, row, cells, outcomes, out)
    return row


def _status(merged: Merged, cells: tuple[Cell, ...], outcomes: dict[str, Outcome]) -> str:
    """The worst that happened: interference, then the first fault in a cell that counts."""
    if merged.tampered or any(outcome.status == "tampered" for outcome in outcomes.values()):
        return "tampered"
    faults = [outcomes[cell.id].status for cell in cells if cell.role != "free"]
    return next((status for status in faults if status in FATAL), "graded")


def _stray(cells: tuple[Cell, ...], outcomes: dict[str, Outcome]) -> list[str]:
    """Faults in cells of the student's own cost nothing, but are told."""
    bad = [outcomes[cell.id] for cell in cells if cell.role == "free" and outcomes[cell.id].status in FATAL]
    return [f"a cell of your own: {outcome.status}, {outcome.message}" for outcome in bad]


def _feedback(assignment: Assignment, row: Row, cells, outcomes, out: Path) -> None:
    where = Path("feedback") / row.student_id / assignment.name / f"{assignment.name}.html"
    row.feedback = quote(where.as_posix())
    report.write_feedback(out / where, assignment, row, cells, outcomes)
