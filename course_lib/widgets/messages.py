"""What the browser asks an explorer and how frames travel. Each answer is one message with binary buffers."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import anywidget
import torch
from torch import Tensor

from course_lib.widgets import settings, words
from course_lib.widgets.simulation import Frames

MOST_FRAMES, MOST_STRIDE = 16, 20  # of one chunk
PATIENCE = 0.08  # seconds of work per chunk, so that a drag is answered soon even when a move is slow
SETTABLE = ("seed", "n", "start", "kernel_name", "step_size", "path_length", "followed")


def encode(frames: Frames) -> tuple[dict, list[bytes]]:
    """Frames as counts in a header that JSON can hold, and all that may be infinite in float32 buffers."""
    header = {"k": len(frames.x), "n": frames.x.shape[1], "points": frames.path.shape[1]}
    header |= {"step": frames.step, "era": frames.era}
    header["ghosts"] = [len(ghost) for ghost in frames.ghosts]
    parts = (frames.x, torch.cat(frames.ghosts), frames.path, frames.h, frames.u, frames.facts)
    return header, [as_bytes(part) for part in parts]


def as_bytes(x: Tensor) -> bytes:
    return x.detach().to("cpu", torch.float32).contiguous().numpy().tobytes()


class Conversation(anywidget.AnyWidget):
    """The half of an explorer that talks with its views; it has a `_simulation` and the traits of `_sync`."""

    def __init__(self, **traits):
        self._recent: deque[tuple[dict, list[bytes]]] = deque(maxlen=16)  # for views that come later
        self._request, self._answered = None, False
        super().__init__(**traits)
        self.on_msg(self._on_msg)

    def _on_msg(self, _widget, message, _buffers) -> None:
        """Every request gets exactly one answer, which names it; what goes wrong is shown there as well."""
        self._answered = False
        self._request = message.get("id") if isinstance(message, dict) else None
        try:
            answer(self, message)
            if not self._answered:
                self._tell({"kind": "idle"})
        except Exception as error:
            self._tell({"kind": "error", "message": str(error)})
            raise  # and ipywidgets reports it in the log
        finally:
            self._request = None

    def _show(self, frames: Frames, stride: int, flight: bytes | None = None) -> None:
        header, buffers = encode(frames)
        header |= {"kind": "frames", "stride": stride}
        self._recent.append((header, buffers))
        if flight is None:
            self._tell(header, buffers)
        else:
            self._tell(header | {"kind": "fly"}, [*buffers, flight])

    def _publish(self, *, fresh: bool = False) -> None:
        """Tell all views where the particles stand and what the next proposal is; fresh: forget the past."""
        if fresh:
            self._recent.clear()
        header, buffers = encode(self._simulation.preview())
        self._tell(header | {"kind": "state", "fresh": fresh}, buffers)  # first: a hand may be waiting
        self._sync()

    def _sync(self) -> None:
        """Bring the saved state up to date; while playing it is not, or every frame would travel twice."""
        simulation = self._simulation
        with self.hold_sync():
            self.step_count, self.particles = simulation.step, as_bytes(simulation.x)
            shown = (simulation.x, simulation.kernel, simulation.step, simulation.acceptance)
            self.alt = words.describe(self._name, self._picture, *shown)
            self.code = words.experiment(self)

    def _tell(self, header: dict, buffers: Sequence[bytes] = ()) -> None:
        self._answered = True
        self.send({**header, "id": self._request}, buffers=list(buffers))


def answer(explorer: Conversation, message) -> None:
    """Do what a message asks for. Raises ValueError for one that makes no sense."""
    kind = message.get("kind") if isinstance(message, dict) else None
    if kind not in HANDLERS:
        raise ValueError(f"an explorer knows the messages {', '.join(HANDLERS)}, but got {message!r}")
    HANDLERS[kind](explorer, message)


def hello(explorer: Conversation, message: dict) -> None:
    """A new view: tell it what happened lately, then where things stand."""
    for header, buffers in tuple(explorer._recent):
        explorer.send({**header, "id": None, "to": message.get("id")}, buffers=buffers)
    explorer._publish()


def tick(explorer: Conversation, message: dict) -> None:
    """The next chunk: `frames` frames of `stride` transitions each, fewer where that takes too long."""
    frames = _within(message.get("frames", 1), MOST_FRAMES)
    stride = _within(message.get("stride", 1), MOST_STRIDE)
    explorer._show(explorer._simulation.advance(frames, stride, budget=PATIENCE), stride)


def step(explorer: Conversation, message: dict) -> None:
    """One transition."""
    explorer._show(explorer._simulation.advance(1), 1)
    explorer._sync()


def fly(explorer: Conversation, message: dict) -> None:
    """One transition with the paths of all particles to it, for slow motion and leapfrog by leapfrog."""
    frames, proposal = explorer._simulation.fly()
    explorer._show(frames, 1, as_bytes(proposal.x))
    explorer._sync()


def pause(explorer: Conversation, message: dict) -> None:
    """Playing has stopped: let the saved state catch up."""
    explorer._sync()


def reset(explorer: Conversation, message: dict) -> None:
    explorer.reset()


def drop(explorer: Conversation, message: dict) -> None:
    """Let `count` more particles fall at `at`."""
    at = settings.check_start(message.get("at", ()))
    explorer._simulation.drop(at, settings.check_n(message.get("count", 20)))
    explorer._publish()


def change(explorer: Conversation, message: dict) -> None:
    """Set a trait, as a slider does."""
    name = message.get("name")
    if name not in SETTABLE or "value" not in message:
        raise ValueError(f"a value for one of {', '.join(SETTABLE)} can be set, but got {message!r}")
    setattr(explorer, name, message["value"])


HANDLERS = {
    "hello": hello,
    "tick": tick,
    "step": step,
    "fly": fly,
    "pause": pause,
    "reset": reset,
    "drop": drop,
    "set": change,
}


def _within(value, most: int) -> int:
    """A count that a browser asked for, brought into 1 to `most`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        raise ValueError(f"a count of frames is a number, but it is {value!r}")
    return int(min(max(value, 1), most))
