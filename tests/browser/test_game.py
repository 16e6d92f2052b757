"""The GAN explorer where students meet it: both players, one alone, layers, choosers, both themes."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from course_lib.widgets import GameExplorer
from tests.browser.lab import Lab, errors, new_page, open_notebook, run_all, write_notebook
from tests.browser.test_panels import quiet, told, until

pytestmark = pytest.mark.browser
BEGIN = "from course_lib.notebook import begin\nbegin('08')\nfrom course_lib.widgets import GameExplorer"


def picture(explorer) -> str:
    return explorer.locator("canvas").evaluate("(canvas) => canvas.toDataURL()")


def hand(page: Page) -> None:
    """Everything a hand can do to the explorer on this page."""
    explorer = page.locator(".lex.pan").first
    explorer.scroll_into_view_if_needed()
    quiet(page, explorer)
    alt = explorer.locator("svg[aria-label]").first
    words, turns = alt.get_attribute("aria-label"), told(explorer, "turns")

    explorer.locator("[data-act=play]").click()
    until(page, explorer, "session.header.turns > argument", turns + 5)
    explorer.locator("[data-act=play]").click()
    quiet(page, explorer)
    assert alt.get_attribute("aria-label") != words, "the alt text does not follow"

    turns = told(explorer, "turns")
    explorer.locator("[data-act=only_critic]").click()
    until(page, explorer, "session.header.turns === argument", turns + 10)
    page.keyboard.press("g")
    until(page, explorer, "session.header.turns === argument", turns + 20)
    page.keyboard.press(".")
    until(page, explorer, "session.header.turns === argument", turns + 21)
    quiet(page, explorer)
    for layer in ("map", "warp", "pulls", "real", "fake"):
        button, before = explorer.locator(f"[data-layer={layer}]"), picture(explorer)
        button.click()
        assert button.get_attribute("aria-pressed") == "false" and picture(explorer) != before, layer
        button.click()
        assert button.get_attribute("aria-pressed") == "true" and picture(explorer) == before, layer

    explorer.locator("[data-set=objective]").select_option("Wasserstein")
    until(page, explorer, "session.header.settings.objective === 'Wasserstein'")
    assert told(explorer, "turns") == turns + 21, "another objective goes on with the same players"
    rate = told(explorer, "settings.lr_d")
    explorer.locator("[data-set=lr_d]").focus()
    page.keyboard.press("ArrowRight")
    until(page, explorer, "session.header.settings.lr_d > argument", rate)
    explorer.locator("[data-set=data]").select_option("Swiss roll")
    until(page, explorer, "session.header.settings.data === 'Swiss roll' && !session.header.modes")
    explorer.locator("[data-act=reset]").click()
    until(page, explorer, "session.header.turns === 20")
    quiet(page, explorer)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_explorer_answers_mouse_and_keyboard(window: Browser, lab: Lab, desk: Path, dark: bool):
    write_notebook(desk / "game.ipynb", BEGIN, "GameExplorer(turns=20)")
    page = open_notebook(window, lab, "game.ipynb", dark=dark)
    run_all(page)
    hand(page)
    assert errors(page) == []


def test_a_stored_animation_plays_with_no_kernel(window: Browser, tmp_path: Path):
    file = tmp_path / "replay.html"
    file.write_text(GameExplorer(turns=20).replay_page(4), encoding="utf-8")
    page = new_page(window)
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto(file.as_uri())
    root = page.locator(".lex.pan")
    until(page, root, "session.header.turns > 20")
    assert page.complaints == [] and requests == [file.as_uri()]
