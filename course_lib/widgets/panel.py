"""What the explorers of one picture share: one answer to a request, settings checked, words said."""

from __future__ import annotations

import base64
import contextlib
import html
import json
import math
import pathlib
from collections.abc import Iterator

import anywidget
import torch
import traitlets as t
from torch import Tensor

from course_lib.widgets import replay

HERE = pathlib.Path(__file__).parent
MOST_SEED = 2**31 - 1


def module(name: str) -> str:
    """The shared ES module and that of one explorer, as one."""
    return "".join((HERE / file).read_text(encoding="utf-8") for file in ("panel.js", name))


def style() -> str:
    return "".join((HERE / file).read_text(encoding="utf-8") for file in ("landscape.css", "panel.css"))


def as_floats(x: Tensor) -> bytes:
    """float32, which may hold what JSON cannot: infinities and NaN."""
    return x.detach().to("cpu", torch.float32).contiguous().numpy().tobytes()


class Panel(anywidget.AnyWidget):
    """Base of an explorer whose settings are numbers and whose picture follows from them.

    A subclass has `SETTINGS`, the names of the traits that a hand or Python may set; `_check(name, value)`;
    `_begin()`, which starts anew from the settings, and `_restart()` where that keeps what it can;
    `_more(count)`, which goes on; `_picture()` -> (header, buffers) with all there is to see, `_news()` with
    what the last `_more` brought; `_words()` and `_call()`.
    """

    SETTINGS: tuple[str, ...] = ()
    ACTIONS: tuple[str, ...] = ()

    _css = style()

    seed = t.Int(0).tag(sync=True)
    alt = t.Unicode("").tag(sync=True)
    code = t.Unicode("").tag(sync=True)
    view = t.Dict().tag(sync=True)  # what never changes: limits, names, the box

    def __init__(self, **traits):
        self._request, self._answered, self._syncing = None, False, True
        for name in self.SETTINGS:
            if name in traits:
                traits[name] = self._check(name, traits[name])
        super().__init__(**traits)
        self._syncing = False
        self._begin()
        self._sync()
        self.on_msg(self._on_msg)
        self.observe(self._changed, list(self.SETTINGS))

    # ---- from Python

    def set(self, **values) -> None:
        """Change several settings at once; all is as before where one of them makes no sense."""
        if unknown := set(values) - set(self.SETTINGS):
            raise ValueError(f"the settings here are {', '.join(self.SETTINGS)}, but got {sorted(unknown)}")
        before = {name: getattr(self, name) for name in self.SETTINGS}
        checked = {name: self._check(name, value) for name, value in values.items()}
        self._assign(checked)
        try:
            self._begin()
        except ValueError:
            self._assign(before)
            self._begin()
            raise
        self._publish()

    def reset(self) -> None:
        """Back to the start, with the same seed."""
        self._restart()
        self._publish()

    def more(self, count: int = 1) -> None:
        """Go on; what is on the screen follows."""
        self._more(whole(count, 1, 10**6, "count is how much more"))
        self._tell(*self._with("more", *self._news()))
        self._sync()

    def replay(self, frames: int = 30, *, autoplay: bool = True) -> None:
        """Display a short stored animation: it plays with no kernel and no network."""
        from IPython.display import display

        page, words = self._animation(frames, autoplay)
        quoted = page.replace("&", "&amp;").replace('"', "&quot;")
        frame = (
            f'<iframe title="{html.escape(words)}" sandbox="allow-scripts" srcdoc="{quoted}" loading="lazy" '
            'style="width: 100%; max-width: 940px; height: 640px; border: 0"></iframe>'
        )
        display({"text/plain": words, "text/html": frame}, raw=True)

    def replay_page(self, frames: int = 30, *, autoplay: bool = True) -> str:
        """The same animation as one HTML page: what playing from the start would show."""
        return self._animation(frames, autoplay)[0]

    def _animation(self, frames: int, autoplay: bool) -> tuple[str, str]:
        """The page and its alt text; what is on the screen stays as it is."""
        whole(frames, 1, 200, "frames are the pictures of the animation")
        with self._aside():
            words, code = f"Animation. {self._words()}", self._call()
            told = [self._with("state", *self._picture())]
            for _ in range(frames):
                self._more(self._pace())
                told.append(self._with("more", *self._news()))
        pack = [base64.b64encode(buffer).decode() for _, buffers in told for buffer in buffers]
        messages = [{**header, "parts": len(buffers)} for header, buffers in told]
        large = {name: v for name, v in self.trait_values(sync=True).items() if isinstance(v, bytes)}
        parts = {name: base64.b64encode(value).decode() for name, value in large.items()}
        state = {"view": self.view, "alt": words, "code": code, "autoplay": autoplay}
        state["replay"] = {"messages": messages}
        data = json.dumps({"state": state, "parts": parts, "buffers": pack}, allow_nan=False)
        data = data.replace("</", "<\\/")
        return replay.PAGE.format(title=html.escape(code), css=self._css, esm=self._esm, data=data), words

    def _restart(self) -> None:
        """Begin anew, whatever `_begin` would keep."""
        self._begin()

    @contextlib.contextmanager
    def _aside(self) -> Iterator[None]:
        """In here all is at the start; then it is as before: `_restart` leaves the old objects alone."""
        before = dict(vars(self))
        try:
            self._restart()
            yield
        finally:
            vars(self).update(before)

    # ---- with the browser

    def _on_msg(self, _widget, message, _buffers) -> None:
        """Every request gets exactly one answer, which names it; what goes wrong is shown there as well."""
        self._answered = False
        self._request = message.get("id") if isinstance(message, dict) else None
        try:
            self._answer(message)
            if not self._answered:
                self._tell({"kind": "idle"})
        except Exception as error:
            self._tell({"kind": "error", "message": str(error)})
            raise  # and ipywidgets reports it in the log
        finally:
            self._request = None

    def _answer(self, message) -> None:
        kind = message.get("kind") if isinstance(message, dict) else None
        if kind == "hello":
            self._tell(*self._with("state", *self._picture()))
        elif kind == "set" and isinstance(message.get("values"), dict):
            self.set(**message["values"])
        elif kind == "more":
            self._more(whole(message.get("count"), 1, 10**6, "count is how much more"))
            self._tell(*self._with("more", *self._news()))
            if not message.get("playing"):
                self._sync()
        elif kind == "pause":
            self._sync()
        elif kind == "reset":
            self.reset()
        elif kind == "act" and message.get("name") in self.ACTIONS:
            getattr(self, message["name"])()
        else:
            raise ValueError(f"an explorer knows hello, set, more, pause, reset and act, but got {message!r}")

    def _changed(self, change) -> None:
        """A trait was set from Python: the picture follows, or nothing changes at all."""
        if not self._syncing:
            self._assign({change.name: change.old})
            self.set(**{change.name: change.new})

    def _assign(self, values: dict) -> None:
        self._syncing = True
        try:
            with self.hold_sync():
                for name, value in values.items():
                    setattr(self, name, value)
        finally:
            self._syncing = False

    def _publish(self) -> None:
        self._tell(*self._with("state", *self._picture()))
        self._sync()

    def _with(self, kind: str, header: dict, buffers: list[bytes]) -> tuple[dict, list[bytes]]:
        return {**self._head(kind), **header}, buffers

    def _head(self, kind: str) -> dict:
        return {"kind": kind, "settings": {name: getattr(self, name) for name in self.SETTINGS}}

    def _tell(self, header: dict, buffers: list[bytes] | tuple = ()) -> None:
        self._answered = True
        self.send({**header, "id": self._request}, buffers=list(buffers))

    def _sync(self) -> None:
        with self.hold_sync():
            self.alt, self.code = self._words(), self._call()

    def __repr__(self) -> str:
        return self._call()

    def _repr_mimebundle_(self, **kwargs):
        shown = super()._repr_mimebundle_(**kwargs)
        if shown:
            (shown[0] if isinstance(shown, tuple) else shown)["text/plain"] = self.alt
        return shown


def number(value, low: float, high: float, what: str) -> float:
    """`value` as a float in [low, high], or ValueError that says what it is for."""
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    if not plain or not math.isfinite(value) or not low <= value <= high:
        raise ValueError(f"{what}, from {low:g} to {high:g}, but it is {value!r}")
    return float(value)


def whole(value, low: int, high: int, what: str) -> int:
    """`value` as an int in [low, high], or ValueError that says what it is for."""
    if number(value, low, high, what) != int(value):
        raise ValueError(f"{what}: a whole number, but it is {value!r}")
    return int(value)


def one_of(value, names, what: str) -> str:
    if value not in names:
        raise ValueError(f"{what} is one of {', '.join(names)}, but it is {value!r}")
    return value


def slider(name: str, label: str, low: float, high: float, *, log: bool = False, digits: int = 2) -> dict:
    """How the browser draws one setting."""
    return {"name": name, "label": label, "low": low, "high": high, "log": log, "digits": digits}
