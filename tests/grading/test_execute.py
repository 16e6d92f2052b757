"""Every cell ends in one outcome, a fault costs its own task only, and nothing is left behind."""

import json
import os
import time
from pathlib import Path

import pytest

from course_lib.grading.assignment import Cell
from course_lib.grading.execute import Limits, execute
from course_lib.workspace import ROOT

QUICK = Limits(cell_s=4, memory_mb=800)
BEGIN = """\
import os
from course_lib.checks import need, oracle

@oracle
def seven(answer, seed):
    need(answer(seed) == 7, 'not seven')
"""


def notebook(**answers):
    """A locked cell, and for each answer its cell and a test of it."""
    cells = [Cell("begin", "locked", BEGIN)]
    for name, source in answers.items():
        cells.append(Cell(name, "answer", source, task=name))
        cells.append(Cell(f"test-{name}", "test", f"seven({name})", f"seven({name}, seed=99)", task=name))
    return cells


def statuses(outcomes):
    return {
        name.removeprefix("test-"): out.status for name, out in outcomes.items() if name.startswith("test-")
    }


STRIP = """\
import ast, IPython
class Strip(ast.NodeTransformer):
    def visit_Expr(self, node): return None
IPython.get_ipython().ast_transformers.append(Strip())
def strips(x): return 8
"""
WARN = """\
import sys, warnings
def warns(x):
    warnings.warn('hm')
    print('x', file=sys.stderr)
    return 7
"""
KEYED = """\
def keyed(x):
    if x == 99: raise ValueError(f'secret {x}')
    return 7
"""


def test_what_an_answer_can_do_short_of_ending_the_process(monkeypatch):
    monkeypatch.setenv("COURSE_SECRET", "token")
    cells = notebook(
        right="def right(x): return 7",
        wrong="def wrong(x): return 8",
        empty="def empty(x): raise NotImplementedError",
        broken="def broken(x): return 7 +",
        raises="def raises(x): return 1 / 0",
        keyed=KEYED,
        visible="def visible(x): return 7 if x == 1 else 8",
        warns=WARN,
        leaves="raise SystemExit(0)",
        replaces="def replaces(x): return 7\nneed = seven = lambda *a, **k: None",
        cheats="def cheats(x): return 8\nseven = lambda *a, **k: None",
        magic="%time pass\ndef magic(x): return 7",
        secret="def secret(x): return 8 if os.environ.get('COURSE_SECRET') else 7",
        strips=STRIP,
    )
    cells[1:1] = [
        Cell("deep", "free", "from course_lib import energies\nenergies.Banana(0.5)(None)"),
        Cell("long", "free", "print('x' * 10_000_000)"),
        Cell("html", "free", "from IPython.display import HTML, display\ndisplay(HTML('<b>1</b>'))\n1 / 0"),
    ]
    outcomes = execute(cells, QUICK)
    assert list(outcomes) == [cell.id for cell in cells]
    assert statuses(outcomes) == {
        "right": "passed",
        "wrong": "wrong",
        "empty": "not attempted",
        "broken": "error",
        "raises": "error",
        "keyed": "error",
        "visible": "wrong",
        "warns": "passed",
        "leaves": "error",
        "replaces": "passed",
        "cheats": "wrong",
        "magic": "passed",
        "secret": "passed",
        "strips": "wrong",
    }
    assert outcomes["test-wrong"].message == "not seven"
    assert outcomes["test-raises"].message == "your code raised ZeroDivisionError: division by zero"
    assert outcomes["test-broken"].message == "name 'broken' is not defined: did its cell run?"
    assert outcomes["broken"].message.startswith("SyntaxError")
    # of a hidden case, only what the oracle says
    assert outcomes["test-visible"].message == "not seven (in a case that is not shown)"
    assert outcomes["test-keyed"].message == "your code raised ValueError (in a case that is not shown)"
    assert outcomes["test-keyed"].hidden
    assert not outcomes["test-wrong"].hidden
    # outputs within limits, and of two kinds only
    assert len(outcomes["long"].outputs[0]["text"]) == QUICK.output_limit
    assert [set(out.get("data", {})) for out in outcomes["html"].outputs] == [{"text/plain"}, set()]
    assert outcomes["html"].outputs[-1]["ename"] == "ZeroDivisionError"
    trace = "".join(outcomes["html"].outputs[-1]["traceback"])
    assert "ZeroDivisionError" in trace
    assert "\x1b" not in trace
    assert str(ROOT) not in "".join(outcomes["deep"].outputs[-1]["traceback"])


LOOPS = """\
def loops(x):
    while True:
        try:
            while True: pass
        except BaseException: pass
"""


def test_a_fault_costs_only_its_own_task():
    """A loop that catches everything, an exit of the process, too much memory: honest work around them."""
    outcomes = execute(
        notebook(
            first="def first(x): return 7",
            loops=LOOPS,
            between="def between(x): return 7",
            exits="def exits(x): os._exit(0)",
            eats="import torch\ndef eats(x):\n    held = []\n    while True: held.append(torch.empty(10**8))",
            last="def last(x): return 7",
        ),
        QUICK,
    )
    assert statuses(outcomes) == {
        "first": "passed",
        "loops": "timeout",
        "between": "passed",
        "exits": "crashed",
        "eats": "memory",
        "last": "passed",
    }
    assert outcomes["test-loops"].message == "no end within 4 s for one cell"


START = """\
import subprocess, sys
subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(300)', 'MARK'])
while True: pass
"""


@pytest.mark.skipif(not Path("/proc").exists(), reason="looks for processes in /proc")
def test_time_for_all_is_limited_and_processes_end_with_their_notebook():
    mark = f"course-test-{os.getpid()}"
    cells = notebook(starts=START.replace("MARK", mark), never="def never(x): return 7")
    outcomes = execute(cells, Limits(cell_s=60, total_s=3))
    assert outcomes["starts"].message == "no end within 3 s for all"
    assert statuses(outcomes) == {"starts": "timeout", "never": "timeout"}
    time.sleep(0.2)
    assert alive(mark) == []


def alive(mark):
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if mark in (folder / "cmdline").read_text():
                found.append(folder.name)
        except (OSError, UnicodeDecodeError):
            continue  # no process, or one that has just ended
    return found


def test_a_worker_that_cannot_start_is_an_error_of_ours(monkeypatch):
    monkeypatch.setattr("course_lib.grading.execute.WORKER", ("-c", "raise SystemError('no torch here')"))
    with pytest.raises(ChildProcessError, match=r"SystemError: no torch here\); `python course.py doctor`"):
        execute(notebook(a="x = 1"), QUICK)


def test_a_worker_that_takes_for_ever_to_start_says_what_to_do(monkeypatch):
    monkeypatch.setattr("course_lib.grading.execute.WORKER", ("-c", "import time; time.sleep(60)"))
    monkeypatch.setattr("course_lib.grading.execute.STARTUP_S", 0.2)
    with pytest.raises(ChildProcessError, match=r"within 0\.2 s: this machine is very busy; close other"):
        execute(notebook(a="x = 1"), QUICK)


FORGED = """\
import json, sys
for message in json.loads(sys.argv[1]):
    print(json.dumps(message))
"""
PASS = {"done": "test-a", "status": "passed"}


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [{"ready": 1}],
        [{"ready": 1}, PASS, {"end": 1}],
        [{"ready": 1}, {"start": "begin"}, PASS, {"start": "a"}],
        [{"ready": 1}, {"start": "other"}, PASS],
        [{"ready": 1}, 7, [PASS], PASS],
    ],
)
def test_reports_that_no_worker_writes_pass_nothing(monkeypatch, messages):
    worker = ("-c", FORGED, json.dumps(messages))
    monkeypatch.setattr("course_lib.grading.execute.WORKER", worker)
    cells = notebook(a="def a(x): return 8")
    if not messages:
        with pytest.raises(ChildProcessError, match="did not start \\(it gave no reason"):
            execute(cells, QUICK)
        return
    outcomes = execute(cells, Limits(cell_s=4, total_s=6))
    assert [outcome.status for outcome in outcomes.values()] == ["crashed"] * 3


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"cell_s": 0}, r"one cell \(--timeout\) must be more than 0, but 0 was given"),
        ({"cell_s": float("nan")}, r"\(--timeout\) must be more than 0, but nan was given"),
        ({"total_s": -1.5}, r"whole notebook must be more than 0, but -1\.5 was given"),
        ({"memory_mb": -5}, r"\(--memory\) must be more than 0, but -5 was given"),
    ],
)
def test_limits_must_be_positive(given, message):
    with pytest.raises(ValueError, match=message):
        Limits(**given)
