"""Tell the instructor (`grades.csv`, `report.html`) and each student (feedback) how it went.

Everything a student wrote is escaped, pages load nothing from anywhere and forbid scripts, and no page for
students holds a line of a hidden test.
"""

from __future__ import annotations

import base64
import csv
import os
import re
import statistics
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from .assignment import Assignment, Cell
from .execute import Outcome
from .worker import HIDDEN_CASE

TEMPLATES = Path(__file__).with_name("templates")
GOOD, MIDDLE, BAD, NONE = "good", "mid", "bad", "none"
KINDS = {
    **dict.fromkeys(("graded", "passed"), GOOD),
    **dict.fromkeys(("timeout", "crashed", "memory"), MIDDLE),
    **dict.fromkeys(("invalid", "tampered", "wrong", "error", "check error"), BAD),
    **dict.fromkeys(("missing", "not attempted", "not graded"), NONE),
}


@dataclass
class Row:
    """One submission in all reports; `results` are the outcomes of its test cells, by task."""

    student_id: str
    status: str
    max_score: float
    points: dict[str, float] = field(default_factory=dict)
    results: dict[str, Outcome] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    feedback: str = ""  # relative to the report

    @property
    def score(self) -> float:
        return sum(self.points.values())


def write_csv(path: Path, assignment: Assignment, rows: list[Row]) -> None:
    """Columns student_id, status, score, max_score, then one for each task."""
    tasks = [task.name for task in assignment.tasks]
    temporary = path.with_suffix(".tmp")
    with temporary.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["student_id", "status", "score", "max_score", *tasks])
        for row in rows:
            points = [f"{row.points.get(task, 0):g}" for task in tasks]
            table.writerow(
                [plain(row.student_id), row.status, f"{row.score:g}", f"{row.max_score:g}", *points]
            )
    os.replace(temporary, path)


def plain(text: str) -> str:
    """Text that no spreadsheet takes for a formula and that stays on one line."""
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    text = text.encode("utf-8", "replace").decode()
    return "'" + text if text[:1] in tuple("=+-@") else text


def write_report(path: Path, assignment: Assignment, rows: list[Row]) -> None:
    """The instructor's page: distribution, success by task, common mistakes, all rows."""
    scores = [row.score for row in rows if row.results]
    counts, text = _histogram(scores, assignment.max_score)
    tallest = max(max(counts), 1)
    page = _render(
        "report.html.j2",
        name=assignment.name,
        rows=rows,
        max_score=assignment.max_score,
        when=f"{datetime.now():%Y-%m-%d %H:%M}",
        mean=f"{statistics.fmean(scores):.1f}" if scores else "–",
        median=f"{statistics.median(scores):g}" if scores else "–",
        statuses=Counter(row.status for row in rows).most_common(),
        bars=[(count, round(100 * count / tallest)) for count in counts],
        histogram_text=text,
        tasks=[_success(task, rows) for task in assignment.tasks],
        mistakes=_mistakes(rows),
        broken=_broken(rows),
    )
    path.write_text(page, encoding="utf-8", newline="\n")


def _histogram(scores: list[float], max_score: float) -> tuple[list[int], str]:
    bins = int(min(20, max(1, max_score))) + 1
    counts = [0] * bins
    for score in scores:
        counts[min(bins - 1, int(score / max_score * (bins - 1)))] += 1
    best = f"{sum(s == max_score for s in scores)} have full marks, {sum(s == 0 for s in scores)} have none"
    return counts, f"Distribution of {len(scores)} scores: {best}."


def _success(task, rows: list[Row]) -> dict:
    results = [row.results[task.name].status for row in rows if task.name in row.results]
    passed, empty = results.count("passed"), results.count("not attempted")
    failed, total = len(results) - passed - empty, max(len(results), 1)
    shares = [(kind, 100 * n / total) for kind, n in ((GOOD, passed), (BAD, failed), (NONE, empty))]
    return {
        "name": task.name,
        "points": task.points,
        "passed": passed,
        "failed": failed,
        "empty": empty,
        "shares": shares,
    }


def _mistakes(rows: list[Row], most: int = 12) -> list[tuple[str, str, int]]:
    """(task, an example message, students), where messages that differ in numbers only count as one."""
    examples, counts = {}, Counter()
    for row in rows:
        for task, outcome in row.results.items():
            if outcome.status in ("wrong", "error", "timeout", "crashed", "memory"):
                message = outcome.message.replace(HIDDEN_CASE, "")
                key = task, re.sub(r"-?\d+(\.\d+)?", "#", message)
                examples.setdefault(key, message)
                counts[key] += 1
    return [(key[0], examples[key], count) for key, count in counts.most_common(most)]


def _broken(rows: list[Row]) -> list[str]:
    found = ((row.student_id, task, out) for row in rows for task, out in row.results.items())
    return [f"{task}, with {who}: {out.message}" for who, task, out in found if out.status == "check error"]


def write_feedback(
    path: Path, assignment: Assignment, row: Row, cells: tuple[Cell, ...], outcomes: dict[str, Outcome]
) -> None:
    """One student's page: points and messages by task, then the student's own cells with their outputs."""
    tasks = [_told(task, row.results.get(task.name, Outcome("not graded"))) for task in assignment.tasks]
    shown = [_cell(cell, outcomes[cell.id]) for cell in cells if cell.role in ("answer", "free")]
    page = _render("feedback.html.j2", name=assignment.name, row=row, tasks=tasks, cells=shown)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8", newline="\n")


def _told(task, outcome: Outcome) -> dict:
    message = outcome.message
    if outcome.status == "check error":  # its text may tell what the check does
        message = "the check itself failed; your instructor sees this too"
    return {
        "name": task.name,
        "points": task.points,
        "status": outcome.status,
        "message": message,
        "kind": KINDS.get(outcome.status, BAD),
    }


@dataclass(frozen=True)
class _Shown:
    """One output on a feedback page: text, or a picture as base64."""

    text: str = ""
    image: str = ""
    error: bool = False


def _cell(cell: Cell, outcome: Outcome) -> dict:
    outputs = [_shown(output) for output in outcome.outputs]
    if outcome.status in ("timeout", "crashed", "memory"):
        outputs.append(_Shown(f"{outcome.status}: {outcome.message}", error=True))
    title = f"Task {cell.task}" if cell.task else "A cell of your own"
    return {"title": title, "source": cell.source, "outputs": [out for out in outputs if out]}


def _shown(output: dict) -> _Shown | None:
    """Text, or a PNG that decodes as one; nothing else of a notebook's output is shown."""
    kind, data = output.get("output_type"), output.get("data") or {}
    if kind == "error":
        return _Shown("\n".join(map(str, output.get("traceback") or [])), error=True)
    if kind == "stream":
        return _Shown(str(output.get("text", "")))
    if image := data.get("image/png"):
        try:
            raw = base64.b64decode(image)
        except ValueError:
            raw = b""
        if raw.startswith(b"\x89PNG\r\n\x1a\n"):
            return _Shown(image=base64.b64encode(raw).decode())
    return _Shown(str(data["text/plain"])) if "text/plain" in data else None


def _render(template: str, **values) -> str:
    import jinja2

    loader = jinja2.FileSystemLoader(TEMPLATES)
    pages = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)
    return pages.get_template(template).render(kinds=KINDS, **values)
