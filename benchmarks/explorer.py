"""Frames per second and drag latency of the explorer in a real JupyterLab: headless Chromium, HMC, L = 10.

python benchmarks/explorer.py [particles ...]      # by default 1000

Frames are counted where they are drawn. The latency of a drag runs from the pointer's move to the frame that
shows the particles at their new start: the round trip to the kernel, its work and the drawing.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from course_lib.parts import browser
from tests.browser.lab import chromium, errors, open_notebook, run_all, server, write_notebook

CELLS = """
from course_lib.notebook import begin
begin("04")
from course_lib.sampling import HMC
from course_lib.widgets import LandscapeExplorer
LandscapeExplorer(kernel=HMC(step_size=0.15, n_leapfrog=10), n={n}, speed=60)
"""
PLAY = """async (seconds) => {
  const player = document.querySelector(".lex").lex;
  player.play(true);
  await new Promise((done) => setTimeout(done, 2000));
  const from = player.history.at(-1).step, drawn = player.drawn, start = performance.now();
  await new Promise((done) => setTimeout(done, seconds * 1000));
  const frames = Math.min(player.history.at(-1).step - from, player.drawn - drawn);
  const rate = frames / (performance.now() - start) * 1000;
  player.play(false);
  await new Promise((done) => setTimeout(done, 1000));
  return [rate, player.rtt];
}"""
DRAG = """async (count) => {
  const canvas = document.querySelector(".lex canvas"), player = document.querySelector(".lex").lex;
  const box = canvas.getBoundingClientRect(), times = [];
  const fire = (type, x, y) => canvas.dispatchEvent(new PointerEvent(type, {
    clientX: box.left + x * box.width, clientY: box.top + y * box.height, bubbles: true, pointerId: 1 }));
  canvas.setPointerCapture = () => {};
  fire("pointerdown", 0.86, 0.5);
  for (let i = 1; i <= count; i++) {
    const before = player.now, start = performance.now();
    fire("pointermove", 0.86 - 0.4 * i / count, 0.5 - 0.1 * i / count);
    while (player.now === before) await new Promise((done) => setTimeout(done, 1));
    times.push(performance.now() - start);
    await new Promise((done) => setTimeout(done, 30));
  }
  fire("pointerup", 0.46, 0.4);
  return times;
}"""


def measure(n: int, path: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "root")
        root.mkdir()
        write_notebook(root / "explorer.ipynb", CELLS.format(n=n))
        with server(root, Path(folder, "home")) as lab, chromium(path) as window:
            page = open_notebook(window, lab, "explorer.ipynb")
            run_all(page)
            page.wait_for_selector(".lex canvas")
            rates, trips = zip(*(page.evaluate(PLAY, 4) for _ in range(3)), strict=True)
            drags = sorted(page.evaluate(DRAG, 40))
            if complaints := errors(page):
                raise RuntimeError(f"the page complains: {complaints}")
    tail = drags[int(0.95 * len(drags))]
    runs = ", ".join(f"{rate:.0f}" for rate in rates)
    print(
        f"{n:5d} particles: {statistics.median(rates):5.1f} frames/s (runs {runs}; "
        f"chunk round trip {statistics.median(trips):.0f} ms); "
        f"a drag is answered in {statistics.median(drags):.0f} ms (95 % {tail:.0f} ms)"
    )


if __name__ == "__main__":
    where, reason = browser()
    if where is None:
        sys.exit(f"needs a Chromium: {reason}")
    for count in map(int, sys.argv[1:] or ["1000"]):
        measure(count, where)
