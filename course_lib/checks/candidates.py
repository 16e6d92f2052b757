"""Naming a mistake: hold a wrong number against what each known mistake would give."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from course_lib.checks.oracle import close, need

Number = float | Tensor


def blame(
    got: Number, truth: Number, mistakes: Iterable[tuple[Number, str]], tolerance: float = 1e-6
) -> None:
    """Raise `Wrong(why)` for the first `(value, why)` that `got` equals and the truth does not."""
    for value, why in mistakes:
        need(not _same(got, value, tolerance) or _same(truth, value, tolerance), why)


def finite(value, why: str) -> None:
    """Raise `Wrong(why)` for a number or tensor with inf or nan in it; leaves all else to later checks."""
    if isinstance(value, float | Tensor):
        need(bool(torch.as_tensor(value).isfinite().all()), why)


def _same(a: Number, b: Number, tolerance: float) -> bool:
    a, b = (torch.as_tensor(value, dtype=torch.float64) for value in (a, b))
    return a.shape == b.shape and close(a, b, tolerance)
