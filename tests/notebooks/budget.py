"""What a run of the notebooks cost, and whether a figure slipped out beside `plots.show`: a pytest plugin.

nbval starts one kernel for each notebook. A start-up script, put into the IPython folder of those kernels,
notes after every cell the CPU time used so far and any picture that was sent as `image/png` (`plots.show`
sends none). At the end one table is printed. A notebook that took more than twice its 60 CPU-seconds, or
that let a figure slip, fails the session. Times in between are only reported: they belong to the machine.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

BUDGET = 60  # CPU-seconds of one notebook
FOLDER = "COURSE_NOTEBOOK_LOG"

STARTUP = """
def _watch():
    import json, os, pathlib, re, time

    shell = get_ipython()
    seen = {"notebook": pathlib.Path.cwd().name, "cells": 0, "seconds": 0.0, "pictures": []}
    target = pathlib.Path(os.environ["COURSE_NOTEBOOK_LOG"]) / f"{os.getpid()}.json"

    def sent(message):
        if "image/png" in message.get("content", {}).get("data", {}):
            seen["pictures"].append(seen["cells"] + 1)
        return message

    def ran(result):
        if begun := re.search(r'begin\\("(\\w+)"', result.info.raw_cell):
            seen["notebook"] = begun[1]
        seen.update(cells=seen["cells"] + 1, seconds=time.process_time())
        target.write_text(json.dumps(seen))

    shell.display_pub.register_hook(sent)
    shell.events.register("post_run_cell", ran)


_watch()
del _watch
"""


def install(ipython: Path) -> None:
    """Put the start-up script where kernels with IPYTHONDIR=`ipython` find it."""
    startup = ipython / "profile_default" / "startup"
    startup.mkdir(parents=True, exist_ok=True)
    (startup / "00-budget.py").write_text(STARTUP)


def read(log: Path) -> list[dict]:
    """One record for each kernel that ran a cell, the most expensive first."""
    records = [json.loads(path.read_text()) for path in log.glob("*.json")]
    return sorted(records, key=lambda record: -record["seconds"])


def judge(records: list[dict]) -> list[str]:
    """What is not acceptable."""
    faults = []
    for record in records:
        if record["seconds"] > 2 * BUDGET:
            faults.append(f"{record['notebook']}: {record['seconds']:.0f} CPU-s, more than twice {BUDGET}")
        for cell in record["pictures"]:
            faults.append(
                f"{record['notebook']}: code cell {cell} shows a figure without plots.show(fig, alt=...)"
            )
    return faults


def report(records: list[dict]) -> list[str]:
    """The table, one line for each notebook."""
    marks = [" over the budget" * (record["seconds"] > BUDGET) for record in records]
    return [
        f"{record['notebook']:>8} {record['seconds']:6.1f} CPU-s{mark}"
        for record, mark in zip(records, marks)
    ]


# --- pytest hooks: the controller makes the folders before workers start and reads them at the end --------


def pytest_configure(config) -> None:
    if FOLDER not in os.environ:
        config._notebook_log = tempfile.TemporaryDirectory(prefix="notebooks-")
        root = Path(config._notebook_log.name)
        (root / "log").mkdir()
        install(root / "ipython")
        os.environ[FOLDER], os.environ["IPYTHONDIR"] = str(root / "log"), str(root / "ipython")


def pytest_sessionfinish(session) -> None:
    if hasattr(session.config, "_notebook_log"):
        session.config._notebook_records = read(Path(os.environ[FOLDER]))
        if judge(session.config._notebook_records) and session.exitstatus == 0:
            session.exitstatus = 1


def pytest_terminal_summary(terminalreporter, config) -> None:
    records = getattr(config, "_notebook_records", [])
    if records:
        terminalreporter.section(f"notebooks (budget {BUDGET} CPU-s each)")
        for line in report(records):
            terminalreporter.line(line)
        for fault in judge(records):
            terminalreporter.line(f"FAILED {fault}", red=True)


def pytest_unconfigure(config) -> None:
    if hasattr(config, "_notebook_log"):
        del os.environ[FOLDER], os.environ["IPYTHONDIR"]
        config._notebook_log.cleanup()
