"""conda's environment.yml against pyproject.toml, and the lock file against both."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from course_lib import lock

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
CONDA_NAMES = {"torch": "pytorch"}
BASE = {r.name: r for r in map(Requirement, PROJECT["dependencies"])}
EXTRAS = [Requirement(text) for texts in PROJECT["optional-dependencies"].values() for text in texts]


def conda() -> tuple[dict[str, SpecifierSet], list[str]]:
    """Packages with their ranges, and the lines for pip."""
    listed = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))["dependencies"]
    pip = next(entry["pip"] for entry in listed if isinstance(entry, dict))
    words = [entry.split(maxsplit=1) for entry in listed if isinstance(entry, str)]
    return {name: SpecifierSet(rest[0] if rest else "") for name, *rest in words}, pip


def test_conda_has_the_same_packages_and_ranges():
    packages, pip = conda()
    python = packages.pop("python")
    packages.pop("pip")
    tools = {r.name: r.specifier for r in map(Requirement, PROJECT["optional-dependencies"]["test"])}
    for name in ("pytest", "nbval"):  # what runs the notebooks as tests, there too
        assert packages.pop(name) == tools[name]
    assert packages == {CONDA_NAMES.get(name, name): r.specifier for name, r in BASE.items()}
    assert pip == ["-e .[test]"]
    needed = SpecifierSet(PROJECT["requires-python"])
    assert [v for v in ("3.10", "3.11", "3.12", "3.13") if v in python] == ["3.11", "3.12", "3.13"]
    assert all(v in needed for v in ("3.11", "3.12", "3.13"))


def locked(name: str) -> list[Requirement]:
    return [entry for entry in lock.read() if entry.name == name]


@pytest.mark.parametrize("requirement", [*BASE.values(), *EXTRAS], ids=str)
def test_every_requirement_is_locked_within_its_range(requirement):
    entries = locked(requirement.name.lower())
    assert entries, f"{requirement.name} is not in {lock.NAME}: run `python course.py lock`"
    for entry in entries:
        (version,) = entry.specifier
        assert version.operator == "=="
        assert requirement.specifier.contains(version.version), (
            f"{entry} is outside {requirement}: run `course lock`"
        )


def test_the_lock_pins_the_torch_that_course_py_installs():
    assert [str(entry) for entry in locked("torch")] == [f"torch=={lock.pinned_torch()}"]


def test_the_lock_can_serve_as_constraints_on_every_machine():
    entries = lock.read()
    assert len(entries) > 100
    assert not [str(entry) for entry in entries if "+" in str(entry.specifier)]  # no local versions
    assert not [str(entry) for entry in entries if entry.name.startswith(("nvidia", "cuda", "triton"))]
    assert not [str(entry) for entry in entries if entry.extras]  # pip refuses these in a constraints file


def test_the_lock_says_how_it_is_made():
    head = (ROOT / lock.NAME).read_text("utf-8")[: len(lock.HEADER)]
    assert head == lock.HEADER
    assert "python course.py lock" in head


def test_tidying_drops_what_follows_the_build_of_torch():
    resolved = "# by uv\nnumpy==2.0\nnvidia-x==1 ; os_name == 'posix'\ncuda-x==1\ntriton==3\ntorch==2.13.0\n"
    assert lock.tidy(resolved) == lock.HEADER + "numpy==2.0\ntorch==2.13.0\n"
