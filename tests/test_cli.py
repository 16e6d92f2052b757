"""The command line itself: what is not the business of the modules behind it."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys

import pytest

import course_lib
from course_lib import cli, install, lab, workspace


def run(monkeypatch, *words: str) -> int:
    """Exit status of `course WORDS`."""
    monkeypatch.setattr(sys, "argv", ["course", *words])
    with pytest.raises(SystemExit) as left:
        cli.main()
    return left.value.code


@pytest.fixture
def handed(monkeypatch):
    """What a command hands over to, without doing it."""
    seen = []
    monkeypatch.setattr(
        install, "hand_over", lambda command, environ=os.environ: seen.append((command, environ))
    )
    return seen


def test_the_version_is_the_librarys(monkeypatch, capsys):
    assert run(monkeypatch, "version") == 0
    assert capsys.readouterr().out.strip() == course_lib.__version__


def test_the_suite_runs_on_two_workers_with_one_thread_each(monkeypatch, handed):
    monkeypatch.chdir("/")
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    assert run(monkeypatch, "test", "-k", "hmc", "--lf") == 0
    ((command, environ),) = handed
    assert command == [sys.executable, "-m", "pytest", "-n", "2", "-k", "hmc", "--lf"]
    assert environ["OMP_NUM_THREADS"] == "1"
    assert os.getcwd() == str(install.ROOT)


def test_a_copy_without_tests_says_so(monkeypatch, handed, tmp_path, capsys):
    monkeypatch.setattr(install, "ROOT", tmp_path)
    assert run(monkeypatch, "test") == 2
    assert "has no tests" in capsys.readouterr().err
    assert not handed


def test_lab_refreshes_the_copies_first_and_passes_words_on(monkeypatch, handed, capsys):
    monkeypatch.setattr(workspace, "refresh", lambda: [workspace.Copy("notebooks/a.ipynb", "outdated")])
    monkeypatch.setattr(lab, "free_port", lambda first: first + 1)
    assert run(monkeypatch, "lab", "--port", "9000", "--no-browser") == 0
    ((command, _),) = handed
    assert command == lab.command(workspace.ROOT, 9001, ["--no-browser"])
    said = capsys.readouterr().out
    assert "notebooks/a.ipynb has changed since you got it" in said
    assert "port 9000 is in use" in said


@pytest.mark.parametrize("words", [["lab", "--port", "x"], ["renew", "nothing.ipynb"]])
def test_bad_input_is_one_line_without_a_traceback(monkeypatch, handed, capsys, words):
    assert run(monkeypatch, *words) == 2
    said = capsys.readouterr().err
    assert said.startswith("course: ")
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (PermissionError(13, "Permission denied", "/x/marks"), "course: /x/marks: Permission denied\n"),
        (OSError(28, "No space left on device"), "course: [Errno 28] No space left on device\n"),
        (ChildProcessError("the process for notebooks did not start"), None),
    ],
)
def test_an_error_of_the_system_is_one_line(monkeypatch, capsys, error, line):
    def fails(**more):
        raise error

    monkeypatch.setattr(cli, "app", fails)
    assert run(monkeypatch, "grade") == 2
    assert capsys.readouterr().err == (line or f"course: {error}\n")


def test_a_folder_where_a_file_is_needed_and_the_other_way_round(monkeypatch, capsys, tmp_path):
    exercise = workspace.ROOT / "exercises" / "ps02_hmc" / "ps02_hmc.ipynb"
    assert run(monkeypatch, "pack", "ps02_hmc", str(exercise), "--out", str(tmp_path)) == 2
    assert f"is a folder: give the file to write, such as {tmp_path}" in capsys.readouterr().err
    (tmp_path / "in" / "ann").mkdir(parents=True)
    (tmp_path / "marks").touch()
    words = ["--submissions", str(tmp_path / "in"), "--out", str(tmp_path / "marks")]
    assert run(monkeypatch, "grade", "ps02_hmc", *words) == 2
    assert "marks is a file: give a folder" in capsys.readouterr().err


def test_ctrl_c_is_no_traceback(monkeypatch):
    def interrupted(**more):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "app", interrupted)
    assert run(monkeypatch, "lab") == 130


def test_it_runs_as_course_py_starts_it():
    command = [sys.executable, "-P", "-m", "course_lib.cli", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, done.stderr
    for word in ("lab", "doctor", "renew", "test", "lock"):
        assert word in done.stdout


def test_the_front_door_lists_every_word():
    """What `python course.py --help` prints, before anything is installed, against the commands there are."""
    door = ast.get_docstring(ast.parse((install.ROOT / "course.py").read_text(encoding="utf-8")))
    listed = re.findall(r"^    ([a-z]+)  +\S", door, re.MULTILINE)
    there_are = [command.name or command.callback.__name__ for command in cli.app.registered_commands]
    assert sorted(listed) == sorted(there_are)


def test_bench_runs_the_script_of_that_name(monkeypatch, handed):
    assert run(monkeypatch, "bench", "sampling", "100") == 0
    ((command, _),) = handed
    assert command == [sys.executable, str(install.ROOT / "benchmarks" / "sampling.py"), "100"]


def test_an_unknown_benchmark_is_named_with_those_there_are(monkeypatch, handed, capsys):
    assert run(monkeypatch, "bench", "nothing") == 2
    said = capsys.readouterr().err
    assert "no benchmark 'nothing'" in said and "sampling" in said and handed == []
