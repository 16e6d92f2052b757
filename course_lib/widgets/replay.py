"""A stored animation: the explorer's own ES module in a page that needs no kernel and no network."""

from __future__ import annotations

import base64
import html
import json
from typing import TYPE_CHECKING

import torch

from course_lib.widgets import messages, picture, settings, words
from course_lib.widgets.simulation import Simulation

if TYPE_CHECKING:
    from course_lib.widgets.landscape import LandscapeExplorer

MOST_BYTES = 200_000
SIZE = 96  # grid points along each side: enough for a picture that is drawn with interpolation


def bundle(explorer: LandscapeExplorer, steps: int, particles: int, autoplay: bool) -> dict[str, str]:
    """The page in a frame of its own, and the same in words; both as a raw mime bundle."""
    text = _words(explorer)
    frame = (
        f'<iframe title="{html.escape(text)}" sandbox="allow-scripts" srcdoc="{{}}" loading="lazy" '
        'style="width: 100%; max-width: 940px; height: 660px; border: 0"></iframe>'
    )
    content = _fit(explorer, steps, particles, autoplay, lambda page: frame.replace("{}", _quoted(page)))
    return {"text/plain": text, "text/html": content}


def page(explorer: LandscapeExplorer, steps: int, particles: int, autoplay: bool) -> str:
    """The animation as one HTML page of at most 200 kB."""
    return _fit(explorer, steps, particles, autoplay, lambda page: page)


def _quoted(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;")


def _fit(explorer, steps: int, particles: int, autoplay: bool, wrap) -> str:
    """As many moves as fit; ValueError where not even two do."""
    settings.check_n(particles)
    if steps < 1:
        raise ValueError(f"a replay needs at least one move, but steps is {steps}")
    while True:
        content = wrap(_page(explorer, steps, particles, autoplay))
        if (excess := len(content.encode()) - MOST_BYTES) <= 0:
            return content
        if steps < 3:
            raise ValueError(f"{particles} particles do not fit in a replay of 200 kB: show fewer")
        steps = min(steps - 1, max(2, int(steps * (1 - excess / len(content)))))


def _page(explorer: LandscapeExplorer, steps: int, particles: int, autoplay: bool) -> str:
    shown = explorer._simulation
    simulation = Simulation(
        shown.energy, shown.kernel, shown.start, min(shown.n, particles), shown.spread, shown.seed
    )
    frames = simulation.advance(steps)
    view = picture.background(explorer._energy, explorer._picture.box, SIZE)
    header, buffers = messages.encode(frames)
    wide = _wide(view.box)
    points = (frames.x, torch.cat(frames.ghosts), frames.path)  # these in 16 bits, energies as they are
    buffers[:3] = [picture.quantise(part.double().cpu().numpy(), wide) for part in points]
    state = {name: getattr(explorer, name) for name in STATE} | {
        "alt": _words(explorer),
        "autoplay": autoplay,
        "n": simulation.n,
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


def _words(explorer: LandscapeExplorer) -> str:
    return f"Animation. {explorer.alt}"


def _wide(box) -> list[float]:
    """The box with a rim, so that what leaves the picture is not pinned to its edge."""
    x, y = (box[1] - box[0]) / 4, (box[3] - box[2]) / 4
    return [box[0] - x, box[1] + x, box[2] - y, box[3] + y]
