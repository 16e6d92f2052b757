"""The explorer where students meet it: real JupyterLab, real Chromium, a hand on mouse and keyboard."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from course_lib.widgets import LandscapeExplorer
from tests.browser.conftest import WITH_EXPLORER
from tests.browser.lab import Lab, errors, new_page, open_notebook, run_all, write_notebook

pytestmark = pytest.mark.browser

BEGIN = "from course_lib.notebook import begin\nbegin('04')\nfrom course_lib.widgets import LandscapeExplorer"
WALL = """import torch
def walled(x):
    return torch.where(x[:, 0] > 2, torch.inf, x.square().sum(1) / 2)
LandscapeExplorer(walled, start=(0, 0), box=(-4, 4, -4, 4), n=20)"""


def read(explorer: Locator, name: str):
    """A trait of the explorer as the browser has it."""
    return explorer.evaluate("(root, name) => root.lex.model.get(name)", name)


def until(page: Page, explorer: Locator, condition: str, argument=None, seconds: float = 15):
    """Wait until a JavaScript condition on the explorer's player holds."""
    page.wait_for_function(
        f"([root, argument]) => {{ const player = root.lex; return {condition}; }}",
        arg=[explorer.element_handle(), argument],
        timeout=seconds * 1000,
    )


def quiet(page: Page, explorer: Locator) -> None:
    until(page, explorer, "!player.sent && !player.outbox.length && !player.playing")
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def picture(explorer: Locator) -> str:
    return explorer.locator("canvas").evaluate("(canvas) => canvas.toDataURL()")


def place(explorer: Locator, x: float, y: float) -> tuple[float, float]:
    """Where the point (x, y) of the landscape is on the screen."""
    a, b, c, d = read(explorer, "view")["box"]
    box = explorer.locator("canvas").bounding_box()
    return box["x"] + (x - a) / (b - a) * box["width"], box["y"] + (d - y) / (d - c) * box["height"]


@pytest.mark.parametrize("name", WITH_EXPLORER)
def test_a_chapter_runs_and_its_explorer_answers_the_hand(window: Browser, lab: Lab, name: str):
    page = open_notebook(window, lab, name)
    run_all(page, 180)
    explorer = page.locator(".lex").first
    explorer.scroll_into_view_if_needed()
    quiet(page, explorer)
    assert errors(page) == []

    slider = explorer.locator("[data-set=step_size]")
    before, size, code = picture(explorer), read(explorer, "step_size"), read(explorer, "code")
    slider.focus()
    for _ in range(60):
        page.keyboard.press("ArrowRight")
    until(page, explorer, "player.model.get('step_size') > argument", size)
    quiet(page, explorer)
    assert (
        explorer.locator("[data-out=step_size]")
        .text_content()
        .startswith(f"{read(explorer, 'step_size'):.2g}"[:3])
    )
    assert picture(explorer) != before  # the next proposal bends
    assert read(explorer, "code") != code  # and the kernel answered

    start, before = read(explorer, "start"), picture(explorer)
    a, b, c, d = read(explorer, "view")["box"]
    page.mouse.move(*place(explorer, *start))
    page.mouse.down()
    for part in (0.3, 0.6, 1.0):
        page.mouse.move(*place(explorer, start[0] - part * (b - a) / 5, start[1] + part * (d - c) / 10))
    page.mouse.up()
    wished = pytest.approx([start[0] - (b - a) / 5, start[1] + (d - c) / 10], abs=(b - a) / 100)
    until(page, explorer, "Math.abs(player.model.get('start')[0] - argument) > 0.1", start[0])
    quiet(page, explorer)
    assert read(explorer, "start") == wished and read(explorer, "step_count") == 0
    assert picture(explorer) != before
    focus = explorer.evaluate("(root) => [...root.lex.frame.x.slice(0, 2)]")
    assert focus == pytest.approx(read(explorer, "start"), abs=1e-5)  # the particles came along
    assert errors(page) == []
    page.context.close()


CONTRAST = """([root, selectors]) => {
  const channels = (text) => (text.match(/[\\d.]+/g) ?? []).map(Number);
  const linear = (v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b); // WCAG 2
  const ground = (node) => {
    for (; node; node = node.parentElement) {
      const [r, g, b, a = 1] = channels(getComputedStyle(node).backgroundColor);
      if (a > 0.5) return [r, g, b];
    }
    return [255, 255, 255];
  };
  return Object.fromEntries(selectors.map((selector) => {
    const node = root.querySelector(selector), style = getComputedStyle(node);
    const drawn = node instanceof SVGElement;
    const ink = light(channels(drawn ? style.fill : style.color)), paper = light(ground(drawn ? root : node));
    return [selector, (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05)];
  }));
}"""
START = """(root) => { // the colours of the canvas in a diamond of 6 px around the start
  const canvas = root.querySelector("canvas"), { model } = root.lex, [a, b, c, d] = model.get("view").box;
  const [x, y] = model.get("start"), g = canvas.getContext("2d"), r = canvas.width / canvas.clientWidth;
  const at = [(x - a) / (b - a) * canvas.width, (d - y) / (d - c) * canvas.height];
  const offsets = Array.from({ length: 13 * 13 }, (_, k) => [k % 13 - 6, Math.floor(k / 13) - 6]);
  return offsets.filter(([i, j]) => Math.abs(i) + Math.abs(j) <= 6).map(([i, j]) =>
    [...g.getImageData(Math.round(at[0] + i * r), Math.round(at[1] + j * r), 1, 1).data.slice(0, 3)]);
}"""
NAMES = """(root, [h, u]) => { // where "H" and "U" stand when the curves of a proposal end at h and u
  const [view] = root.lex.views, frame = view.player.frame, path = (end) => Float32Array.of(0, 1, end);
  view.energy.show({ ...frame, at: undefined, h: path(h), u: path(u) });
  const y = ["h", "u"].map((name) => Number(root.querySelector(`.lex-name-${name}`).getAttribute("y")));
  view.energy.show(frame);
  return y;
}"""
WRITTEN = [
    ".lex-status",
    ".lex-title",
    ".lex-reading",
    ".lex-label",
    ".lex-axis text",
    ".lex-name-h",
    ".lex-name-u",
]
WRITTEN += [".lex-legend span", "[data-layer]", "[data-act=step]", "[data-out=n]", "select", "[type=number]"]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_everything_can_be_read_in_the_light_and_in_the_dark(
    window: Browser, lab: Lab, desk: Path, dark: bool
):
    write_notebook(desk / "theme.ipynb", BEGIN, "LandscapeExplorer()")
    page = open_notebook(window, lab, "theme.ipynb", dark=dark)
    run_all(page)
    explorer = page.locator(".lex")
    quiet(page, explorer)
    expect(page.locator("body")).to_have_attribute("data-jp-theme-light", "false" if dark else "true")
    contrast = page.evaluate(CONTRAST, [explorer.element_handle(), WRITTEN])
    assert min(contrast.values()) >= 4.5, contrast
    colours = explorer.locator("canvas").evaluate(
        "(canvas) => new Set(new Uint32Array(canvas.getContext('2d')"
        ".getImageData(0, 0, canvas.width, canvas.height).data.buffer)).size"
    )
    assert colours > 500  # a heat map, not an empty canvas
    rgb = explorer.evaluate(START)  # cloud, path and followed particle lie there too: it is on top
    assert rgb == [[0xF0, 0xE4, 0x42]] * len(rgb), rgb
    for h, u in ((-4, -4), (0, -60), (60, -3)):  # the ends of the curves, together and at both rims
        above, below = explorer.evaluate(NAMES, [h, u])
        assert below - above >= 12 and above > 20 and below < 160
    words = read(explorer, "alt")
    expect(explorer.locator("canvas")).to_have_attribute("aria-label", words)
    assert (
        "in 1 of 8 valleys" in words and "in 1 of 8 valleys" in explorer.locator(".lex-status").text_content()
    )
    assert errors(page) == []
    page.context.close()


def test_buttons_keys_and_two_views_of_one_explorer(window: Browser, lab: Lab, desk: Path):
    write_notebook(desk / "hands.ipynb", BEGIN, "e = LandscapeExplorer(speed=60)\ne", "e", WALL)
    page = open_notebook(window, lab, "hands.ipynb", height=2600)
    run_all(page)
    explorer, twin, walled = (page.locator(".lex").nth(i) for i in range(3))
    quiet(page, explorer)
    canvas, status = explorer.locator("canvas"), explorer.locator(".lex-status")
    cells = page.locator(".jp-Cell").count()

    canvas.focus()
    page.keyboard.press(".")
    expect(status).to_contain_text("move 61")
    expect(twin.locator(".lex-status")).to_contain_text("move 61")
    assert picture(twin) == picture(explorer)
    for at in (1, 2, 3):  # leapfrog by leapfrog
        page.keyboard.press(",")
        expect(explorer.locator(".lex-reading").first).to_contain_text(f"at t = {at}")
    page.keyboard.press(".")
    expect(status).to_contain_text("move 62")

    page.keyboard.press(" ")
    until(page, explorer, "player.playing && player.history.at(-1).step > 150")
    page.keyboard.press(" ")
    quiet(page, explorer)
    assert read(explorer, "step_count") >= 150  # the saved state caught up
    explorer.locator("[data-set=scrub]").fill("20")
    expect(explorer.locator(".lex-back")).to_contain_text("looking back: move 21")
    canvas.focus()
    page.keyboard.press("]")
    expect(explorer.locator(".lex-back")).to_contain_text("move 22")

    page.keyboard.press("r")
    expect(status).to_contain_text("move 0")
    x = explorer.evaluate("(root) => [...root.lex.frame.x]")
    for key in ("ArrowLeft", "ArrowUp", "d", "d", "a", "b", "x"):  # commands of JupyterLab, but not here
        page.keyboard.press(key)
    quiet(page, explorer)
    assert page.locator(".jp-Cell").count() == cells
    assert read(explorer, "start") == pytest.approx([4.0 - 11.2 / 40, 11.2 / 40], abs=0.02)
    expect(status).to_contain_text("100 particles")  # d dropped 20, twice
    page.keyboard.press("r")
    expect(status).to_contain_text("60 particles")
    assert len(explorer.evaluate("(root) => [...root.lex.frame.x]")) == len(x)

    for layer in ("heat", "contours", "trails", "path", "rejected"):
        explorer.locator(f"[data-layer={layer}]").click()
        expect(explorer.locator(f"[data-layer={layer}]")).to_have_attribute("aria-pressed", "false")
    assert read(twin, "layers") == []
    explorer.locator("select").select_option("Random walk")
    expect(explorer.locator("[data-set=path_length]")).to_be_disabled()
    explorer.locator("[data-act=copy]").click()
    expect(explorer.locator(".lex-code code")).to_contain_text("kernel=RandomWalk(step_size=")

    page.mouse.move(*place(walled, 0, 0))
    page.mouse.down()
    page.mouse.move(*place(walled, 3, 0), steps=2)
    page.mouse.up()
    expect(walled.locator(".lex-note.lex-error")).to_contain_text("start where the density is positive")
    assert page.complaints == []
    page.context.close()


@pytest.mark.parametrize("calm", [False, True], ids=["moving", "reduced motion"])
def test_a_replay_plays_with_no_kernel_and_no_network(window: Browser, tmp_path: Path, calm: bool):
    file = tmp_path / "replay.html"
    file.write_text(LandscapeExplorer(steps=0, speed=30).replay_page(60), encoding="utf-8")
    page = new_page(window, width=900, height=700)
    page.emulate_media(reduced_motion="reduce" if calm else "no-preference")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    explorer = page.locator(".lex")
    expect(explorer.locator(".lex-status")).to_contain_text("60 particles")
    if calm:
        assert explorer.evaluate("(root) => root.lex.playing") is False
        explorer.locator("[data-act=play]").click()
    first = picture(explorer)
    until(page, explorer, "player.playing && player.cursor % 60 > 30")
    assert picture(explorer) != first
    explorer.locator("[data-act=play]").click()
    explorer.locator("[data-set=scrub]").fill("9")
    expect(explorer.locator("[data-out=scrub]")).to_have_text("move 10")
    explorer.locator("[data-act=step]").click()
    expect(explorer.locator("[data-out=scrub]")).to_have_text("move 11")
    expect(explorer.locator(".lex-reading").first).to_have_text(re.compile(r"ΔH .*(accepted|rejected)"))
    expect(explorer.locator("[data-set=step_size]")).to_be_disabled()
    assert asked == [file.as_uri()] and page.complaints == []
    page.context.close()
