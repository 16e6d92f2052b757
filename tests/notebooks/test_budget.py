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


def write(path: Path, code: str, mime: str) -> None:
    cells = [
        f'# begin("{code}")',
        "from IPython.display import display",
        f"display({{'{mime}': 'aGk='}}, raw=True)",
    ]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    book.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(book, path)


def test_a_session_is_watched_from_start_to_end(tmp_path, monkeypatch):
    write(tmp_path / "slips.ipynb", "41", "image/png")  # what a figure sends that matplotlib shows by itself
    write(tmp_path / "shown.ipynb", "42", "text/html")  # what plots.show sends (tests/plots)
    monkeypatch.delenv(budget.FOLDER, raising=False)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    command = [sys.executable, "-m", "pytest", "-q", "--nbval-lax", "--nbval-current-env"]
    command += ["-p", "no:cacheprovider", "-p", "tests.notebooks.budget", "-c", "/dev/null"]
    command += [f"--rootdir={tmp_path}", str(tmp_path / "slips.ipynb"), str(tmp_path / "shown.ipynb")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert "6 passed" in done.stdout, done.stdout + done.stderr
    assert "      41 " in done.stdout and "      42 " in done.stdout and "CPU-s" in done.stdout
    assert "41: code cell 3 shows a figure without plots.show" in done.stdout
    assert done.stdout.count("without plots.show") == 1
    assert done.returncode == 1
