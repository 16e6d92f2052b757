"""Run the answers of an exercise in this process, judged as in grading."""

from __future__ import annotations

import contextlib
import io

from course_lib.grading import assignment
from course_lib.grading.assignment import Assignment
from course_lib.grading.worker import verdict


class Exercise:
    """The instructor's and the released form of one exercise, and what its checks say of other answers."""

    def __init__(self, name: str, seed: int = 4242):
        self.solution: Assignment = assignment.load(name, seed=seed)
        self.release: Assignment = assignment.load(name, folder="exercises")
        self.given = {}
        with contextlib.redirect_stdout(io.StringIO()):
            for cell in self.solution.cells:
                if cell.role == "locked":
                    exec(cell.source, self.given)

    def answers(self, form: Assignment | None = None) -> dict[str, str]:
        return {cell.id: cell.source for cell in (form or self.solution).cells if cell.role == "answer"}

    def judge(self, answers: dict[str, str], tasks: list[str] | None = None, hidden: bool = True):
        """{task: (status, message)} of these answers: the visible check, and then the hidden one."""
        names = dict(self.given)
        for source in answers.values():
            exec(source, names)
        results = {}
        for cell in self.solution.cells:
            if cell.role == "test" and (tasks is None or cell.task in tasks):
                results[cell.task] = self._judge(cell, names, hidden)
        return results

    def _judge(self, cell, names: dict, hidden: bool) -> tuple[str, str]:
        with contextlib.redirect_stdout(io.StringIO()):
            result = verdict(cell.source, names)
            if result[0] == "passed" and hidden:
                result = verdict(cell.hidden, names, hidden=True)
        return result


# What a function returns that has not understood the question; none of it may earn a point.
NULLS = {
    "None": "None",
    "nan": "float('nan')",
    "nan tensor": "torch.tensor(float('nan'))",
    "empty tensor": "torch.empty(0)",
    "True": "True",
    "zero": "0.0",
    "text": "'x'",
    "object": "object()",
    "stop": "next(iter(()))",
    "infinite parts": "(torch.full((7, 2), float('inf')),) * 4",
    "nan parts": "tuple(torch.full((7, 2), float('nan'), dtype=torch.float64) for _ in range(4))",
    "empty parts": "(torch.empty(0, 2), torch.empty(0))",
    "first argument": "next((v for v in args if isinstance(v, torch.Tensor)), None)",
    "all arguments": "args",
    "zeros like": "tuple(torch.zeros_like(v) for v in args if isinstance(v, torch.Tensor))",
    "sparse": "torch.eye(2).to_sparse()",
    "function": "(lambda *a: a)",
    "equals everything": "type('E', (), {n: (lambda s, *a: True) for n in "
    "'__eq__ __ne__ __lt__ __le__ __gt__ __ge__ __bool__'.split()} | {'__getattr__': lambda s, n: s, "
    "'__call__': lambda s, *a, **k: s, '__iter__': lambda s: iter([s] * 4), '__float__': lambda s: 1.0})()",
}


def null(name: str, value: str) -> str:
    """The source of a function `name` that always returns `value`."""
    return f"def {name}(*args, **more):\n    return {value}\n"
