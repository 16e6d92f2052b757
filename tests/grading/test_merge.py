"""Of a submission only the answers count: test cells, points and ids are always the course's own."""

import copy

import nbformat
import pytest

from course_lib.grading import assignment
from course_lib.grading.merge import NotThisExercise, merge
from tests.grading import toy

OURS = assignment.parse("toy", toy.instructor(), seed=777)
ORDER = ["begin", "double", "test-double", "square", "test-square"]


def merged(notebook):
    return merge(OURS, notebook)


def sources(result, role="test"):
    return [(cell.source, cell.hidden) for cell in result.cells if cell.role == role]


def assert_own_tests(result):
    assert sources(result) == sources(merged(toy.right()))
    assert all("seed=777" in hidden for _, hidden in sources(result))


def test_an_honest_notebook_goes_through_unchanged():
    result = merged(toy.right())
    assert [cell.id for cell in result.cells] == ORDER
    assert [cell.source for cell in result.cells if cell.role == "answer"] == [
        "def double(x):\n    return 2 * x",
        "def square(x):\n    return x * x",
    ]
    assert result.notes == result.tampered == ()
    assert_own_tests(result)


def test_added_cells_run_where_they_stand_but_not_behind_the_last_test():
    notebook = toy.right()
    notebook.cells.insert(2, nbformat.v4.new_code_cell("helper = 1"))
    notebook.cells.append(nbformat.v4.new_code_cell("print('done')"))
    result = merged(notebook)
    assert [cell.role for cell in result.cells] == [
        "locked",
        "free",
        "answer",
        "test",
        "answer",
        "test",
        "free",
    ]
    assert [cell.role for cell in result.counting][-1] == "test"
    assert len(result.counting) == len(result.cells) - 1


def test_edited_test_and_locked_cells_are_replaced_and_noted():
    result = merged(toy.submission(test__double="pass", begin="check = None"))
    assert_own_tests(result)
    assert result.cells[0].source == toy.BEGIN
    assert [note.split(":")[0] for note in result.notes] == [
        "locked cell begin was edited",
        "test cell test-double was edited",
    ]
    assert result.tampered == ()


def test_a_test_cell_that_became_text_is_replaced_and_noted():
    notebook = toy.right()
    node = toy.cell_of(notebook, "test-square")
    node.cell_type = "markdown"
    assert_own_tests(merged(notebook))
    assert "test cell test-square was edited" in merged(notebook).notes[0]


def test_deleted_test_cells_come_back_in_their_place():
    notebook = toy.right()
    notebook.cells = [
        cell for cell in notebook.cells if cell.id not in ("begin", "test-double", "test-square")
    ]
    result = merged(notebook)
    assert [cell.id for cell in result.cells] == ORDER
    assert_own_tests(result)
    assert len(result.notes) == 3


def test_a_deleted_answer_is_noted():
    notebook = toy.right()
    notebook.cells.remove(toy.cell_of(notebook, "square"))
    assert merged(notebook).notes == ("the cell of square is missing",)


def test_second_copies_of_test_cells_are_left_out_and_of_answers_run():
    notebook = toy.right()
    notebook.cells.append(copy.deepcopy(toy.cell_of(notebook, "test-double")))
    notebook.cells.insert(3, copy.deepcopy(toy.cell_of(notebook, "double")))
    result = merged(notebook)
    assert_own_tests(result)
    assert [cell.id for cell in result.cells] == [
        "begin",
        "double",
        "added-3",
        "test-double",
        "square",
        "test-square",
    ]
    assert len(result.notes) == 2
    assert result.tampered == ()


@pytest.mark.parametrize(
    ("cell", "change", "reason"),
    [
        ("test-double", {"points": 1000}, "test-double were changed (points)"),
        ("test-double", {"grade": False}, "test-double were changed (grade)"),
        ("test-double", {"solution": True}, "test-double were changed (solution)"),
        ("double", {"grade": True, "points": 5}, "double were changed (grade, points)"),
        ("begin", {"locked": False}, "begin were changed (locked)"),
        ("test-double", {"grade_id": "test-other"}, "'test-other' is marked as one of the exercise"),
        ("double", {"grade_id": "test-square"}, "test-square were changed"),
    ],
)
def test_changed_grading_data_are_tampering_and_change_no_test(cell, change, reason):
    notebook = toy.right()
    toy.cell_of(notebook, cell).metadata["nbgrader"].update(change)
    result = merged(notebook)
    assert any(reason in told for told in result.tampered), result.tampered
    assert sorted(sources(result)) == sorted(sources(merged(toy.right())))


@pytest.mark.parametrize("mark", [7, [], {"grade_id": 7}, {"grade_id": None}, {}])
def test_odd_metadata_are_no_metadata(mark):
    notebook = toy.right()
    toy.cell_of(notebook, "test-double").metadata["nbgrader"] = mark
    result = merged(notebook)
    assert_own_tests(result)
    assert "test cell test-double was missing" in result.notes[0]


def test_another_notebook_is_refused():
    other = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x = 1")])
    with pytest.raises(NotThisExercise, match="is it another file"):
        merged(other)
