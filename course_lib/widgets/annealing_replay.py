"""A stored anneal: the explorer's own ES module in a page that needs no kernel and no network."""

from __future__ import annotations

import base64
import html
import json
from typing import TYPE_CHECKING

import numpy as np

from course_lib.widgets import annealing_run

if TYPE_CHECKING:
    from course_lib.widgets.annealing import AnnealingExplorer

MOST_BYTES = 200_000
GRID = 72  # points along each side: enough for a picture that is drawn with interpolation
PLAIN = ("temperatures", "schedule", "step_size", "n_leapfrog", "resample", "n", "seed", "speed", "code")


def bundle(explorer: AnnealingExplorer) -> dict[str, str]:
    """The page in a frame of its own, and the same in words; both as a raw mime bundle."""
    words = f"Animation. {explorer.alt}"

    def frame(content: str) -> str:
        quoted = content.replace("&", "&amp;").replace('"', "&quot;")
        return (
            f'<iframe title="{html.escape(words)}" sandbox="allow-scripts" srcdoc="{quoted}" loading="lazy" '
            'style="width: 100%; max-width: 940px; height: 720px; border: 0"></iframe>'
        )

    return {"text/plain": words, "text/html": _fit(explorer, frame)}


def page(explorer: AnnealingExplorer) -> str:
    """The animation as one HTML page of at most 200 kB."""
    return _fit(explorer, lambda content: content)


def _fit(explorer: AnnealingExplorer, wrap) -> str:
    """As many of the temperatures as fit, the first and the last always among them."""
    shown = explorer.temperatures + 1
    while True:
        content = wrap(_page(explorer, shown))
        if (excess := len(content.encode()) - MOST_BYTES) <= 0:
            return content
        shown = min(shown - 1, int(shown * (1 - excess / len(content))))
        if shown < 2:
            raise ValueError(f"{explorer.n} particles do not fit in a replay of 200 kB: show fewer")


def _page(explorer: AnnealingExplorer, shown: int) -> str:
    rows = np.linspace(0, explorer.temperatures, shown).round().astype(int)
    base, delta = annealing_run.grids(explorer.bridge, tuple(explorer.view["box"]), GRID)
    parts = {
        "grids": base.numpy().tobytes() + delta.numpy().tobytes(),
        "colours": explorer.colours,
        "points": _rows(explorer.points, rows, "<u2", (-1, explorer.n * 2)),
        "shares": _rows(explorer.shares, rows, "<u2", (-1, explorer.n)),
        "curves": np.frombuffer(explorer.curves, "<f4").reshape(6, -1)[:, rows].tobytes(),
    }
    state = {name: getattr(explorer, name) for name in PLAIN} | {
        "alt": f"Animation. {explorer.alt}",
        "at": 0,
        "run": 1,
        "view": explorer.view | {"size": GRID, "steps": rows.tolist(), "stored": True},
    }
    packed = {name: base64.b64encode(part).decode() for name, part in parts.items()}
    data = json.dumps({"state": state, "parts": packed}, allow_nan=False).replace("</", "<\\/")
    title = html.escape(explorer.code)
    return PAGE.format(title=title, css=explorer._css, esm=explorer._esm, data=data)


def _rows(part: bytes, rows: np.ndarray, kind: str, shape: tuple[int, int]) -> bytes:
    return np.frombuffer(part, kind).reshape(shape)[rows].tobytes()


PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="color-scheme" content="light dark">
<title>{title}</title><style>{css}</style><body class="lex-page"><div id="here"></div><script type="module">
{esm}
const {{ state, parts }} = {data};
for (const name in parts) state[name] = Uint8Array.from(atob(parts[name]), (c) => c.charCodeAt(0));
const heard = {{}};
const model = {{
  get: (name) => state[name],
  set: (name, value) => {{ state[name] = value; (heard["change:" + name] ?? []).forEach((act) => act()); }},
  on: (name, act) => (heard[name] ??= []).push(act),
  off() {{}}, save_changes() {{}}, send() {{}},
}};
explorer.render({{ model, el: document.getElementById("here") }});
</script></body></html>
"""
