"""course.py itself: what it needs, and what it says to a Python that is too old."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COURSE = ROOT / "course.py"
INSTALL = sorted((ROOT / "course_lib" / "install").glob("*.py"))


def imported(path: Path) -> set[str]:
    """Top-level names of the absolute imports of a file, wherever in the file they are."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: relative import"
            names.add(node.module)
    return names


@pytest.mark.parametrize(
    "path", [COURSE, *INSTALL, ROOT / "course_lib" / "__init__.py"], ids=lambda p: p.name
)
def test_installing_needs_only_the_standard_library(path):
    for name in imported(path):
        assert name.split(".")[0] in sys.stdlib_module_names or name.startswith("course_lib.install"), name


def test_it_starts_where_nothing_is_installed():
    done = subprocess.run(
        [sys.executable, "-S", "-E", str(COURSE), "--help"], capture_output=True, text=True, cwd="/"
    )
    assert done.returncode == 0, done.stderr
    assert "python course.py lab" in done.stdout


@pytest.mark.parametrize("version", [(3, 5), (3, 6), (3, 10)])
def test_it_parses_on_an_old_python(version):
    ast.parse(COURSE.read_text("utf-8"), feature_version=version)


def test_it_uses_no_syntax_that_python_2_would_refuse():
    tree = ast.parse(COURSE.read_text("utf-8"))
    assert COURSE.read_text("utf-8").isascii()
    newer = (ast.JoinedStr, ast.AnnAssign, ast.NamedExpr, ast.AsyncFunctionDef, ast.Starred, ast.Nonlocal)
    assert not [node for node in ast.walk(tree) if isinstance(node, newer)]
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.returns]


def run_as_old(path: str = "") -> subprocess.CompletedProcess:
    """course.py as a Python 3.9 would run it."""
    code = (
        "import runpy, sys; sys.version_info = (3, 9, 2, 'final', 0); "
        f"sys.argv = ['course.py', 'lab']; runpy.run_path({str(COURSE)!r}, run_name='__main__')"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={"PATH": path})


def test_a_python_that_is_too_old_says_so():
    done = run_as_old()
    assert done.returncode == 1
    assert "needs Python 3.11 or newer; this is 3.9" in done.stderr
    assert "python.org" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_newer_python_at_hand_is_named(tmp_path):
    for name in ("python3.8", "python3.11", "python3.12"):
        (tmp_path / name).touch()
    assert "python3.12 course.py lab" in run_as_old(os.fspath(tmp_path)).stderr


def test_the_needed_version_is_the_one_of_the_package():
    needed = re.search(r"NEEDED = \((\d+), (\d+)\)", COURSE.read_text("utf-8"))
    assert f'requires-python = ">={needed[1]}.{needed[2]}"' in (ROOT / "pyproject.toml").read_text("utf-8")
