"""The process in which one notebook runs: read a job, run its cells in order, report each one.

Started by `execute`. The job (JSON) comes on stdin; one line of JSON for each cell's start and end goes out
on what was stdout, of which the notebook gets none. Student cells run in IPython, test cells as plain Python
in the same names, after what the locked cells defined is put back (an answer named `check` must not replace
ours).
"""

from __future__ import annotations

import ast
import importlib
import json
import os
import re
import sys

GIVEN_BACK = 2000  # characters of a message
COURSE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HIDDEN_CASE = " (in a case that is not shown)"
IMAGE = 1_500_000  # characters of one picture


def main() -> None:
    job = json.loads(sys.stdin.buffer.read())
    report = os.fdopen(os.dup(1), "w", encoding="utf-8", newline="\n")
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)
    notebook = Notebook(job)  # imports torch, before any clock runs
    os.dup2(nowhere, 2)  # until here, what went wrong can still be told
    limit_resources(job["memory_mb"])
    send(report, ready=True)
    for cell in job["cells"]:
        send(report, start=cell["id"])
        send(report, done=cell["id"], **notebook.run(cell))
    send(report, end=True)
    os._exit(0)  # whatever threads the notebook left behind


def send(report, **message) -> None:
    report.write(json.dumps(message) + "\n")
    report.flush()


def limit_resources(memory_mb: int) -> None:
    """Cap what the notebook may allocate beyond our own imports (on Linux; elsewhere only time is capped)."""
    try:
        import resource

        with open("/proc/self/statm", encoding="ascii") as status:
            pages = int(status.read().split()[0])
    except (ImportError, OSError):
        return
    limit = pages * resource.getpagesize() + (memory_mb << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (256 << 20, 256 << 20))


class Notebook:
    """One namespace and what its cells do to it."""

    def __init__(self, job: dict):
        import torch
        from IPython.core.interactiveshell import InteractiveShell

        for slow in ("course_lib.checks", "course_lib.sampling", "matplotlib.pyplot"):
            importlib.import_module(slow)  # before any clock runs

        torch.set_num_threads(1)
        self.output_limit, self.given = job["output_limit"], {}
        self.shell = InteractiveShell.instance()
        self.shell.history_manager.enabled = False
        self.shell.showtraceback = self.shell.showsyntaxerror = lambda *args, **kwargs: None

    def run(self, cell: dict) -> dict:
        if cell["role"] == "test":
            return self._test(cell)
        before = dict(self.shell.user_ns)
        outcome = self._code(cell["source"])
        if cell["role"] == "locked":
            new = self.shell.user_ns.items()
            self.given.update({k: v for k, v in new if not k.startswith("_") and before.get(k) is not v})
        return outcome

    # -- cells of the student ------------------------------------------------------------------------------

    def _code(self, source: str) -> dict:
        from IPython.utils.capture import capture_output

        error, result = None, None
        with capture_output() as captured:
            try:
                result = self.shell.run_cell(source, store_history=False)
                error = result.error_before_exec or result.error_in_exec
            except BaseException as e:  # a student's SystemExit or worse ends the cell, not the job
                error = e
        outputs = self._shown(captured, result if error is None else None)
        if error is None:
            return {"status": "ran", "message": "", "outputs": outputs}
        status = "memory" if out_of_memory(error) else "error"
        message = f"{type(error).__name__}: {text_of(error)}"
        return {"status": status, "message": message, "outputs": [*outputs, self._traceback(error)]}

    def _shown(self, captured, result) -> list[dict]:
        limit = self.output_limit
        shown = [
            {"output_type": "stream", "name": name, "text": text[:limit]}
            for name, text in (("stdout", captured.stdout), ("stderr", captured.stderr))
            if text
        ]
        for item in captured.outputs[:20]:
            data = {k: v for k, v in (item.data or {}).items() if k in ("text/plain", "image/png")}
            data = {k: v for k, v in data.items() if isinstance(v, str) and len(v) < IMAGE}
            if data:
                shown.append({"output_type": "display_data", "data": data, "metadata": {}})
        return shown

    def _traceback(self, error: BaseException) -> dict:
        try:
            lines = self.shell.InteractiveTB.structured_traceback(type(error), error, error.__traceback__)
            text = "\n".join(map(str, lines))[: self.output_limit]
        except BaseException:  # a hostile __repr__ or __str__ in a frame
            text = "(no traceback)"
        text = re.sub(r"\x1b\[[0-9;]*m", "", text)
        for place, name in ((os.getcwd(), "."), (sys.prefix, "<python>"), (COURSE, "<course>")):
            text = text.replace(place, name)  # feedback tells nothing about the machine
        name = type(error).__name__
        return {
            "output_type": "error",
            "ename": name,
            "evalue": text_of(error),
            "traceback": text.split("\n"),
        }

    # -- test cells ----------------------------------------------------------------------------------------

    def _test(self, cell: dict) -> dict:
        from IPython.utils.capture import capture_output

        for hidden, source in ((False, cell["source"]), (True, cell["hidden"])):
            self.shell.user_ns.update(self.given)
            with capture_output():  # neither prints nor warnings count
                status, message = verdict(source, self.shell.user_ns, hidden)
            if status != "passed":
                return {"status": status, "message": message, "hidden": hidden, "outputs": []}
        return {"status": "passed", "message": "", "outputs": []}


def verdict(source: str, names: dict, hidden: bool = False) -> tuple[str, str]:
    """(status, message) of a test cell's lines, run in `names`: here an outcome gets its name."""
    from course_lib.checks import StudentError, Tampered

    where = HIDDEN_CASE if hidden else ""
    try:
        exec(compile(ast.parse(source), "<test cell>", "exec"), names)
        return "passed", ""
    except NotImplementedError:
        return "not attempted", ""
    except AssertionError as e:  # `Wrong` is one
        return "wrong", text_of(e) + where
    except StudentError as e:
        if e.kind == "MemoryError" or out_of_memory(e):
            return "memory", "out of memory"
        # its text may show a hidden case: there only the kind is told
        return "error", f"your code raised {e.kind if hidden else text_of(e)}{where}"
    except Tampered as e:
        return "tampered", f"the check was interfered with: {text_of(e)}"
    except NameError as e:
        return "error", f"{text_of(e)}: did its cell run?"
    except BaseException as e:
        if out_of_memory(e):
            return "memory", "out of memory"
        return "check error", f"{type(e).__name__}: {text_of(e)}"


def text_of(error: BaseException) -> str:
    try:
        return str(error)[:GIVEN_BACK]
    except BaseException:  # a student's own exception class may do anything
        return "(no message)"


def out_of_memory(error: BaseException) -> bool:
    text = text_of(error)
    return isinstance(error, MemoryError) or "can't allocate memory" in text or "not enough memory" in text


if __name__ == "__main__":
    main()
