"""The doctor's table: what is a problem, what is only a remark, and that a broken check is not a crash."""

from __future__ import annotations

import importlib.metadata
import os

import pytest
from packaging.requirements import Requirement
from rich.console import Console
from typer.testing import CliRunner

from course_lib import doctor, lock, parts
from course_lib.cli import app


def one(what: str) -> doctor.Row:
    (row,) = [row for row in doctor.rows() if row.what == what]
    return row


def test_this_machine_can_run_the_course():
    checked = doctor.rows()
    names = ["Python", "torch", "JupyterLab", "widgets", "versions", "disk", "Chromium", "sandbox"]
    assert [row.what for row in checked] == names
    assert doctor.usable(checked), [row for row in checked if row.state == "problem"]
    assert all(row.advice for row in checked if row.state != "ok")


@pytest.mark.parametrize("part", ["browser", "sandbox"])
def test_a_missing_part_of_the_system_is_a_remark(monkeypatch, part):
    monkeypatch.setattr(parts, part, lambda: (None, "it is not here"))
    row = one({"browser": "Chromium", "sandbox": "sandbox"}[part])
    assert (row.state, row.found) == ("remark", "it is not here")
    assert doctor.usable([row])


@pytest.mark.skipif(os.name != "posix", reason="bubblewrap exists on Linux only")
@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("#!/bin/sh\nexec sleep 60\n", "made no sandbox within 0.2 s"),
        ("#!/nowhere/sh\n", "does not start"),
        ("#!/bin/sh\necho no namespaces >&2; exit 1\n", "cannot make a sandbox here: no namespaces"),
    ],
)
def test_a_sandbox_that_hangs_or_fails_is_a_remark(monkeypatch, tmp_path, script, reason):
    program = tmp_path / "bwrap"
    program.write_text(script)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(parts, "TRIAL_S", 0.2 if "sleep" in script else 20)
    where, why = parts.sandbox()
    assert where is None
    assert reason in why
    row = doctor._sandbox()
    assert (row.state, row.found) == ("remark", why)


def pretend(monkeypatch, name: str, version: str) -> None:
    real = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata, "version", lambda asked: version if asked == name else real(asked)
    )


def test_another_version_than_the_tested_one_is_a_remark(monkeypatch):
    pretend(monkeypatch, "seaborn", "0.13.99")
    row = one("versions")
    assert row.state == "remark"
    assert "seaborn 0.13.99 (tested: " in row.found


def test_a_version_out_of_range_is_a_problem(monkeypatch):
    pretend(monkeypatch, "jupyterlab", "5.0.0")
    row = one("versions")
    assert row.state == "problem"
    assert "jupyterlab 5.0.0 (needs " in row.found


def test_the_local_build_of_torch_counts_as_the_locked_one():
    entry = Requirement(f"torch=={lock.pinned_torch()}")
    assert doctor._as_locked(entry, f"{lock.pinned_torch()}+cpu")
    assert not doctor._as_locked(entry, "2.6.0+cpu")


def test_missing_widgets_are_a_problem(monkeypatch, tmp_path):
    monkeypatch.setattr("jupyter_core.paths.jupyter_path", lambda *parts: [str(tmp_path)])
    row = one("widgets")
    assert row.state == "problem"
    assert "is missing in JupyterLab" in row.found


def test_a_kernel_whose_python_is_gone_is_a_problem(monkeypatch):
    class Gone:
        argv = ("/gone/python3", "-m", "ipykernel_launcher")

    monkeypatch.setattr(
        "jupyter_client.kernelspec.KernelSpecManager.get_kernel_spec", lambda self, name: Gone
    )
    assert one("JupyterLab").state == "problem"


def test_a_cuda_build_without_a_gpu_is_remarked_upon(monkeypatch):
    import torch

    monkeypatch.setattr(torch.version, "cuda", "12.8")
    monkeypatch.setattr(parts, "cuda", lambda: (None, "no device"))
    row = one("torch")
    assert row.state == "remark"
    assert "CUDA build without a GPU" in row.advice


def test_a_check_that_fails_is_a_row_and_fails_the_command(monkeypatch):
    def broken(*args):
        raise ImportError("no module named anywidget")

    monkeypatch.setattr(doctor, "_widgets", broken)
    row = one("broken")
    assert row.state == "problem"
    assert "no module named anywidget" in row.found
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 1
    assert "problem" in result.output


def test_the_command_succeeds_with_remarks_only(monkeypatch):
    monkeypatch.setattr(parts, "sandbox", lambda: (None, "no [bold]bwrap"))
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 0, result.output
    assert "remark" in result.output
    assert "[bold]" in result.output  # text that was found is never read as markup


def test_a_notebook_can_show_the_table():
    bundle = doctor.table([doctor.Row("a", "ok", "b")])._repr_mimebundle_([], [])
    assert "text/html" in bundle
    console = Console(width=200)
    with console.capture() as shown:
        console.print(doctor.table([doctor.Row("disk", "problem", "full", "free some")]))
    assert "free some" in shown.get()
