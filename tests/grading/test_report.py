"""What instructor and students read: right, escaped, harmless in a spreadsheet, silent about hidden tests."""

import csv

import pytest

from course_lib.grading import assignment, report
from course_lib.grading.assignment import Cell
from course_lib.grading.execute import Outcome
from course_lib.grading.report import Row, plain
from tests.grading import toy

OURS = assignment.parse("toy", toy.instructor(), seed=777)
EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>"


def rows():
    passed, wrong = Outcome("passed"), Outcome("wrong", f"expected 4.5, got 7 {EVIL}")
    hidden = Outcome("wrong", f"expected 1, got 2 {EVIL} (in a case that is not shown)", hidden=True)
    broken = Outcome("check error", "KeyError: 'oops'")
    return [
        Row("ann", "graded", 5, {"double": 2, "square": 3}, {"double": passed, "square": passed}),
        Row("=cmd|' /C calc'!A0", "graded", 5, {"double": 2}, {"double": passed, "square": wrong}),
        Row("cem", "graded", 5, {"double": 2}, {"double": broken, "square": hidden}, [EVIL]),
        Row("dee", "missing", 5, {}, {}, ["no notebook was handed in"]),
    ]


def test_the_table_has_a_row_for_each_and_no_formula(tmp_path):
    report.write_csv(tmp_path / "grades.csv", OURS, rows())
    with (tmp_path / "grades.csv").open(newline="", encoding="utf-8") as file:
        table = list(csv.reader(file))
    assert table == [
        ["student_id", "status", "score", "max_score", "double", "square"],
        ["ann", "graded", "5", "5", "2", "3"],
        ["'=cmd|' /C calc'!A0", "graded", "2", "5", "2", "0"],
        ["cem", "graded", "2", "5", "2", "0"],
        ["dee", "missing", "0", "5", "0", "0"],
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["grades.csv"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ann", "ann"),
        ("-ann", "'-ann"),
        ("+1", "'+1"),
        ("@x", "'@x"),
        ("a\nb", r"a\nb"),
        ("\t=1", r"\t=1"),
        ("a\x00b", r"a\x00b"),
        ("x\udcffy", r"x\udcffy"),
    ],
)
def test_ids_are_plain_text(text, shown):
    assert plain(text) == shown


def test_the_report_counts_and_escapes(tmp_path):
    report.write_report(tmp_path / "report.html", OURS, rows())
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;script&gt;" in page
    assert "Content-Security-Policy" in page
    assert "http://" not in page
    assert "https://" not in page
    assert "3.0</b><span>mean of those graded" in page
    assert "1 have full marks, 0 have none" in page
    assert "2 of 3" in page  # double
    assert "KeyError: &#39;oops&#39;" in page  # for the author
    # the same mistake with other numbers, hidden or not, is one mistake
    assert page.count("expected 4.5, got 7") == 1
    assert "expected 1, got 2" not in page


def test_a_report_without_any_mark_can_be_written(tmp_path):
    report.write_report(tmp_path / "report.html", OURS, rows()[3:])
    assert "–</b><span>mean" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_feedback_shows_answers_and_verdicts_but_no_test(tmp_path):
    cells = (
        *OURS.cells,
        Cell("added-9", "free", EVIL),
    )
    png = {
        "output_type": "display_data",
        "data": {"image/png": "iVBORw0KGgoAAAANSUhEUg==", "text/plain": "fig"},
    }
    fake = {
        "output_type": "display_data",
        "data": {"image/png": '"><script>1</script>', "text/plain": "fake"},
    }
    html = {"output_type": "display_data", "data": {"text/html": EVIL}}
    error = {"output_type": "error", "traceback": ["Traceback", EVIL]}
    outputs = [{"output_type": "stream", "name": "stdout", "text": EVIL}, png, fake, html, error]
    outcomes = {cell.id: Outcome("ran", outputs=outputs) for cell in cells}
    row = rows()[2]
    report.write_feedback(tmp_path / "f" / "cem.html", OURS, row, cells, outcomes)
    page = (tmp_path / "f" / "cem.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert page.count("<img alt=") == 3  # of three cells, each with one real picture
    assert 'src="data:image/png;base64,iVBORw0KGgo' in page
    assert "777" not in page
    assert "HIDDEN" not in page
    assert "check.double" not in page
    assert "oops" not in page
    assert "the check itself failed" in page
    assert "not shown" in page
    assert "2 of 5 points" in page
    assert "return 2 * x" in page
