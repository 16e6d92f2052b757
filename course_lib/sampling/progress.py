"""The progress bar of long runs."""

from __future__ import annotations

from collections.abc import Iterable


def counted(steps: range, progress: bool) -> Iterable[int]:
    """`steps`, with a bar if `progress`."""
    if not progress:
        return steps
    from tqdm.auto import tqdm  # imported here: it looks for a notebook front end

    return tqdm(steps)
