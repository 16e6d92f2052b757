"""One JupyterLab and one Chromium for all browser tests."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser.lab import Lab, chromium, server
from tests.conftest import require

ROOT = Path(__file__).resolve().parents[2]
WITH_EXPLORER = sorted(
    path.name
    for path in (ROOT / "notebooks").glob("*.ipynb")
    if "LandscapeExplorer(" in path.read_text(encoding="utf-8")
)


@pytest.fixture(scope="session")
def window() -> Iterator[Browser]:
    with chromium(require("browser")) as browser:
        yield browser


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that JupyterLab serves: copies of the chapters, so that the checkout stays as it is."""
    folder = tmp_path_factory.mktemp("desk")
    for name in WITH_EXPLORER:
        shutil.copy(ROOT / "notebooks" / name, folder / name)
    return folder


@pytest.fixture(scope="session")
def lab(desk: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    require("browser")
    with server(desk, tmp_path_factory.mktemp("jupyter")) as running:
        yield running
