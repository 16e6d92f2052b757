"""`require`: a missing part skips, unless COURSE_REQUIRE names it."""

from __future__ import annotations

import pytest

from tests import conftest


@pytest.fixture
def nothing_here(monkeypatch):
    monkeypatch.setattr(conftest, "_find", {name: lambda: (None, "not here") for name in conftest._find})


def outcome(part: str) -> tuple[str, str]:
    """How `require` ended, and what it said. (In pytest.raises a skip would end this test.)"""
    try:
        conftest.require(part)
    except pytest.skip.Exception as skipped:
        return "skipped", str(skipped)
    except pytest.fail.Exception as failed:
        return "failed", str(failed)
    return "passed", ""


def test_a_missing_part_skips_with_the_reason(nothing_here, monkeypatch):
    monkeypatch.delenv("COURSE_REQUIRE", raising=False)
    assert outcome("browser") == ("skipped", "needs browser: not here")


def test_a_required_part_fails(nothing_here, monkeypatch):
    monkeypatch.setenv("COURSE_REQUIRE", "browser, sandbox")
    how, why = outcome("sandbox")
    assert how == "failed"
    assert "sandbox is required (COURSE_REQUIRE=browser, sandbox) but not here" in why
    assert outcome("cuda")[0] == "skipped"


def test_what_is_there_is_returned(monkeypatch):
    monkeypatch.setattr(conftest, "_find", {"browser": lambda: ("/bin/chromium", "/bin/chromium")})
    assert conftest.require("browser") == "/bin/chromium"


def test_slips_do_not_switch_the_gate_off(monkeypatch):
    monkeypatch.setenv("COURSE_REQUIRE", "browser,sandbx")
    with pytest.raises(pytest.UsageError, match="sandbx"):
        conftest.required()
    with pytest.raises(ValueError, match="known parts"):
        conftest.require("chromium")
