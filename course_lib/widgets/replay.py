"""A stored animation: the explorer's own ES module in a page that needs no kernel and no network."""

from __future__ import annotations

import base64
import html
import json
from typing import TYPE_CHECKING

import torch

from course_lib.widgets import messages, picture, settings, words
from course_lib.widgets.simulation import Frames, Simulation

if TYPE_CHECKING:
    from course_lib.widgets.landscape import LandscapeExplorer

MOST_BYTES = 200_000
SIZE = 96  # grid points along each side: enough for a picture that is drawn with interpolation


def bundle(explorer: LandscapeExplorer, steps: int, particles: int, autoplay: bool) -> dict[str, str]:
    """The page in a frame of its own, and the same in words; both as a raw mime bundle."""

    def frame(page: str, text: str) -> str:
        return (
            f'<iframe title="{html.escape(text)}" sandbox="allow-scripts" loading="lazy" '
            'style="width: 100%; max-width: 940px; height: 660px; border: 0" '
            f'srcdoc="{_quoted(page)}"></iframe>'
        )

    content, text = _fit(explorer, steps, particles, autoplay, frame)
    return {"text/plain": text, "text/html": content}


def page(explorer: LandscapeExplorer, steps: int, particles: int, autoplay: bool) -> str:
    """The animation as one HTML page of at most 200 kB."""
    return _fit(explorer, steps, particles, autoplay, lambda page, text: page)[0]


def _quoted(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;")


def _fit(explorer: LandscapeExplorer, steps: int, particles: int, autoplay: bool, wrap) -> tuple[str, str]:
    """As many moves as fit, wrapped, and their description; ValueError where not even two do."""
    settings.check_n(particles)
    if settings.check_steps(steps) < 1:
        raise ValueError(f"a replay needs at least one move, but steps is {steps}")
    shown = explorer._simulation
    few = min(shown.n, particles)
    simulation = Simulation(shown.energy, shown.kernel, shown.start, few, shown.spread, shown.seed)
    frames = simulation.advance(steps)
    view = picture.background(explorer._energy, explorer._picture.box, SIZE)
    while True:
        text = _words(explorer, frames)
        content = wrap(_page(explorer, frames, view, text, autoplay), text)
        if (excess := len(content.encode()) - MOST_BYTES) <= 0:
            return content, text
        if len(frames.x) < 3:
            raise ValueError(
                f"{few} particles on this landscape do not fit in {MOST_BYTES} bytes: show fewer"
            )
        keep = int(len(frames.x) * (1 - excess / len(content)))
        frames = frames.first(max(2, min(keep, len(frames.x) - 1)))


def _page(
    explorer: LandscapeExplorer, frames: Frames, view: picture.Background, text: str, autoplay: bool
) -> str:
    header, buffers = messages.encode(frames)
    wide = _wide(view.box)
    points = (frames.x, torch.cat(frames.ghosts), frames.path)  # these in 16 bits, energies as they are
    buffers[:3] = [picture.quantise(part.double().cpu().numpy(), wide) for part in points]
    state = {name: getattr(explorer, name) for name in STATE} | {
        "alt": text,
        "autoplay": autoplay,
        "n": header["n"],
        "layers": list(explorer.layers),
        "followed": 0,
        "view": explorer.view | {name: getattr(view, name) for name in ("size", "counts", "low", "height")},
        "replay": {
            "kind": "frames",
            **header,
            "quantised": wide,
        },
    }
    parts = {"grid": view.grid, "contours": view.contours, "colours": explorer.colours}
    packed = {name: base64.b64encode(part).decode() for name, part in parts.items()}
    data = {"state": state, "parts": packed, "buffers": [base64.b64encode(part).decode() for part in buffers]}
    return PAGE.format(
        title=html.escape(f"{explorer._name}, {words.call(explorer.kernel)}"),
        css=explorer._css,
        esm=explorer._esm,
        data=json.dumps(data, allow_nan=False).replace("</", "<\\/"),
    )


STATE = ("seed", "start", "kernel_name", "step_size", "path_length", "speed", "code", "step_count")

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="color-scheme" content="light dark">
<title>{title}</title><style>{css}</style><body class="lex-page"><div id="here"></div><script type="module">
{esm}
const {{ state, parts, buffers }} = {data};
const unpack = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
for (const name in parts) state[name] = unpack(parts[name]);
state.replay.buffers = buffers.map(unpack);
const heard = {{}};
const model = {{
  get: (name) => state[name],
  set: (name, value) => {{ state[name] = value; (heard["change:" + name] ?? []).forEach((act) => act()); }},
  on: (name, act) => (heard[name] ??= []).push(act),
  off() {{}}, save_changes() {{}}, send() {{}},
}};
const widget = explorer();
widget.initialize({{ model }});
widget.render({{ model, el: document.getElementById("here") }});
</script></body></html>
"""


def _words(explorer: LandscapeExplorer, frames: Frames) -> str:
    acceptance = frames.facts[:, 0].mean().item()
    shown = (explorer._name, explorer._picture, frames.x[-1], explorer.kernel, frames.step, acceptance)
    return f"Animation. At its end: {words.describe(*shown)}"


def _wide(box) -> list[float]:
    """The box with a rim, so that what leaves the picture is not pinned to its edge."""
    x, y = (box[1] - box[0]) / 4, (box[3] - box[2]) / 4
    return [box[0] - x, box[1] + x, box[2] - y, box[3] + y]
