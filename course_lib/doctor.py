"""Can this machine run the course? One row per check; `course doctor` and the first chapter show them.

A *problem* keeps a student from working; a *remark* names something that only tests or graders need, or that
is merely different from what was tested.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from course_lib import lock, parts

if TYPE_CHECKING:
    from packaging.requirements import Requirement
    from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Row:
    """One check: `state` is "ok", "remark" or "problem"; `advice` says what to do unless it is ok."""

    what: str
    state: str
    found: str
    advice: str = ""


def rows() -> list[Row]:
    """All checks, in the order of the table. A check that fails itself is a problem, not a crash."""
    checks = (_python, _torch, _lab, _widgets, _versions, _space, _browser, _sandbox)
    return [_safely(check) for check in checks]


def table(checked: list[Row] | None = None) -> Table:
    """The rows as a table, for a terminal or a notebook."""
    from rich.table import Table

    shown = Table(title="Can this machine run the course?", title_justify="left", show_lines=False)
    for name in ("check", "", "found", "what to do"):
        shown.add_column(name, overflow="fold")
    style = {"ok": "[green]ok[/]", "remark": "[yellow]remark[/]", "problem": "[bold red]problem[/]"}
    for row in rows() if checked is None else checked:
        shown.add_row(row.what, style[row.state], _plain(row.found), _plain(row.advice))
    return shown


def usable(checked: list[Row]) -> bool:
    """Whether a student can run the course."""
    return all(row.state != "problem" for row in checked)


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _safely(check: Callable[[], Row]) -> Row:
    try:
        return check()
    except Exception as error:
        name = check.__name__.strip("_")
        return Row(
            name, "problem", f"{type(error).__name__}: {error}", "run `python course.py doctor` to repair"
        )


def _python() -> Row:
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if sys.prefix == sys.base_prefix:
        return Row(
            "Python", "remark", f"{found}, no environment of its own", "`python course.py lab` makes one"
        )
    return Row("Python", "ok", found)


def _torch() -> Row:
    import torch

    total = float(torch.linspace(0, 1, 5, dtype=torch.float64).sum())
    if abs(total - 2.5) > 1e-12:
        return Row(
            "torch", "problem", f"{torch.__version__} sums .25 * (0 … 4) to {total}", "install it anew"
        )
    gpu, _ = parts.cuda()
    found = f"{torch.__version__} on {gpu or 'the processor (all that the course needs)'}"
    if torch.version.cuda and not gpu:
        return Row(
            "torch", "remark", found, "a CUDA build without a GPU: remove .venv, run `python course.py lab`"
        )
    return Row("torch", "ok", found)


def _lab() -> Row:
    from jupyter_client.kernelspec import KernelSpecManager

    found = f"{importlib.metadata.version('jupyterlab')}, ipykernel {importlib.metadata.version('ipykernel')}"
    interpreter = KernelSpecManager().get_kernel_spec("python3").argv[0]
    if "/" in interpreter.replace("\\", "/") and not Path(interpreter).exists():
        advice = (
            "the kernel named python3 points to a Python that is gone: `jupyter kernelspec remove python3`"
        )
        return Row("JupyterLab", "problem", f"{found}; {interpreter}", advice)
    return Row("JupyterLab", "ok", found)


def _widgets() -> Row:
    from jupyter_core.paths import jupyter_path

    found = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("ipywidgets", "anywidget"))
    folders = [Path(folder) for folder in jupyter_path("labextensions")]
    for extension in ("@jupyter-widgets/jupyterlab-manager", "anywidget"):
        if not any((folder / extension / "package.json").is_file() for folder in folders):
            advice = "widgets would stay blank: remove .venv and run `python course.py lab`"
            return Row("widgets", "problem", f"{found}; {extension} is missing in JupyterLab", advice)
    return Row("widgets", "ok", found)


def _versions() -> Row:
    """Direct requirements: outside their range is a problem, another version than the tested one a remark."""
    from packaging.requirements import Requirement

    needed = [Requirement(text) for text in importlib.metadata.requires("course-lib") or []]
    locked = {
        entry.name: entry for entry in lock.read(ROOT) if entry.marker is None or entry.marker.evaluate()
    }
    outside, other, checked = [], [], 0
    for requirement in needed:
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        checked += 1
        version = importlib.metadata.version(requirement.name)
        if not requirement.specifier.contains(version, prereleases=True):
            outside.append(f"{requirement.name} {version} (needs {requirement.specifier})")
        elif not _as_locked(locked.get(requirement.name), version):
            other.append(f"{requirement.name} {version} (tested: {_tested(locked.get(requirement.name))})")
    if outside:
        return Row(
            "versions", "problem", "; ".join(outside), "run `python course.py lab`, which installs what fits"
        )
    if other:
        return Row(
            "versions", "remark", "; ".join(other), "fine if all works; `python course.py lab` restores them"
        )
    return Row("versions", "ok", f"all {checked} as tested ({lock.NAME})")


def _as_locked(entry: Requirement | None, version: str) -> bool:
    return entry is not None and entry.specifier.contains(version, prereleases=True)


def _tested(entry: Requirement | None) -> str:
    return str(entry.specifier).removeprefix("==") if entry else "none"


def _space() -> Row:
    free = shutil.disk_usage(ROOT).free / 2**30
    if free < 0.2:
        return Row(
            "disk", "problem", f"{free:.2f} GB free", "free some space: notebooks can no longer be saved"
        )
    return Row("disk", "ok", f"{free:.0f} GB free")


def _browser() -> Row:
    found, reason = parts.browser()
    if found:
        return Row("Chromium", "ok", found)
    return Row("Chromium", "remark", reason, "only the browser tests need it")


def _sandbox() -> Row:
    found, reason = parts.sandbox()
    if found:
        return Row("sandbox", "ok", found)
    return Row(
        "sandbox", "remark", reason, "only grading other people's notebooks needs it (Linux: bubblewrap)"
    )
