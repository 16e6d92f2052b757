"""`course grade` on a folder as it comes: every submission one right row, the batch complete, marks kept."""

import csv
import time
import zipfile

import nbformat
import pytest
from typer.testing import CliRunner

from course_lib import cli
from course_lib.grading import assignment, batch
from course_lib.grading import execute as execution
from course_lib.grading.execute import Outcome
from course_lib.grading.gradebook import COURSE_ID, Marks, executed
from course_lib.grading.merge import merge
from course_lib.workspace import ROOT
from tests.grading import toy

SOLUTION = {cell.id: cell.source for cell in assignment.load("ps02_hmc").cells if cell.role == "answer"}
TASKS = ["banana", "leapfrog", "accept", "hmc_step", "ess", "langevin"]
LOOP = "import time\n\ndef hmc_step(*args, **more):\n    while True:\n        time.sleep(0.1)\n"
EVIL = "# <script>alert(1)</script>\n"
WRONG = {
    "leapfrog": SOLUTION["leapfrog"].replace("x + step_size * p", "x + 2 * step_size * p"),
    "accept": SOLUTION["accept"].replace("torch.exp(-delta_h)", "2 + 0 * delta_h"),
    "ess": EVIL + "def ess(x):\n    print('<script>alert(2)</script>')\n    return float(len(x))",
}


def ps02(answers: dict[str, str]) -> str:
    notebook = nbformat.read(assignment.find("ps02_hmc", folder="exercises"), 4)
    for cell in notebook.cells:
        cell.source = answers.get(cell.id, cell.source)
    return nbformat.writes(notebook)


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """(exit code, output, folder) of one batch with a submission of every kind."""
    box, out = tmp_path_factory.mktemp("in"), tmp_path_factory.mktemp("out") / "marks"
    whole = ps02(SOLUTION)
    for student, text in {
        "correct": whole,
        "half": ps02({task: SOLUTION[task] for task in ("banana", "leapfrog")}),
        "wrong": ps02({**SOLUTION, **WRONG}),
        "corrupt": whole[: len(whole) // 2],
        "=cmd": whole,
    }.items():
        (box / student).mkdir()
        (box / student / "ps02_hmc.ipynb").write_text(text, encoding="utf-8")
    (box / "empty").mkdir()
    with zipfile.ZipFile(box / "looping.zip", "w") as archive:
        archive.writestr("ps02_hmc.ipynb", ps02({**SOLUTION, "hmc_step": LOOP}))
    words = ["grade", "ps02_hmc", "--submissions", box, "--out", out, "--jobs", 2, "--timeout", 20]
    result = CliRunner().invoke(cli.app, list(map(str, words)))
    return result, out


def test_five_kinds_of_submission_end_in_five_right_rows(graded):
    result, out = graded
    assert result.exit_code == 0, result.output
    with (out / "grades.csv").open(newline="", encoding="utf-8") as file:
        table = list(csv.reader(file))
    assert table == [
        ["student_id", "status", "score", "max_score", *TASKS],
        ["'=cmd", "invalid", "0", "24", "0", "0", "0", "0", "0", "0"],
        ["correct", "graded", "24", "24", "3", "5", "4", "5", "3", "4"],
        ["corrupt", "invalid", "0", "24", "0", "0", "0", "0", "0", "0"],
        ["empty", "missing", "0", "24", "0", "0", "0", "0", "0", "0"],
        ["half", "graded", "8", "24", "3", "5", "0", "0", "0", "0"],
        ["looping", "timeout", "19", "24", "3", "5", "4", "0", "3", "4"],
        ["wrong", "graded", "12", "24", "3", "0", "0", "5", "0", "4"],
    ]


def test_the_report_and_the_feedback_tell_why(graded):
    _, out = graded
    report = (out / "report.html").read_text(encoding="utf-8")
    assert "a rise of 30 nats is accepted" in report
    assert "was it saved to the end?" in report
    pages = {path.parts[-3]: path.read_text(encoding="utf-8") for path in out.glob("feedback/*/*/*.html")}
    assert set(pages) == {"correct", "corrupt", "empty", "half", "looping", "wrong"}
    assert "the autocorrelation is not counted" in pages["wrong"]
    assert "not attempted" in pages["half"]
    assert "no end within 20 s for one cell" in pages["looping"]
    for page in (report, *pages.values()):
        assert "<script" not in page
        assert "HIDDEN" not in page
        assert "seed=" not in page
    assert all(f'href="feedback/{student}/' in report for student in pages)


def test_the_gradebook_is_nbgraders(graded):
    from nbgrader.api import Gradebook

    _, out = graded
    with Gradebook(f"sqlite:///{out / 'gradebook.db'}", COURSE_ID) as book:
        scores = {sub.student.id: sub.score for sub in book.assignment_submissions("ps02_hmc")}
        assert scores == {"correct": 24, "half": 8, "wrong": 12, "looping": 19}
        assert {student.id for student in book.students} == {*scores, "corrupt", "empty"}
        assert book.find_assignment("ps02_hmc").max_score == 24
    for student in scores:
        path = out / "autograded" / student / "ps02_hmc" / "ps02_hmc.ipynb"
        nbformat.validate(nbformat.read(path, 4))
    config = (out / "nbgrader_config.py").read_text()
    assert str(out) not in config
    assert str(ROOT) not in config


def marked(out, notebook, outcomes):
    """The points of one student when the test cells end as told; nothing is executed."""
    ours = assignment.parse("toy", toy.instructor())
    cells = merge(ours, notebook).cells
    ends = {cell.id: outcomes.get(cell.id, Outcome("ran")) for cell in cells}
    with Marks(out, ours) as marks:
        return marks.grade("ann", notebook, executed(ours, marks.record, cells, ends))


PASSED = {"test-double": Outcome("passed"), "test-square": Outcome("passed")}


def test_points_follow_the_outcomes_only(tmp_path):
    assert marked(tmp_path, toy.right(), PASSED) == {"test-double": 2, "test-square": 3}
    for status in (
        "wrong",
        "not attempted",
        "error",
        "timeout",
        "crashed",
        "memory",
        "check error",
        "not run",
    ):
        ends = {**PASSED, "test-square": Outcome(status)}
        assert marked(tmp_path, toy.right(), ends) == {"test-double": 2, "test-square": 0}, status
    # a test cell without a report scores nothing (nbgrader gives full marks to a silent cell)
    assert marked(tmp_path, toy.right(), {}) == {"test-double": 0, "test-square": 0}
    # warnings cost nothing (nbgrader gives none to a cell that writes to stderr)
    warned = [{"output_type": "stream", "name": "stderr", "text": "UserWarning"}]
    ends = {**PASSED, "test-square": Outcome("passed", outputs=warned)}
    assert marked(tmp_path, toy.right(), ends) == {"test-double": 2, "test-square": 3}


def test_marks_given_by_hand_are_kept(tmp_path):
    from nbgrader.api import Gradebook

    marked(tmp_path, toy.right(), {})
    with Gradebook(f"sqlite:///{tmp_path / 'gradebook.db'}", COURSE_ID) as book:
        book.find_grade("test-square", "toy", "toy", "ann").manual_score = 1.5
        book.db.commit()
    assert marked(tmp_path, toy.right(), PASSED) == {"test-double": 2, "test-square": 1.5}


def test_another_exercise_in_the_same_folder_is_refused_where_it_would_mix_marks(tmp_path):
    marked(tmp_path, toy.right(), PASSED)
    changed = toy.instructor()
    changed.cells = changed.cells[:-2]
    with pytest.raises(ValueError, match="give an empty --out"):
        Marks(tmp_path, assignment.parse("toy", changed))


def test_the_texts_of_the_exercise_stand_where_they_were(tmp_path):
    notebook = toy.right()
    notebook.cells.append(nbformat.v4.new_code_cell("1 + 1"))
    marked(tmp_path, notebook, PASSED)
    stored = nbformat.read(tmp_path / "autograded" / "ann" / "toy" / "toy.ipynb", 4)
    kinds = [(cell.cell_type, cell.source.splitlines()[0]) for cell in stored.cells]
    assert kinds[0] == ("markdown", "# Toy")
    assert [kind for kind, _ in kinds] == ["markdown"] + ["code"] * 6
    assert kinds[-1] == ("code", "1 + 1")


def test_what_cannot_be_graded_as_a_whole_says_so(tmp_path, monkeypatch):
    root = toy.course(tmp_path / "course")
    box = tmp_path / "in"
    toy.hand_in(box, "ann", toy.right())
    with pytest.raises(ValueError, match="choose one outside"):
        batch.grade("toy", box, box / "out", root=root)
    with pytest.raises(ValueError, match="at least one"):
        batch.grade("toy", box, tmp_path / "out", jobs=0, root=root)
    with pytest.raises(FileNotFoundError, match="known: toy"):
        batch.grade("tok", box, tmp_path / "out", root=root)
    monkeypatch.setattr(batch, "execute", lambda cells, limits: {c.id: Outcome("wrong", "hm") for c in cells})
    with pytest.raises(ValueError, match="the solution of toy itself fails double"):
        batch.grade("toy", box, tmp_path / "out", root=root)
    assert not (tmp_path / "out").exists()


def test_interference_and_faults_of_the_grader_cost_one_row(tmp_path, monkeypatch):
    """Execution breaks for one student only, and another one has changed the points."""
    root = toy.course(tmp_path / "course")
    changed = toy.right()
    toy.cell_of(changed, "test-square").metadata["nbgrader"]["points"] = 1000
    toy.hand_in(tmp_path / "in", "cem", changed)
    for student in ("ann", "bob"):
        answers = {name: f"def {name}(x):\n    {line}  # {student}" for name, line in toy.ANSWERS.items()}
        toy.hand_in(tmp_path / "in", student, toy.submission(**answers))

    def breaks(cells, limits):
        assert all("seed=777" in cell.hidden for cell in cells if cell.role == "test")
        if any("# bob" in cell.source for cell in cells):
            raise OSError("no space left")
        return {cell.id: Outcome("passed" if cell.role == "test" else "ran") for cell in cells}

    monkeypatch.setattr(batch, "execute", breaks)
    told = []
    rows = batch.grade(
        "toy", tmp_path / "in", tmp_path / "out", root=root, told=lambda n, row: told.append((n, row))
    )
    assert [(row.student_id, row.status, row.score) for row in rows] == [
        ("ann", "graded", 5),
        ("bob", "crashed", 0),
        ("cem", "tampered", 0),
    ]
    assert "OSError: no space left" in rows[1].notes[0]
    assert rows[2].notes == [
        "the grading data of cell test-square were changed (points)",
        "answers as they stand would earn 5 of 5; needs a human look",
    ]
    assert [total for total, _ in told] == [3, 3, 3, 3]
    assert (tmp_path / "out" / "report.html").exists()


def test_ctrl_c_ends_what_runs_and_reports_what_is_done(tmp_path, monkeypatch):
    root = toy.course(tmp_path / "course")
    toy.hand_in(tmp_path / "in", "ann", b"{")
    toy.hand_in(tmp_path / "in", "bob", toy.submission(double="import time\ntime.sleep(300)"))
    monkeypatch.setattr(batch, "_solution_passes", lambda assignment, limits: None)

    def interrupt(total, row):
        if row is not None and row.student_id == "ann":
            while not execution._running:
                time.sleep(0.05)
            raise KeyboardInterrupt

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        batch.grade("toy", tmp_path / "in", tmp_path / "out", root=root, jobs=2, told=interrupt)
    assert time.monotonic() - started < 60
    assert not execution._running
    table = (tmp_path / "out" / "grades.csv").read_text().splitlines()
    assert [line.split(",")[:2] for line in table[1:]] == [["ann", "invalid"]]
