"""`require`: a missing part skips, unless COURSE_REQUIRE names it."""

from __future__ import annotations

import pytest

from tests import conftest


@pytest.fixture
def nothing_here(monkeypatch):
    monkeypatch.setattr(conftest, "_find", {name: lambda: (None, "not here") for name in conftest._find})


def test_a_missing_part_skips_with_the_reason(nothing_here, monkeypatch):
    monkeypatch.delenv("COURSE_REQUIRE", raising=False)
    with pytest.raises(pytest.skip.Exception, match="needs browser: not here"):
        conftest.require("browser")


def test_a_required_part_fails(nothing_here, monkeypatch):
    monkeypatch.setenv("COURSE_REQUIRE", "browser, sandbox")
    with pytest.raises(pytest.fail.Exception, match="sandbox is required"):
        conftest.require("sandbox")
    with pytest.raises(pytest.skip.Exception):
        conftest.require("cuda")


def test_what_is_there_is_returned(monkeypatch):
    monkeypatch.setattr(conftest, "_find", {"browser": lambda: ("/bin/chromium", "/bin/chromium")})
    assert conftest.require("browser") == "/bin/chromium"


def test_slips_do_not_switch_the_gate_off(monkeypatch):
    monkeypatch.setenv("COURSE_REQUIRE", "browser,sandbx")
    with pytest.raises(pytest.UsageError, match="sandbx"):
        conftest.required()
    with pytest.raises(ValueError, match="known parts"):
        conftest.require("chromium")
