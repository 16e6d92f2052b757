"""The explorers of chapters 1 to 3 where students meet them: mouse, keyboard, both themes, no kernel."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page

from course_lib.widgets import ImportanceExplorer, QuantileExplorer, RejectionExplorer
from tests.browser.lab import Lab, errors, new_page, open_notebook, run_all, write_notebook

pytestmark = pytest.mark.browser

EXPLORERS = ("QuantileExplorer", "RejectionExplorer", "ImportanceExplorer")
COUNT = {"QuantileExplorer": "draws", "RejectionExplorer": "thrown", "ImportanceExplorer": "draws"}
MOVED = {"QuantileExplorer": "u", "RejectionExplorer": "mean", "ImportanceExplorer": "x1"}


def told(explorer: Locator, path: str):
    """Something of the last answer of the kernel."""
    return explorer.evaluate("(root, path) => path.split('.').reduce((o, k) => o[k], root.pan.header)", path)


def until(page: Page, explorer: Locator, condition: str, argument=None):
    page.wait_for_function(
        f"([root, argument]) => {{ const session = root.pan; return {condition}; }}",
        arg=[explorer.element_handle(), argument],
        timeout=15_000,
    )


def quiet(page: Page, explorer: Locator) -> None:
    until(page, explorer, "session.header && !session.sent && !session.outbox.length && !session.playing")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_explorers_answer_mouse_and_keyboard(window: Browser, lab: Lab, desk: Path, dark: bool):
    write_notebook(
        desk / "panels.ipynb", "from course_lib.widgets import *", *(f"{name}()" for name in EXPLORERS)
    )
    page = open_notebook(window, lab, "panels.ipynb", dark=dark)
    run_all(page)
    for i, name in enumerate(EXPLORERS):
        explorer = page.locator(".lex.pan").nth(i)
        explorer.scroll_into_view_if_needed()
        quiet(page, explorer)
        count, moved = COUNT[name], MOVED[name]
        before, alt = told(explorer, count), explorer.locator("svg[aria-label]").first

        explorer.locator("[data-act=play]").click()
        until(page, explorer, f"session.header.{count} > argument", before)
        explorer.locator("[data-act=play]").click()
        quiet(page, explorer)

        handle = explorer.locator("[data-handle]").first
        was, words = told(explorer, f"settings.{moved}"), alt.get_attribute("aria-label")
        box = handle.bounding_box()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] / 2 + 30, box["y"] + box["height"] / 2 - 30, steps=5)
        page.mouse.up()
        quiet(page, explorer)
        dragged = told(explorer, f"settings.{moved}")
        assert dragged > was, f"{name}: the handle does not follow the mouse"
        assert alt.get_attribute("aria-label") != words, f"{name}: the alt text does not follow"

        handle.focus()
        page.keyboard.press("ArrowRight")
        until(page, explorer, f"session.header.settings.{moved} > argument", dragged)
        page.keyboard.press("r")
        until(page, explorer, f"session.header.{count} === argument", before)
        page.keyboard.press(".")
        until(page, explorer, f"session.header.{count} > argument", before)
        quiet(page, explorer)
        assert told(explorer, f"settings.{moved}") > dragged, f"{name}: reset must keep the settings"

    explorer = page.locator(".lex.pan").nth(1)  # an envelope that cannot hold: the verdict is seen
    explorer.locator("[data-set=target]").select_option("Student t, 2 df")
    explorer.locator("[data-act=tighten]").click()
    page.wait_for_function("root => !root.querySelector('.lex-note').hidden", arg=explorer.element_handle())
    assert "no k is large enough" in explorer.locator(".lex-note").inner_text()
    assert "exceeded" in explorer.locator(".pan-warning").inner_text()
    assert errors(page) == []


@pytest.mark.parametrize("explorer", [QuantileExplorer, RejectionExplorer, ImportanceExplorer])
def test_a_stored_animation_plays_with_no_kernel(window: Browser, tmp_path: Path, explorer):
    file = tmp_path / "replay.html"
    file.write_text(explorer().replay_page(4), encoding="utf-8")
    page = new_page(window)
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto(file.as_uri())
    root = page.locator(".lex.pan")
    for frame in (3, 1):  # to the end, and round
        page.wait_for_function(
            "([root, frame]) => root.pan.shown === frame", arg=[root.element_handle(), frame]
        )
    assert page.complaints == [] and requests == [file.as_uri()]


def test_reduced_motion_starts_nothing(window: Browser, tmp_path: Path):
    file = tmp_path / "replay.html"
    file.write_text(QuantileExplorer().replay_page(4), encoding="utf-8")
    page = window.new_context(reduced_motion="reduce").new_page()
    page.goto(file.as_uri())
    page.wait_for_timeout(800)
    assert page.locator(".lex.pan").evaluate("root => [root.pan.playing, root.pan.shown]") == [False, 0]
