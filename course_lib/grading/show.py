"""What the commands print: tables and a progress bar with statuses."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager

from .report import BAD, GOOD, KINDS, MIDDLE, NONE, Row
from .students import Checked

COLOURS = {GOOD: "green", MIDDLE: "yellow", BAD: "red", NONE: "bright_black"}


def checked(result: Checked):
    """A table of tasks: passed, or why not, and the points of the public checks."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=f"{result.assignment.name}: public checks", title_justify="left")
    for header, justify in (("task", "left"), ("points", "right"), ("result", "left"), ("why", "left")):
        table.add_column(header, justify=justify, overflow="fold")
    for task in result.assignment.tasks:
        outcome = result.results[task.name]
        got = task.points if outcome.status == "passed" else 0
        table.add_row(
            task.name, f"{got:g} / {task.points:g}", _status(outcome.status), escape(outcome.message)
        )
    table.add_section()
    table.add_row("in all", f"{result.points:g} / {result.assignment.max_score:g}", "", "")
    return table


def graded(rows: list[Row]):
    """A table of statuses and how many submissions ended in each."""
    from rich.table import Table

    table = Table("status", "submissions", title="graded", title_justify="left")
    for status, count in Counter(row.status for row in rows).most_common():
        table.add_row(_status(status), str(count))
    return table


def _status(status: str) -> str:
    colour = COLOURS[KINDS.get(status, BAD)]
    return f"[{colour}]{status}[/]"


@contextmanager
def progress():
    """A bar for `batch.grade(told=…)`: submissions done, and their statuses so far."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Progress(*columns) as bar:
        job, counts = bar.add_task("checking the solution", total=None), Counter()

        def told(total: int, row: Row | None) -> None:
            if row is not None:
                counts[row.status] += 1
            text = ", ".join(f"{count} {status}" for status, count in counts.most_common())
            bar.update(job, total=total, completed=counts.total(), description=text or "running")

        yield told
