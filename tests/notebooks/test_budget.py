"""The budget plugin: it sees a slow notebook and a figure that slipped, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from tests.notebooks import budget

ROOT = Path(__file__).resolve().parents[2]


def record(seconds=30.0, pictures=()):
    return {"notebook": "04", "seconds": seconds, "pictures": list(pictures)}


@pytest.mark.parametrize(
    ("records", "faults"),
    [
        ([record()], 0),
        ([record(seconds=61)], 0),  # reported, not failed
        ([record(seconds=121)], 1),
        ([record(pictures=[3])], 1),
        ([record(121, [3, 4]), record()], 3),
    ],
)
def test_twice_the_budget_and_stray_figures_are_faults(records, faults):
    assert len(budget.judge(records)) == faults


def test_the_report_marks_what_is_over_the_budget():
    quick, slow = budget.report([record(59.0), record(61.0)])
    assert "over" not in quick and "over the budget" in slow and "61.0 CPU-s" in slow


SLIPS = "import matplotlib.pyplot as plt\nplt.plot([0, 1]);"
SHOWN = """
import matplotlib.pyplot as plt
from course_lib import plots
fig, ax = plt.subplots()
plots.show(fig, alt="An empty pair of axes and nothing else.")
"""


@pytest.mark.parametrize(("cell", "slips"), [(SLIPS, True), (SHOWN, False)], ids=["slips", "shown"])
def test_a_session_is_watched_from_start_to_end(tmp_path, monkeypatch, cell, slips):
    cells = ['# begin("42")', cell, "1 + 1"]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    book.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(book, tmp_path / "watched.ipynb")
    monkeypatch.delenv(budget.FOLDER, raising=False)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    command = [sys.executable, "-m", "pytest", "-q", "--nbval-lax", "--nbval-current-env"]
    command += ["-p", "no:cacheprovider", "-p", "tests.notebooks.budget", "-c", "/dev/null"]
    command += [f"--rootdir={tmp_path}", str(tmp_path / "watched.ipynb")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert "3 passed" in done.stdout, done.stdout + done.stderr
    assert "      42 " in done.stdout and "CPU-s" in done.stdout
    assert ("42: code cell 2 shows a figure without plots.show" in done.stdout) is slips
    assert done.returncode == (1 if slips else 0)
