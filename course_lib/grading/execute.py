"""Run a notebook's cells where they can do no harm to others: one small interface, `execute`.

Here each notebook gets a process group of its own, with a clock for every cell and a memory limit. When a
cell hangs, kills the process or uses up the memory, the process is ended, and a new one runs the other cells
without it: a fault costs the task in whose cell it happened, and no other.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field

from course_lib.workspace import ROOT

from .assignment import Cell

STARTUP_S = 180  # torch may be slow to import on a busy machine
MAX_REPORT = 64 << 20  # bytes that one process may report
WORKER = ("-P", "-m", "course_lib.grading.worker")
FATAL = ("timeout", "crashed", "memory")


_running: set[subprocess.Popen] = set()
_stopped = threading.Event()


class Stopped(Exception):
    """`stop` was called while this notebook ran."""


@dataclass(frozen=True)
class Limits:
    """cell_s: seconds of one cell. total_s: of all. memory_mb: what one notebook may allocate."""

    cell_s: float = 60.0
    total_s: float = 600.0
    memory_mb: int = 3000
    output_limit: int = 20_000  # characters of one stream

    def __post_init__(self) -> None:
        for what, value in (
            ("the seconds for one cell (--timeout)", self.cell_s),
            ("the seconds for a whole notebook", self.total_s),
            ("the MB of memory for a notebook (--memory)", self.memory_mb),
        ):
            if not value > 0:
                raise ValueError(f"{what} must be more than 0, but {value:g} was given")


@dataclass(frozen=True)
class Outcome:
    """How one cell ended.

    status: "ran" or "error" for code; "passed", "wrong", "not attempted", "error", "tampered" or
    "check error" for a test; "timeout", "crashed" or "memory" for any. hidden: a hidden case failed.
    """

    status: str
    message: str = ""
    hidden: bool = False
    outputs: list[dict] = field(default_factory=list)


def execute(cells: Iterable[Cell], limits: Limits | None = None) -> dict[str, Outcome]:
    """Run the cells in order and say how each ended; one outcome for each, whatever happens.

    Student code is not trusted to report about itself: a cell without a report has not passed.
    """
    limits, cells = limits or Limits(), list(cells)
    outcomes: dict[str, Outcome] = {}
    ends = time.monotonic() + limits.total_s
    while todo := [cell for cell in cells if _still_to_run(cell, outcomes)]:
        if _stopped.is_set():
            raise Stopped
        remaining = ends - time.monotonic()
        if remaining <= 0 or all(cell.id in outcomes for cell in todo):
            break
        _attempt(todo, limits, remaining, outcomes)
    rest = Outcome("timeout", f"the notebook needed more than {limits.total_s:.0f} s in all")
    return {cell.id: outcomes.get(cell.id, rest) for cell in cells}


@contextmanager
def stopping() -> Iterator[None]:
    """End every notebook that runs when this block is left by an exception, such as Ctrl-C."""
    try:
        yield
    except BaseException:
        _stopped.set()
        for process in list(_running):
            _end(process)
        raise


def ready() -> None:
    """Allow notebooks to run (again) after a stop."""
    _stopped.clear()


def _still_to_run(cell: Cell, outcomes: dict[str, Outcome]) -> bool:
    """Code runs again in each attempt, since later cells build on it, unless it ended the process before."""
    if cell.id not in outcomes:
        return True
    return cell.role != "test" and outcomes[cell.id].status not in FATAL


def _attempt(cells: list[Cell], limits: Limits, remaining: float, outcomes: dict[str, Outcome]) -> None:
    """Run `cells` in one process until the first fault; write what they reported into `outcomes`."""
    job = {
        "cells": [asdict(cell) for cell in cells],
        "memory_mb": limits.memory_mb,
        "output_limit": limits.output_limit,
    }
    with (
        tempfile.TemporaryDirectory(prefix="course-", ignore_cleanup_errors=True) as folder,
        tempfile.TemporaryFile() as words,
    ):
        process = _start(folder, words)
        _running.add(process)
        lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        threading.Thread(target=_write, args=(process.stdin, json.dumps(job).encode()), daemon=True).start()
        threading.Thread(target=_read, args=(process.stdout, lines), daemon=True).start()
        try:
            _await_start(lines, words)
            _follow(lines, [cell.id for cell in cells], limits, remaining, outcomes)
        finally:
            _running.discard(process)
            _end(process)


def _await_start(lines, words) -> None:
    """Wait for the worker to be ready; raises ChildProcessError with advice where it never is."""
    try:
        if _parsed(lines, STARTUP_S).get("ready"):
            return
    except queue.Empty:
        raise ChildProcessError(
            f"the process for notebooks did not start within {STARTUP_S} s: this machine is very busy; "
            "close other programs (or give fewer --jobs) and try again"
        ) from None
    words.seek(0)
    told = words.read().decode(errors="replace").strip().splitlines() or ["it gave no reason"]
    raise ChildProcessError(
        f"the process for notebooks did not start ({told[-1][:200]}); "
        "`python course.py doctor` looks for what is missing"
    )


def _follow(lines, ids: list[str], limits: Limits, remaining: float, outcomes: dict[str, Outcome]) -> None:
    """Take reports until the last cell or the first fault; whoever did not report has not passed."""
    over, deadline = time.monotonic() + remaining, time.monotonic() + limits.cell_s
    cell = next((id for id in ids if id not in outcomes), ids[0])  # to blame if no cell ever starts
    begun = False
    while True:
        try:
            message = _parsed(lines, min(deadline, over) - time.monotonic())
        except queue.Empty:
            left = f"{limits.cell_s:g} s for one cell" if deadline < over else f"{limits.total_s:g} s for all"
            outcomes[cell] = Outcome("timeout", f"no end within {left}")
            return
        if message.get("start") in ids:
            cell, begun, deadline = message["start"], True, time.monotonic() + limits.cell_s
        elif begun and message.get("done") == cell:
            outcome = _outcome(message)
            if cell not in outcomes or outcome.status in FATAL:
                outcomes[cell] = outcome
            if outcome.status in FATAL:
                return  # the others get a process that has its memory back
        elif message.get("end") and outcomes.keys() >= set(ids):
            return
        else:  # the process is gone, or writes what no worker of ours writes
            outcomes[cell] = Outcome("crashed", "the process ended in this cell")
            return


def _parsed(lines: queue.SimpleQueue, seconds: float) -> dict:
    """The next report, {} where there is none any more; raises queue.Empty when the time is over."""
    try:
        message = json.loads(lines.get(timeout=max(0.0, seconds)))
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}


def _outcome(message: dict) -> Outcome:
    outputs = message.get("outputs")
    return Outcome(
        str(message.get("status")),
        str(message.get("message"))[:4000],
        bool(message.get("hidden")),
        outputs if isinstance(outputs, list) else [],
    )


def _start(folder: str, words) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, *WORKER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=words,
        cwd=folder,
        env=_environment(folder),
        start_new_session=os.name == "posix",
    )


def _environment(folder: str) -> dict[str, str]:
    """A small one: no keys or tokens of the person who grades."""
    import matplotlib

    keep = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "SYSTEMROOT", "VIRTUAL_ENV", "CONDA_PREFIX")
    return {
        **{name: os.environ[name] for name in keep if name in os.environ},
        "PYTHONPATH": str(ROOT),  # the library of whoever grades, and no other
        "HOME": folder,
        "IPYTHONDIR": folder,
        "TMPDIR": folder,
        "TEMP": folder,
        "MPLBACKEND": "agg",
        "MPLCONFIGDIR": matplotlib.get_cachedir(),  # or every notebook would look for fonts again
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "COURSE_DEVICE": "cpu",
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _write(pipe, data: bytes) -> None:
    try:
        pipe.write(data)
        pipe.close()
    except OSError:
        pass  # the process is gone; its missing reports say so


def _read(pipe, lines: queue.SimpleQueue) -> None:
    size = 0
    while (line := pipe.readline(MAX_REPORT)) and (size := size + len(line)) < MAX_REPORT:
        lines.put(line)
    lines.put(b"")


def _end(process: subprocess.Popen) -> None:
    """Kill the whole group: whatever the notebook started ends with it."""
    try:
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    except ProcessLookupError:
        pass  # already gone
    process.wait()
