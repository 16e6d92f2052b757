"""The annealing explorer in real JupyterLab: every control moved by hand, and its replay without a kernel."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from course_lib.widgets import AnnealingExplorer
from course_lib.widgets.annealing import LIMITS
from tests.browser.lab import Lab, errors, new_page, open_notebook, run_all, write_notebook

pytestmark = pytest.mark.browser

BEGIN = "from course_lib.notebook import begin\nbegin('05')\nfrom course_lib.widgets import AnnealingExplorer"
SHOW = "explorer = AnnealingExplorer(temperatures=12, n=60)\nexplorer"


def read(explorer: Locator, name: str):
    """A trait of the explorer as the browser has it."""
    return explorer.evaluate("(root, name) => root.aex.model.get(name)", name)


def until(page: Page, explorer: Locator, condition: str, seconds: float = 20) -> None:
    """Wait until a JavaScript condition on the explorer's view holds."""
    handle = explorer.element_handle()
    page.wait_for_function(
        f"(root) => {{ const view = root.aex; return {condition}; }}", arg=handle, timeout=1000 * seconds
    )


def picture(explorer: Locator) -> str:
    return explorer.locator("canvas").evaluate("(canvas) => canvas.toDataURL()")


def slide(page: Page, explorer: Locator, name: str, key: str) -> None:
    """To the end of a slider by keyboard, and wait until the kernel has annealed with it."""
    slider = explorer.locator(f"[data-set={name}]")
    before = read(explorer, name)
    slider.focus()
    page.keyboard.press(key)
    assert read(explorer, name) != before
    answered(page, explorer)


def answered(page: Page, explorer: Locator) -> None:
    """Until the run that is drawn has the particles and temperatures that the controls show."""
    page.wait_for_timeout(400)
    until(
        page,
        explorer,
        "view.run.n === view.model.get('n') && view.run.last === view.model.get('temperatures')",
    )


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_control_answers(window: Browser, lab: Lab, desk: Path, dark: bool):
    write_notebook(desk / "annealing.ipynb", BEGIN, SHOW)
    page = open_notebook(window, lab, "annealing.ipynb", dark=dark)
    run_all(page)
    explorer = page.locator(".aex")
    explorer.scroll_into_view_if_needed()
    until(page, explorer, "view.size > 0")
    assert errors(page) == []
    first, label = picture(explorer), explorer.locator("canvas").get_attribute("aria-label")
    assert "12 of 12" in label and "truth" in label and "60 particles" in label

    slide(page, explorer, "n_leapfrog", "Home")  # the cheap one first: the kernel has many runs to make
    for name in ("step_size", "n", "temperatures"):
        for key, end in (("Home", 0), ("End", 1)):
            slide(page, explorer, name, key)
            assert read(explorer, name) == LIMITS[name][end]
    runs = read(explorer, "run")
    explorer.locator("select").select_option("geometric")
    until(page, explorer, f"view.model.get('run') > {runs} && view.run.betas[1] < 0.01")
    explorer.get_by_role("checkbox").check()
    until(page, explorer, "Number.isNaN(view.run.error[0])")
    runs, before = read(explorer, "run"), picture(explorer)
    explorer.get_by_role("button", name="another seed").click()
    until(page, explorer, f"view.model.get('run') > {runs}")
    assert read(explorer, "seed") == 1 and picture(explorer) not in (before, first)
    assert errors(page) == []


def test_time_and_keyboard(window: Browser, lab: Lab, desk: Path):
    write_notebook(desk / "annealing.ipynb", BEGIN, SHOW)
    page = open_notebook(window, lab, "annealing.ipynb")
    run_all(page)
    explorer = page.locator(".aex")
    canvas = explorer.locator("canvas")
    canvas.scroll_into_view_if_needed()
    canvas.focus()
    for key, at in [
        ("Home", 0),
        (".", 1),
        ("ArrowRight", 2),
        (",", 1),
        ("ArrowLeft", 0),
        ("End", 12),
        ("r", 0),
    ]:
        page.keyboard.press(key)
        assert read(explorer, "at") == at
    assert "0 of 12" in canvas.get_attribute("aria-label")
    page.keyboard.press(" ")
    until(page, explorer, "view.playing && view.at > 2")
    until(page, explorer, "!view.playing && view.at === 12")  # and stops at the end
    scrub = explorer.locator("[data-set=at]")
    scrub.focus()
    page.keyboard.press("Home")
    expect(explorer.locator("[data-out=at]")).to_contain_text("t = 0 of 12")
    box = explorer.locator(".lex-charts svg").nth(1).bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.up()
    assert 4 <= read(explorer, "at") <= 7  # a press on a chart goes there
    assert page.locator(".jp-CodeCell").count() == 2  # JupyterLab took none of the keys
    assert errors(page) == []


def test_the_replay_plays_without_a_kernel(window: Browser, tmp_path: Path):
    stored = tmp_path / "replay.html"
    stored.write_text(AnnealingExplorer(temperatures=12, n=60).replay_page(), encoding="utf-8")
    page = new_page(window)
    page.goto(stored.as_uri())
    explorer = page.locator(".aex")
    until(page, explorer, "view.at === 0 && view.size > 0")
    before = picture(explorer)
    explorer.get_by_role("button", name="play", exact=True).click()
    until(page, explorer, "view.at === 12 && !view.playing")
    assert picture(explorer) != before
    assert explorer.locator(".lex-controls input:enabled, .lex-controls select:enabled").count() == 0
    assert page.complaints == []
