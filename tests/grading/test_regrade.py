"""Grading again into the same folder: table, gradebook and stored notebooks tell of the latest submission."""

from __future__ import annotations

import csv
import shutil

import pytest

from course_lib.grading import batch
from course_lib.grading.execute import Outcome
from course_lib.grading.gradebook import COURSE_ID
from tests.grading import toy


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course and right submissions of ann and bob; executing passes everything, at once."""
    root = toy.course(tmp_path / "course")
    for student in ("ann", "bob"):
        toy.hand_in(tmp_path / "in", student, toy.right())

    def passed(cells, limits):
        return {cell.id: Outcome("passed" if cell.role == "test" else "ran") for cell in cells}

    monkeypatch.setattr(batch, "execute", passed)
    return root


def grade(root) -> dict[str, tuple[str, str]]:
    """Grade what lies in `in/`; {student: (status, score)} as grades.csv has it."""
    out = root.parent / "out"
    batch.grade("toy", root.parent / "in", out, root=root)
    with (out / "grades.csv").open(newline="", encoding="utf-8") as file:
        return {row["student_id"]: (row["status"], row["score"]) for row in csv.DictReader(file)}


def book(root):
    from nbgrader.api import Gradebook

    return Gradebook(f"sqlite:///{root.parent / 'out' / 'gradebook.db'}", COURSE_ID)


def marks(root) -> dict[str, float]:
    with book(root) as opened:
        return {sub.student.id: sub.score for sub in opened.assignment_submissions("toy")}


def by_hand(root, student: str, points: float) -> None:
    with book(root) as opened:
        opened.find_grade("test-square", "toy", "toy", student).manual_score = points
        opened.db.commit()


def stored(root, student: str) -> list[str]:
    steps = ("submitted", "autograded", "feedback")
    return [step for step in steps if (root.parent / "out" / step / student).exists()]


def test_a_submission_that_became_unreadable_leaves_no_marks_behind(course):
    assert grade(course) == {"ann": ("graded", "5"), "bob": ("graded", "5")}
    assert marks(course) == {"ann": 5, "bob": 5}
    by_hand(course, "bob", 1.5)
    (course.parent / "in" / "ann" / "toy.ipynb").write_text("{")
    assert grade(course) == {"ann": ("invalid", "0"), "bob": ("graded", "3.5")}
    assert marks(course) == {"bob": 3.5}
    assert stored(course, "ann") == ["feedback"]  # the page that says why
    assert stored(course, "bob") == ["submitted", "autograded", "feedback"]
    shutil.rmtree(course.parent / "in" / "ann")
    toy.hand_in(course.parent / "in", "ann", toy.right())
    assert grade(course) == {"ann": ("graded", "5"), "bob": ("graded", "3.5")}
    assert marks(course) == {"ann": 5, "bob": 3.5}


def test_marks_given_by_hand_outlive_an_unreadable_file(course):
    grade(course)
    by_hand(course, "ann", 2)
    (course.parent / "in" / "ann" / "toy.ipynb").write_text("{")
    assert grade(course)["ann"] == ("invalid", "2")
    assert marks(course) == {"ann": 2, "bob": 5}
    assert stored(course, "ann") == ["feedback"]


def test_a_student_who_hands_in_twice_loses_the_earlier_marks_until_one_is_left(course):
    grade(course)
    shutil.copytree(course.parent / "in" / "ann", course.parent / "zip" / "ann")
    shutil.make_archive(str(course.parent / "in" / "ann"), "zip", course.parent / "zip")
    assert grade(course) == {"ann": ("invalid", "0"), "ann.zip": ("invalid", "0"), "bob": ("graded", "5")}
    assert marks(course) == {"bob": 5}
    assert stored(course, "ann") == []


def test_another_exercises_notebooks_stay(course):
    grade(course)
    other = course.parent / "out" / "autograded" / "ann" / "other"
    other.mkdir()
    (course.parent / "in" / "ann" / "toy.ipynb").write_text("{")
    grade(course)
    assert other.is_dir()
    assert not other.with_name("toy").exists()
