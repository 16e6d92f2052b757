"""Driving a real JupyterLab in Chromium: a server of our own, a page, a notebook that is run.

    with server(folder, home) as lab, chromium(path) as browser:
        page = open_notebook(browser, lab, "04_langevin_and_hmc.ipynb", dark=True)
        run_all(page)
        assert not errors(page)

Everything is on this machine; the server has its own settings below `home` and is ended by its process id.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from playwright.sync_api import Browser, Page, sync_playwright

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


class Lab(NamedTuple):
    url: str
    token: str


@contextlib.contextmanager
def server(root: Path, home: Path, seconds: float = 60) -> Iterator[Lab]:
    """A JupyterLab that serves `root`, with all of its own files below `home`."""
    settings = {
        "@jupyterlab/apputils-extension:notification": {
            "fetchNews": "false",
            "checkForUpdates": False,
            "doNotDisturbMode": True,
        },
        # cells outside the window are drawn as well, so that they can be found in the page
        "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"},
        "@jupyterlab/docmanager-extension:plugin": {"autosave": False},
    }
    places = {
        "JUPYTERLAB_SETTINGS_DIR": "user",
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_RUNTIME_DIR": "runtime",
    }
    places |= {
        "IPYTHONDIR": "ipython",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "MPLCONFIGDIR": "matplotlib",
    }
    for place in [*places.values(), "app"]:
        (home / place).mkdir(parents=True, exist_ok=True)
    (home / "app" / "overrides.json").write_text(json.dumps(settings))
    port, token = _free_port(), secrets.token_hex(16)
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1"]
    command += [f"--port={port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={token}"]
    command += [f"--ServerApp.root_dir={root}", f"--LabApp.app_settings_dir={home / 'app'}"]
    environment = os.environ | {name: str(home / place) for name, place in places.items()}
    log = (home / "lab.log").open("w")
    process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
    lab = Lab(f"http://127.0.0.1:{port}", token)
    try:
        _wait_until_up(lab, process, home / "lab.log", seconds)
        yield lab
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        log.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_until_up(lab: Lab, process: subprocess.Popen, log: Path, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(urllib.error.URLError, OSError):
            urllib.request.urlopen(f"{lab.url}/api/status?token={lab.token}", timeout=2).close()
            return
        time.sleep(0.2)
    raise RuntimeError(f"JupyterLab did not come up within {seconds} s:\n{log.read_text()[-2000:]}")


@contextlib.contextmanager
def chromium(path: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS, headless=True)
        try:
            yield browser
        finally:
            browser.close()


def new_page(browser: Browser, *, dark: bool = False, width: int = 1280, height: int = 1500) -> Page:
    """A page that keeps what goes wrong in it in `page.complaints`."""
    scheme = "dark" if dark else "light"
    page = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme).new_page()
    page.complaints = []
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    return page


def open_notebook(browser: Browser, lab: Lab, name: str, *, dark: bool = False, **size: int) -> Page:
    """The notebook in a page of its own, its kernel ready."""
    _set_theme(lab, "JupyterLab Dark" if dark else "JupyterLab Light")
    page = new_page(browser, dark=dark, **size)
    page.goto(f"{lab.url}/lab/tree/{name}?token={lab.token}&reset")
    page.wait_for_selector(".jp-NotebookPanel .jp-Cell", timeout=60_000)
    # not the toolbar's idle mark: it says idle before there is a kernel, and "run all" would then be lost
    page.get_by_text(re.compile(r"\(ipykernel\) \| Idle")).wait_for(timeout=60_000)
    return page


def _set_theme(lab: Lab, theme: str) -> None:
    request = urllib.request.Request(
        f"{lab.url}/lab/api/settings/@jupyterlab/apputils-extension:themes?token={lab.token}",
        data=json.dumps({"raw": json.dumps({"theme": theme})}).encode(),
        method="PUT",
    )
    urllib.request.urlopen(request, timeout=10).close()


def run_all(page: Page, seconds: float = 120) -> None:
    """Run all cells and wait until every code cell has its number."""
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name=re.compile("^Run All Cells$")).click()
    page.wait_for_function(
        r"""() => {
          const cells = [...document.querySelectorAll(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-CodeCell")];
          const full = cells.filter((cell) => cell.querySelector(".cm-content")?.textContent.trim());
          return full.length && full.every((cell) =>
            /\[\d+\]/.test(cell.querySelector(".jp-InputPrompt")?.textContent ?? ""));
        }""",
        timeout=seconds * 1000,
    )


def errors(page: Page) -> list[str]:
    """What the cells and the page complain about."""
    seen = page.eval_on_selector_all(
        '[data-mime-type="application/vnd.jupyter.stderr"], [data-mime-type="application/vnd.jupyter.error"]',
        "nodes => nodes.map((node) => node.textContent.slice(0, 800))",
    )
    return seen + page.complaints


def write_notebook(path: Path, *cells: str) -> None:
    """A notebook with these code cells."""
    import nbformat

    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_code_cell(source, id=f"cell-{i}") for i, source in enumerate(cells)]
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, path)
