"""What holds for every exercise: generated, in sync, without solutions, with bare test cells."""

import ast
import re

import nbformat
import pytest

from course_lib.grading import assignment, release
from course_lib.workspace import ROOT

NAMES = assignment.names()


def test_there_are_exercises_and_no_orphans():
    assert "ps02_hmc" in NAMES
    assert assignment.names(folder="exercises") == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_exercises_are_in_sync_with_their_solutions(name):
    stored = assignment.find(name, folder="exercises").read_bytes()
    assert release.released_text(name).encode() == stored, (
        f"exercises/{name} is not what solutions/{name} gives: run `python course.py release`"
    )


@pytest.mark.parametrize("name", NAMES)
def test_releases_hold_no_solution_and_no_hidden_test(name):
    text = assignment.find(name, folder="exercises").read_text(encoding="utf-8")
    assert "SOLUTION" not in text
    assert "HIDDEN" not in text
    released = assignment.load(name, folder="exercises")
    answers = [cell for cell in released.cells if cell.role == "answer"]
    assert len(released.tasks) >= 4
    assert len(answers) >= len(released.tasks)
    assert all(cell.source.rstrip().endswith("raise NotImplementedError") for cell in answers)


@pytest.mark.parametrize("name", NAMES)
def test_test_cells_are_bare_checks_with_hidden_cases(name):
    for cell in assignment.load(name).cells:
        if cell.role != "test":
            continue
        for source, seeded in ((cell.source, False), (cell.hidden, True)):
            for node in ast.parse(source.replace("\n    ", "\n")).body:
                line = ast.unparse(node)
                assert re.fullmatch(r"check\.\w+\([\w, =.]*\)", line), line
                assert ("seed=check.HIDDEN_SEED" in line) == seeded
        assert cell.hidden, f"{cell.id} has no hidden case"


@pytest.mark.parametrize("name", NAMES)
def test_notebooks_are_clean_and_their_cells_keep_their_ids(name):
    source, made = (nbformat.read(assignment.find(name, folder=f), 4) for f in ("solutions", "exercises"))
    for notebook in (source, made):
        nbformat.validate(notebook)
        codes = [cell for cell in notebook.cells if cell.cell_type == "code"]
        assert codes[0].source.startswith("from course_lib.notebook import begin\n")
        assert all(not cell.outputs and cell.execution_count is None for cell in codes)
    ids = [cell.id for cell in source.cells]
    assert [cell.id for cell in made.cells] == ids
    assert len(set(ids)) == len(ids)


def copy_of(name, root):
    target = root / "solutions" / name / f"{name}.ipynb"
    target.parent.mkdir(parents=True)
    target.write_bytes(assignment.find(name).read_bytes())


def test_release_writes_what_is_in_solutions_and_the_seed_changes_none_of_it(tmp_path):
    copy_of("ps02_hmc", tmp_path)
    (path,) = release.release(root=tmp_path)
    first = path.read_bytes()
    assert first == assignment.find("ps02_hmc", folder="exercises").read_bytes()
    release.keep_hidden_seed(31337, tmp_path)
    release.release(["ps02_hmc"], tmp_path)
    assert path.read_bytes() == first
    assert release.hidden_seed(tmp_path) == 31337
    cells = assignment.load("ps02_hmc", tmp_path, seed=release.hidden_seed(tmp_path)).cells
    assert sum("seed=31337" in cell.hidden for cell in cells) == 6


def test_bad_input_says_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"known: .*ps02_hmc"):
        release.release(["ps99_none"])
    with pytest.raises(ValueError, match="whole number"):
        release.keep_hidden_seed(-1, tmp_path)
    assert release.hidden_seed(tmp_path) is None
    (tmp_path / release.SEED_FILE).write_text("seven")
    with pytest.raises(ValueError, match="course release --hidden-seed N"):
        release.hidden_seed(tmp_path)
    assert (ROOT / ".gitignore").read_text().split().count(release.SEED_FILE) == 1


def test_authors_are_told_of_broken_exercises():
    notebook = nbformat.read(assignment.find("ps02_hmc"), 4)
    double = next(cell for cell in notebook.cells if cell.id == "test-ess")
    double.metadata["nbgrader"]["grade_id"] = "ess"
    with pytest.raises(ValueError, match="every grade_id once"):
        assignment.parse("x", notebook)
    double.metadata["nbgrader"]["solution"] = True
    with pytest.raises(ValueError, match="marked by hand"):
        assignment.parse("x", notebook)
