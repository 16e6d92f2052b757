"""The student's copies: made when missing, never overwritten, and what has changed is told apart."""

from __future__ import annotations

import json

import pytest

from course_lib import workspace


def notebook(*sources: str, outputs: bool = False) -> str:
    cells = [
        {"cell_type": "code", "id": f"c{i}", "source": source, "metadata": {}}
        | {"execution_count": i if outputs else None, "outputs": [{"text": "1"}] if outputs else []}
        for i, source in enumerate(sources)
    ]
    return json.dumps({"cells": cells, "metadata": {"ran": outputs}, "nbformat": 4, "nbformat_minor": 5})


@pytest.fixture
def course(tmp_path):
    for name, text in {
        "notebooks/00_welcome.ipynb": notebook("print(1)"),
        "notebooks/data/history.json": "{}",
        "notebooks/.ipynb_checkpoints/00_welcome.ipynb": "x",
        "exercises/ps01_a/ps01_a.ipynb": notebook("def f(): ..."),
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


WELCOME = "notebooks/00_welcome.ipynb"


def states(root) -> dict[str, str]:
    return {copy.name: copy.state for copy in workspace.refresh(root)}


def test_missing_copies_are_made_with_what_lies_beside_them(course):
    assert states(course) == {
        "notebooks/00_welcome.ipynb": "new",
        "notebooks/data/history.json": "new",
        "exercises/ps01_a/ps01_a.ipynb": "new",
    }
    assert (course / "work" / WELCOME).read_bytes() == (course / WELCOME).read_bytes()
    assert set(states(course).values()) == {"same"}
    assert not list((course / "work").rglob("*.part"))


def test_a_lost_copy_comes_back(course):
    workspace.refresh(course)
    (course / "work" / WELCOME).unlink()
    assert states(course)[WELCOME] == "new"


@pytest.mark.parametrize(
    ("original", "mine", "state"),
    [
        (None, None, "same"),
        (None, notebook("print(1)", outputs=True), "same"),  # running is not editing
        (None, notebook("print(2)"), "edited"),
        (notebook("print(3)"), None, "outdated"),
        (notebook("print(3)"), notebook("print(1)", outputs=True), "outdated"),
        (notebook("print(3)"), notebook("print(2)"), "both"),
        (notebook("print(3)"), notebook("print(3)"), "same"),
        (None, "{ not a notebook", "edited"),
    ],
)
def test_what_has_changed_is_told_apart_and_nothing_is_overwritten(course, original, mine, state):
    workspace.refresh(course)
    if original:
        (course / WELCOME).write_text(original)
    if mine:
        (course / "work" / WELCOME).write_text(mine)
    before = (course / "work" / WELCOME).read_bytes()
    for _ in range(2):  # the note is repeated until the student acts
        assert states(course)[WELCOME] == state
    assert (course / "work" / WELCOME).read_bytes() == before


@pytest.mark.parametrize("damage", ["", "[]", "{"])
def test_a_lost_record_overwrites_nothing(course, damage):
    workspace.refresh(course)
    (course / "work" / WELCOME).write_text(notebook("print(2)"))
    (course / "work" / ".originals.json").write_text(damage)
    assert states(course)[WELCOME] in ("same", "edited")
    assert "print(2)" in (course / "work" / WELCOME).read_text()


def test_a_chapter_that_left_the_course_stays_with_the_student(course):
    workspace.refresh(course)
    (course / WELCOME).rename(course / "notebooks" / "00_hello.ipynb")
    assert states(course)[WELCOME] == "gone"
    assert (course / "work" / WELCOME).exists()


def test_the_report_speaks_only_of_what_matters(course):
    assert workspace.report(workspace.refresh(course)) == [
        "copied 3 files of the course to work/, where they are yours to change"
    ]
    (course / "work" / WELCOME).write_text(notebook("print(2)"))
    assert workspace.report(workspace.refresh(course)) == []
    (course / WELCOME).write_text(notebook("print(3)"))
    (line,) = workspace.report(workspace.refresh(course))
    assert line.startswith(f"{WELCOME} has changed, and so has your copy, which stays as it is")
    assert f"renew {WELCOME}" in line


def test_renewing_keeps_the_students_version_beside_the_new_one(course):
    workspace.refresh(course)
    for text in ("print('mine')", "print('mine too')"):
        (course / "work" / WELCOME).write_text(notebook(text))
        (course / WELCOME).write_text(notebook("print(3)"))
        aside = workspace.renew(WELCOME, course)
        assert text in aside.read_text()
        assert (course / "work" / WELCOME).read_text() == notebook("print(3)")
        assert states(course)[WELCOME] == "same"
    assert aside.name == "00_welcome_mine2.ipynb"


@pytest.mark.parametrize("name", ["00_welcome.ipynb", "00_welcome", f"work/{WELCOME}"])
def test_a_copy_is_renewed_by_as_much_of_its_name_as_is_needed(course, name):
    workspace.refresh(course)
    (course / WELCOME).write_text(notebook("print(3)"))
    assert workspace.renew(name, course).name == "00_welcome_mine.ipynb"
    assert (course / "work" / WELCOME).read_text() == notebook("print(3)")
    assert workspace.full_name("ps01_a", course) == "exercises/ps01_a/ps01_a.ipynb"


def test_what_else_could_be_renewed_is_listed(course):
    with pytest.raises(FileNotFoundError, match=r"no file of the course.*`python course\.py lab`"):
        workspace.renew(WELCOME, course)
    workspace.refresh(course)
    with pytest.raises(FileNotFoundError, match=f"there are {WELCOME}, exercises/ps01_a/ps01_a.ipynb$"):
        workspace.renew("00_wlcome", course)
    (course / "exercises" / "ps01_a" / "00_welcome.md").touch()
    workspace.refresh(course)
    with pytest.raises(FileNotFoundError, match=f"{WELCOME}, exercises/ps01_a/00_welcome.md: give the whole"):
        workspace.renew("00_welcome", course)
    workspace.renew("00_welcome.ipynb", course)


@pytest.mark.parametrize("name", ["notebooks/none.ipynb", "../secret", "notebooks", ".originals.json"])
def test_only_files_of_the_course_can_be_renewed(course, name):
    workspace.refresh(course)
    (course / "secret").touch()
    with pytest.raises(FileNotFoundError, match="no file of the course"):
        workspace.renew(name, course)


def test_without_notebooks_it_says_where_to_get_them(tmp_path):
    with pytest.raises(FileNotFoundError, match="Clone the course's repository"):
        workspace.refresh(tmp_path)
    assert not (tmp_path / "work").exists()
