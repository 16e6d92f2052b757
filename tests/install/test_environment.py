"""Making, repairing and reusing `.venv`: real environments and processes, with pip and uv stubbed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import venv
from pathlib import Path

import pytest

from course_lib.install import environment as env_module
from course_lib.install.environment import EXTRAS, Environment, main
from course_lib.install.machine import Machine
from course_lib.install.trouble import Trouble

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the stubs are POSIX scripts")

PIP = '''
"""Stub of pip: `install uv` puts the stub of uv beside Python, `config list` prints a setting."""
import pathlib, stat, sys
if "config" in sys.argv:
    print("global.find-links='/some/wheels'")
else:
    root = pathlib.Path(sys.prefix).parent
    uv = pathlib.Path(sys.prefix, "bin", "uv")
    uv.write_text((root / "uv_stub.py").read_text().replace("PYTHON", sys.executable))
    uv.chmod(uv.stat().st_mode | stat.S_IXUSR)
'''
UV = '''#!/bin/sh
"""exec" "PYTHON" "$0" "$@"
" """
# Stub of uv: writes down how it was called, installs empty packages, or fails as it was told.
# (The two lines above start Python from a path with spaces in it.)
import json, pathlib, sys
root = pathlib.Path(sys.prefix).parent
with open(root / "calls.jsonl", "a") as log:
    log.write(json.dumps(sys.argv[1:]) + chr(10))
if (root / "fail").exists():
    sys.exit((root / "fail").read_text())
site = next(pathlib.Path(sys.prefix, "lib").glob("python*")) / "site-packages"
name = "torch" if any(word.startswith("torch==") for word in sys.argv) else "typer"
(site / name).mkdir(exist_ok=True)
(site / name / "__init__.py").write_text((root / "torch_stub.py").read_text())
'''
TORCH = """
__version__ = "2.13.0"
def ones(n): return Vector()
class Vector:
    def __matmul__(self, other): return 0
"""


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course folder without Python packages but with the files that decide what is installed."""
    root = tmp_path / "my course"
    (root / "course_lib").mkdir(parents=True)
    (root / "course_lib" / "__init__.py").touch()
    (root / "pyproject.toml").write_text('[tool.course]\ntorch = "2.13.0"\n')
    (root / "constraints.lock").write_text("torch==2.13.0\n")
    (root / "uv_stub.py").write_text(UV)
    (root / "torch_stub.py").write_text(TORCH)
    monkeypatch.setattr(env_module, "look_around", lambda: Machine("Linux", "x86_64", (3, 11)))
    monkeypatch.delenv("COURSE_TORCH_BACKEND", raising=False)
    real_run = Environment.run

    def run(self, step):
        if "venv" in step.command:  # the real one with the stub of pip, which is much faster
            venv.create(step.command[-1], with_pip=False)
            (next((self.path / "lib").glob("python*")) / "site-packages" / "pip.py").write_text(PIP)
        else:
            real_run(self, step)

    monkeypatch.setattr(Environment, "run", run)
    return root


def calls(root: Path) -> list[list[str]]:
    log = root / "calls.jsonl"
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def test_the_first_start_installs_in_two_steps_and_the_second_does_nothing(course, capsys):
    Environment(course).ensure(())
    first, second = calls(course)
    python = str(course / ".venv/bin/python")
    tail = ["-c", "constraints.lock", "--find-links", "/some/wheels"]
    assert first == ["pip", "install", "--python", python, "torch==2.13.0", "--torch-backend", "cpu", *tail]
    assert second == ["pip", "install", "--python", python, "-e", ".", *tail]
    shown = capsys.readouterr().out
    assert "+ .venv/bin/uv pip install --python .venv/bin/python torch==2.13.0" in shown

    start = time.perf_counter()
    Environment(course).ensure(())
    assert time.perf_counter() - start < 3
    assert len(calls(course)) == 2
    assert capsys.readouterr().out == ""


def test_extras_are_added_and_kept(course):
    Environment(course).ensure(())
    Environment(course).ensure(EXTRAS["test"])
    assert ".[grade,test]" in calls(course)[-1]
    done = len(calls(course))
    Environment(course).ensure(())  # `lab` after `test` installs nothing and removes nothing
    assert len(calls(course)) == done
    assert Environment(course).installed()["extras"] == ["grade", "test"]


@pytest.mark.parametrize(
    ("name", "line", "steps"),
    [
        ("pyproject.toml", '[project]\ndependencies = ["numpy"]', 2),
        ("constraints.lock", "numpy==2.0.0", 2),
        ("pyproject.toml", "[tool.ruff]\nline-length = 99", 0),
    ],
)
def test_a_changed_requirement_is_installed(course, name, line, steps):
    Environment(course).ensure(())
    (course / name).write_text(f"{(course / name).read_text()}{line}\n")
    Environment(course).ensure(())
    assert len(calls(course)) == 2 + steps


def test_an_interrupted_installation_is_started_over(course, monkeypatch, capsys):
    plain = Environment.run

    def interrupted(self, step):
        plain(self, step)
        if "-e" in step.command:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Environment, "run", interrupted)
        with pytest.raises(KeyboardInterrupt):
            Environment(course).ensure(())
    half = course / ".venv" / "half-installed"
    half.touch()
    Environment(course).ensure(())
    assert not half.exists()
    assert "was interrupted" in capsys.readouterr().out
    assert not Environment(course).marker.exists()


def break_python(root):
    (root / ".venv/bin/python").unlink()


def break_package(root):
    next(root.glob(".venv/lib/python*/site-packages/typer/__init__.py")).write_text(
        "import nothing_like_that"
    )


def lose_torch(root):
    import shutil

    shutil.rmtree(next(root.glob(".venv/lib/python*/site-packages/torch")))


@pytest.mark.parametrize("damage", [break_python, break_package, lose_torch])
def test_a_broken_environment_is_made_anew(course, damage, capsys):
    Environment(course).ensure(())
    damage(course)
    Environment(course).ensure(())
    assert len(calls(course)) == 4
    assert "no longer works: making it anew" in capsys.readouterr().out


def test_a_moved_course_gets_a_new_environment(course, capsys):
    Environment(course).ensure(())
    moved = course.rename(course.with_name("elsewhere"))
    Environment(moved).ensure(())
    assert "was moved" in capsys.readouterr().out
    assert str(moved) in calls(moved)[-1][3]


def test_an_environment_that_somebody_else_made_is_used_as_it_is(course, capsys):
    venv.create(course / ".venv", with_pip=False)
    (next((course / ".venv/lib").glob("python*")) / "site-packages" / "pip.py").write_text(PIP)
    (course / ".venv" / "keep-me").touch()
    Environment(course).ensure(())
    assert (course / ".venv" / "keep-me").exists()
    assert len(calls(course)) == 2
    assert "anew" not in capsys.readouterr().out


def test_a_failure_is_explained_and_the_next_start_repairs_it(course):
    (course / "fail").write_text("error: Failed to fetch `https://pypi.org`: dns error")
    with pytest.raises(Trouble, match="no way to the package index") as caught:
        Environment(course).ensure(())
    assert caught.value.offline
    failed, asked = calls(course)
    assert asked == [*failed, "--dry-run"]
    assert not Environment(course).stamp.exists()
    (course / "fail").unlink()
    Environment(course).ensure(())
    assert Environment(course).installed()["extras"] == []


def test_offline_after_a_pull_the_old_environment_still_serves(course, capsys):
    Environment(course).ensure(())
    (course / "constraints.lock").write_text("torch==2.13.0\nnumpy==2.0.0\n")
    (course / "fail").write_text("error: dns error")
    Environment(course).ensure(())
    assert "stays as it was" in capsys.readouterr().out
    with pytest.raises(Trouble):  # but what was never installed cannot be conjured up
        Environment(course).ensure(EXTRAS["grade"])
    (course / "fail").unlink()
    done = len(calls(course))
    Environment(course).ensure(())
    assert len(calls(course)) == done + 2


def test_a_full_disk_is_no_reason_to_go_on(course):
    Environment(course).ensure(())
    (course / "constraints.lock").write_text("torch==2.13.0\nnumpy==2.0.0\n")
    (course / "fail").write_text("error: No space left on device (os error 28)")
    with pytest.raises(Trouble, match="disk is full"):
        Environment(course).ensure(())


def test_a_machine_without_torch_is_told_before_anything_is_made(course, monkeypatch):
    monkeypatch.setattr(env_module, "look_around", lambda: Machine("Darwin", "x86_64", (3, 12)))
    with pytest.raises(Trouble, match="Intel"):
        Environment(course).ensure(())
    assert not (course / ".venv").exists()


def test_a_python_without_venv_is_told_what_to_install(course, monkeypatch):
    monkeypatch.setattr(env_module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(Trouble, match="apt install python3-venv"):
        Environment(course).ensure(())
    assert not (course / ".venv").exists()


def test_a_linked_environment_is_emptied_not_followed_away(course, tmp_path):
    elsewhere = tmp_path / "big disk"
    elsewhere.mkdir()
    (course / ".venv").symlink_to(elsewhere)
    Environment(course).ensure(())
    break_python(course)
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").touch()
    (elsewhere / "link").symlink_to(tmp_path / "precious")
    Environment(course).ensure(())
    assert (course / ".venv").is_symlink()
    assert (elsewhere / "bin" / "python").exists()
    assert not (elsewhere / "link").exists()
    assert (tmp_path / "precious" / "file").exists()


# --- main ---------------------------------------------------------------------------------------------


@pytest.fixture
def handed(monkeypatch, course):
    """What `main` hands over to, without doing it."""
    monkeypatch.setattr(env_module, "ROOT", course)
    monkeypatch.setattr(Environment.__init__, "__defaults__", (course,))
    seen = []
    monkeypatch.setattr(env_module, "hand_over", lambda command, environ=None: seen.append(command))
    return seen


def test_words_go_to_the_course_command(handed, course):
    main(["grade", "ps02_hmc", "--out", "x y"], "usage")
    python = str(course / ".venv/bin/python")
    assert handed == [[python, "-P", "-m", "course_lib.cli", "grade", "ps02_hmc", "--out", "x y"]]
    assert ".[grade]" in calls(course)[-1]


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_help_installs_nothing(handed, course, capsys, words):
    assert main(words, "the usage") == 0
    assert capsys.readouterr().out.strip() == "the usage"
    assert not handed
    assert not (course / ".venv").exists()


def test_trouble_is_printed_without_a_traceback(handed, course, capsys):
    (course / "fail").write_text("No space left on device")
    assert main(["lab"], "usage") == 1
    assert "The disk is full." in capsys.readouterr().err
    assert not handed


def test_ctrl_c_is_printed_without_a_traceback(handed, monkeypatch, capsys):
    def interrupted(self, extras):
        raise KeyboardInterrupt

    monkeypatch.setattr(Environment, "ensure", interrupted)
    assert main(["lab"], "usage") == 130
    assert "starts again" in capsys.readouterr().err
    assert not handed


@pytest.mark.parametrize("status", [0, 7])
def test_handing_over_keeps_the_exit_status(status):
    code = (
        f"from course_lib.install import hand_over; hand_over([{sys.executable!r}, '-c', 'exit({status})'])"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=env_module.ROOT).returncode == status
