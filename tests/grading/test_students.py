"""What students run, without nbgrader: check, pack; and the copy of the course that they get."""

import subprocess
import sys

import nbformat
import pytest

from course_lib.grading import show, students
from course_lib.grading.execute import Outcome
from course_lib.workspace import ROOT
from tests.grading import toy

CHECK_WITHOUT_NBGRADER = """\
import sys
sys.modules["nbgrader"] = None
from pathlib import Path
from course_lib.grading import students
result = students.check("toy", root=Path(sys.argv[1]))
print(result.points, [(task, out.status, out.message) for task, out in result.results.items()])
"""


@pytest.fixture
def course(tmp_path):
    return toy.course(tmp_path)


def own_copy(course, notebook):
    path = course / "work" / "exercises" / "toy" / "toy.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)
    return path


def test_check_runs_the_visible_cases_of_the_own_copy_without_nbgrader(course):
    own_copy(course, toy.submission(double="def double(x):\n    return 2 if x == 1 else 0"))
    done = subprocess.run(
        [sys.executable, "-c", CHECK_WITHOUT_NBGRADER, str(course)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "2.0 [('double', 'passed', ''), ('square', 'not attempted', '')]"


def test_check_says_what_is_missing(course, tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"no work/exercises/toy/toy.ipynb yet: `python course.py lab`"
    ):
        students.check("toy", root=course)
    with pytest.raises(FileNotFoundError, match="known: toy"):
        students.check("tok", root=course)
    with pytest.raises(FileNotFoundError, match="no file"):
        students.check("toy", tmp_path / "none.ipynb", root=course)
    broken = tmp_path / "broken.ipynb"
    broken.write_text("{")
    with pytest.raises(ValueError, match="not JSON"):
        students.check("toy", broken, root=course)


def test_the_table_of_a_check_shows_points_and_reasons(course, monkeypatch):
    from rich.console import Console

    path = own_copy(course, toy.right())
    ends = {"test-double": Outcome("passed"), "test-square": Outcome("wrong", "not [the] square")}
    monkeypatch.setattr(students, "execute", lambda cells, limits: ends)
    result = students.check("toy", path, root=course)
    assert (result.points, result.assignment.max_score) == (2, 5)
    console = Console(width=100, record=True)
    console.print(show.checked(result))
    text = console.export_text()
    assert "2 / 2" in text
    assert "not [the] square" in text
    assert "2 / 5" in text


def test_pack_writes_one_clean_file(course):
    notebook = toy.submission(double="def double(x):\n    return 2 * x")
    output = nbformat.v4.new_output("stream", name="stdout", text="x" * 100_000)
    toy.cell_of(notebook, "double").outputs = [output]
    path = own_copy(course, notebook)
    packed = students.pack("toy", root=course)
    assert packed.path == course / "work" / "hand-in" / "toy.ipynb"
    assert packed.untouched == ("square",)
    assert packed.size < 20_000
    handed = nbformat.read(packed.path, 4)
    assert toy.cell_of(handed, "double").source == "def double(x):\n    return 2 * x"
    assert all(not cell.get("outputs") for cell in handed.cells)
    assert toy.cell_of(nbformat.read(path, 4), "double").outputs  # the own copy is as it was


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            lambda nb: setattr(toy.cell_of(nb, "test-double"), "source", "pass"),
            "test cell test-double was edited",
        ),
        (lambda nb: nb.cells.remove(toy.cell_of(nb, "square")), "the cell of square is missing"),
        (lambda nb: nb.cells.remove(toy.cell_of(nb, "test-square")), "test cell test-square was missing"),
        (lambda nb: toy.cell_of(nb, "test-double").metadata["nbgrader"].update(points=99), "points"),
    ],
)
def test_pack_refuses_what_could_not_be_graded_as_it_stands(course, change, problem):
    notebook = toy.right()
    change(notebook)
    own_copy(course, notebook)
    with pytest.raises(ValueError, match=problem) as caught:
        students.pack("toy", root=course)
    assert "python course.py renew exercises/toy/toy.ipynb" in str(caught.value)
    assert not (course / "work" / "hand-in").exists()


def test_the_bundle_is_the_course_without_solutions_and_tests(tmp_path):
    out = tmp_path / "students"
    count = students.bundle(out)
    files = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert len(files) == count
    assert {
        "course.py",
        "pyproject.toml",
        "exercises/ps02_hmc/ps02_hmc.ipynb",
        "course_lib/checks/oracle.py",
    } <= files
    assert not [name for name in files if name.startswith(("solutions/", "tests/", ".git/", "work/"))]
    assert ".hidden-seed" not in files
    with pytest.raises(ValueError, match="not an empty folder"):
        students.bundle(out)
    with pytest.raises(ValueError, match="not a git checkout"):
        students.bundle(tmp_path / "other", root=tmp_path)
    assert (ROOT / "solutions").is_dir()
