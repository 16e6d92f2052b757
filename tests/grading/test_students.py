"""What students run, without nbgrader: check, pack; and the copy of the course that they get."""

import shutil
import subprocess
import sys

import nbformat
import pytest

from course_lib.grading import assignment, show, students
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
    with pytest.raises(FileNotFoundError, match=r"known: toy"):
        students.check("tok", root=course)
    with pytest.raises(FileNotFoundError, match="no file"):
        students.check("toy", tmp_path / "none.ipynb", root=course)
    broken = tmp_path / "broken.ipynb"
    broken.write_text("{")
    with pytest.raises(ValueError, match="not JSON"):
        students.check("toy", broken, root=course)


def test_the_beginning_of_a_name_is_enough_where_no_other_shares_it(course, monkeypatch):
    own_copy(course, toy.right())
    monkeypatch.setattr(students, "execute", lambda cells, limits: {c.id: Outcome("passed") for c in cells})
    assert students.check("to", root=course).assignment.name == "toy"
    assert students.pack("to", root=course).path == course / "work" / "hand-in" / "toy.ipynb"
    for folder in ("solutions", "exercises"):
        (course / folder / "toys").mkdir()
        (course / folder / "toys" / "toys.ipynb").write_bytes(
            (course / folder / "toy/toy.ipynb").read_bytes()
        )
    with pytest.raises(FileNotFoundError, match="'to' may be toy, toys: give more of the name"):
        students.check("to", root=course)
    assert students.check("toy", root=course).assignment.name == "toy"
    with pytest.raises(FileNotFoundError, match=r"known: toy, toys$"):
        students.pack("", root=course)


def test_a_students_copy_cannot_release_and_says_so(course, monkeypatch, capsys):
    from course_lib import cli
    from course_lib.grading import release

    assert release.release(["to"], course) == [course / "exercises" / "toy" / "toy.ipynb"]
    with pytest.raises(FileNotFoundError, match=r"known: toy$"):  # an instructor's copy: just a wrong name
        release.release(["tok"], course)
    (course / release.SEED_FILE).unlink()
    shutil.rmtree(course / "solutions")
    for names in (None, ["toy"]):
        with pytest.raises(FileNotFoundError, match="was made for students and has no solutions"):
            release.release(names, course)
    with pytest.raises(FileNotFoundError, match="was made for students and has no solutions"):
        assignment.load("toy", course)
    with pytest.raises(FileNotFoundError, match=r"known: toy$"):
        students.check("tok", root=course)
    monkeypatch.setattr(release.need_solutions, "__defaults__", (course,))
    monkeypatch.setattr(release.keep_hidden_seed, "__defaults__", (course,))
    monkeypatch.setattr(sys, "argv", ["course", "release", "--hidden-seed", "5"])
    with pytest.raises(SystemExit):
        cli.main()
    assert "has no solutions" in capsys.readouterr().err
    assert not (course / release.SEED_FILE).exists()
    (course / "solutions").mkdir()
    with pytest.raises(FileNotFoundError, match=r"solutions holds no NAME/NAME\.ipynb"):
        release.release(root=course)


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
