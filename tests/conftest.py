"""What every test may lean on: one-thread torch, and `require` for parts that a system may lack."""

from __future__ import annotations

import functools
import os

import pytest

from course_lib import parts

collect_ignore_glob = ["*.ipynb"]  # notebooks under tests/ are data; those in notebooks/ are run by nbval

_find = {name: functools.cache(find) for name, find in parts.FIND.items()}


def require(part: str) -> str:
    """Where `part` ("browser", "sandbox" or "cuda") is, or skip with the reason why it cannot be used.

    Parts named in the environment variable COURSE_REQUIRE (comma list, set by `.ci/run`) must not be
    missing: there the test fails. Works in a test, a fixture or at module level. A test may also carry the
    marker of the same name (`@pytest.mark.browser`), which calls this before it runs.
    """
    if part not in _find:
        raise ValueError(f"require({part!r}): known parts are {', '.join(_find)}")
    found, reason = _find[part]()
    if found is not None:
        return found
    if part in required():
        pytest.fail(
            f"{part} is required (COURSE_REQUIRE={os.environ['COURSE_REQUIRE']}) but {reason}", pytrace=False
        )
    pytest.skip(f"needs {part}: {reason}", allow_module_level=True)


def required() -> set[str]:
    """Parts named in COURSE_REQUIRE; an unknown name is an error, or a slip would switch the gate off."""
    names = {name.strip() for name in os.environ.get("COURSE_REQUIRE", "").split(",") if name.strip()}
    if unknown := names - set(_find):
        raise pytest.UsageError(f"COURSE_REQUIRE names {sorted(unknown)}; known parts are {', '.join(_find)}")
    return names


def pytest_configure(config: pytest.Config) -> None:
    required()


def pytest_runtest_setup(item: pytest.Item) -> None:
    for part in _find:
        if item.get_closest_marker(part):
            require(part)


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """Toy tensors are fastest on one thread, and results then do not depend on the number of cores."""
    import torch

    torch.set_num_threads(1)
