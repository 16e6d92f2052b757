"""A browser that is none: it sends an explorer messages and keeps what comes back."""

from __future__ import annotations

import json

import torch


class Told(list):
    """Headers and buffers that an explorer sent; every header must be JSON that a browser can read."""

    def __init__(self, explorer):
        super().__init__()
        explorer.send = self._take

    def _take(self, header, buffers=()):
        json.dumps(header, allow_nan=False)
        self.append((header, [torch.frombuffer(bytearray(b), dtype=torch.uint8) for b in buffers]))

    @property
    def last(self):
        return self[-1][0]

    def floats(self, i):
        return self[-1][1][i].view(torch.float32)


def say(explorer, told, **message):
    """Send one message and return the header of its one answer."""
    before = len(told)
    explorer._on_msg(explorer, {"id": "page-1", **message}, [])
    assert len(told) == before + 1, "every request gets exactly one answer"
    assert told.last["id"] == "page-1"
    return told.last
