"""What an author of checks works with: `@oracle`, `need`, `tensor`, `lend`, `share`.

An oracle receives the student's functions (as stand-ins that call them on copies) and a seed. It hands over
tensors, numbers and call-backs, looks at plain values, and ends in one of three ways: it returns (passed),
it raises `Wrong` with a message that names the mistake, or the student's own exception comes through
(`NotImplementedError` means: not attempted).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import torch
from torch import Tensor

from .codec import Lend, Share
from .link import pair
from .remote import Proxy, StudentError

VISIBLE_SEED = 1  # the cases that a student sees
HIDDEN_SEED = 20_011  # a stand-in: grading puts the instructor's own number in its place


class Wrong(AssertionError):
    """The answer is wrong; the message says why."""


class NotAttempted(NotImplementedError):
    """The task still holds its `raise NotImplementedError`."""


def as_students(*objs) -> tuple:
    """`objs` as a check must see them: stand-ins at the clean end of one line."""
    names = {str(i): obj for i, obj in enumerate(objs)}
    clean, _ = pair(names)
    return tuple(obj if isinstance(obj, Proxy) else clean.request("name", [i]) for i, obj in names.items())


def oracle(check: Callable) -> Callable:
    """Turn `check(*answers, seed)` into what a test cell calls: `check(*answers)`, or with `seed=...`.

    Raises `Wrong`, `NotAttempted` or `StudentError`; prints one line when the answer is right.
    """

    @functools.wraps(check)
    def run(*answers, seed: int = VISIBLE_SEED) -> None:
        try:
            check(*as_students(*answers), seed=seed)
        except Wrong as error:
            raise Wrong(str(error)) from None  # the student needs the message, not our frames
        except StudentError as error:
            if error.kind == "NotImplementedError":
                raise NotAttempted(f"{check.__name__}: not attempted yet") from None
            raise error.with_traceback(None) from _own_frames(error.__cause__)
        print(f"{check.__name__}: passed")

    return run


def _own_frames(error: BaseException | None) -> BaseException | None:
    """The exception with the traceback that starts in the student's own code."""
    if error is None:
        return None
    trace = error.__traceback__
    while (
        trace is not None and trace.tb_next is not None and trace.tb_frame.f_globals.get("__name__") in _OURS
    ):
        trace = trace.tb_next
    return error.with_traceback(trace)


_OURS = frozenset(f"{__package__}.{module}" for module in ("codec", "link", "oracle", "remote"))


def need(ok: bool, message: str) -> None:
    """Demand `ok is True` (no truthiness of odd objects), else the answer is wrong for this reason."""
    if ok is not True:
        raise Wrong(message)


def tensor(value, like: Tensor, name: str, *, finite: bool = True) -> Tensor:
    """`value`, if it is a tensor with the shape and dtype of `like`, and finite unless finite=False."""
    need(type(value) is Tensor, f"{name} must be a tensor, not {_kind(value)}")
    shape, wanted = tuple(value.shape), tuple(like.shape)
    need(shape == wanted, f"{name} has shape {list(shape)}, expected {list(wanted)}")
    need(value.dtype == like.dtype, f"{name} has dtype {value.dtype}, expected {like.dtype}")
    need(not finite or bool(value.isfinite().all()), f"{name} is not finite (nan or inf)")
    return value.detach()


def close(a: Tensor, b: Tensor, tolerance: float = 1e-8) -> bool:
    """Whether two tensors agree to `tolerance`, relative and absolute."""
    return bool(torch.allclose(a, b, rtol=tolerance, atol=tolerance))


def number(value, name: str) -> float:
    """`value` as a float, if it is a finite number or a tensor with a single element and no dimension."""
    if type(value) is Tensor and value.shape == () and not value.is_complex():
        value = value.item()
    need(type(value) in (int, float), f"{name} must be a number, not {_kind(value)}")
    need(math.isfinite(value), f"{name} is {value}, expected a finite number")
    return float(value)


def parts(value, names: tuple[str, ...], name: str) -> tuple:
    """`value`, if it is a tuple with one part for each name."""
    listed = f"({', '.join(names)})"
    need(isinstance(value, tuple), f"{name} must return the tuple {listed}, not {_kind(value)}")
    need(len(value) == len(names), f"{name} must return {listed}: {len(value)} values came back")
    return tuple(value)


def _kind(value) -> str:
    if value is None:
        return "None (is a `return` missing?)"
    if type(value) is Tensor:
        return f"a tensor of shape {list(value.shape)}"
    return "an object of your own" if isinstance(value, Proxy) else f"a {type(value).__name__}"


def seeded(seed: int) -> torch.Generator:
    """A generator of its own for one check."""
    return torch.Generator().manual_seed(seed)


def share(obj, *names: str) -> Share:
    """Let the student call `obj` and read the listed names of it; the object itself stays here."""
    return Share(obj, names)


def lend(obj, to: Proxy):
    """Give a copy of a library object to the student's side; returns the stand-in of that copy."""
    return to._handle.link.request("lend", [Lend(obj)])
