"""The house rules that a program can check: ruff's, the floors of the library, and no work at import."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LIBRARY = ROOT / "course_lib"
FLOORS = {
    "__init__": 0,
    "nets": 0,
    "notebook": 0,
    "parts": 0,
    "lock": 0,
    "install": 0,
    "workspace": 0,
    "energies": 1,
    "data": 1,
    "sampling": 2,
    "metrics": 3,
    "vae": 4,
    "gan": 4,
    "cogen": 5,
    "checks": 6,
    "plots": 7,
    "widgets": 7,
    "grading": 8,
    "lab": 8,
    "doctor": 8,
    "cli": 9,
}


def room(path: Path) -> str:
    return path.relative_to(LIBRARY).with_suffix("").parts[0]


def imports(source: str, package: str = "course_lib") -> list[tuple[int, str]]:
    """Rooms of the library that a module of `package` imports, with the line; inside functions too."""
    found = []
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            origin = [node.module or ""]
            if node.level:
                origin = package.split(".")[: package.count(".") + 2 - node.level] + origin
            module = ".".join(filter(None, origin))
            names = [f"{module}.{alias.name}" for alias in node.names] if module == "course_lib" else [module]
        found += [(node.lineno, name.split(".")[1]) for name in names if name.startswith("course_lib.")]
    return found


def above(own: str, source: str, package: str = "course_lib") -> list[str]:
    """Imports that reach up or sideways. A room may import itself; names such as __version__ are no rooms."""
    return [
        f"line {line}: {own} (floor {FLOORS[own]}) imports {other} (floor {FLOORS[other]})"
        for line, other in imports(source, package)
        if other in FLOORS and other != own and FLOORS[other] >= FLOORS[own]
    ]


MODULES = sorted(LIBRARY.rglob("*.py"))


def test_every_room_has_a_floor():
    assert {room(path) for path in MODULES} <= set(FLOORS)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(LIBRARY).as_posix())
def test_a_module_imports_only_from_floors_below(path):
    package = ".".join(path.parent.relative_to(ROOT).parts)
    assert not above(room(path), path.read_text("utf-8"), package)


@pytest.mark.parametrize(
    ("own", "source"),
    [
        ("energies", "from course_lib.sampling import HMC"),
        ("energies", "def f():\n    import course_lib.widgets.explorer"),
        ("gan", "from course_lib import vae"),
        ("sampling", "from course_lib import energies, plots"),
        ("sampling", "from ..plots import show\nfrom .mcmc import HMC\nfrom ..energies import ring"),
        ("sampling", "from .. import widgets, energies"),
    ],
)
def test_the_floor_test_sees_a_wrong_import(own, source):
    assert len(above(own, source, f"course_lib.{own}")) == 1
    assert not above("cli", source, "course_lib.cli")


def test_ruff_has_nothing_to_say():
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "."], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_ruff_would_format_nothing_anew():
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "format", "--diff", "."], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_mypy_has_nothing_to_say(tmp_path):
    command = [sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_importing_the_library_is_cheap():
    """No torch, no matplotlib, no Jupyter: `course` starts at once, and doctor can report what is missing."""
    code = (
        "import sys, course_lib.cli, course_lib.doctor, course_lib.workspace, course_lib.install; "
        "print({'torch', 'numpy', 'matplotlib', 'ipywidgets', 'nbgrader', 'jupyterlab'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
