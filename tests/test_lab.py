"""Starting JupyterLab: the port, the words passed on, and one real start."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from course_lib import lab

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def busy():
    """A port that somebody listens to."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


def test_a_busy_port_is_passed_over(busy):
    assert lab.free_port(busy) > busy
    with pytest.raises(ValueError, match="use --port"):
        lab.free_port(busy, tries=1)


@pytest.mark.parametrize(
    ("words", "port", "rest"),
    [
        ([], 8888, []),
        (["--no-browser"], 8888, ["--no-browser"]),
        (["--port", "9000", "--no-browser"], 9000, ["--no-browser"]),
        (["--no-browser", "--port=9000"], 9000, ["--no-browser"]),
        (["--ServerApp.port=9000", "--ip", "::1"], 9000, ["--ip", "::1"]),
    ],
)
def test_the_wanted_port_is_read_from_the_words(words, port, rest):
    assert lab.wanted_port(words) == (port, rest)


@pytest.mark.parametrize("words", [["--port"], ["--port", "x"], ["--port=0"], ["--port=70000"]])
def test_a_port_that_is_none_is_refused(words):
    with pytest.raises(ValueError, match="--port needs a number"):
        lab.wanted_port(words)


def test_the_first_chapter_is_opened_if_it_is_there(tmp_path):
    assert "--LabApp.default_url=/lab" in lab.command(tmp_path, 8888, [])
    (tmp_path / "work/notebooks").mkdir(parents=True)
    (tmp_path / "work/notebooks/00_welcome.ipynb").touch()
    command = lab.command(tmp_path, 8888, ["--no-browser"])
    assert "--LabApp.default_url=/lab/tree/notebooks/00_welcome.ipynb" in command
    assert f"--ServerApp.root_dir={tmp_path / 'work'}" in command
    assert command[-1] == "--no-browser"


@pytest.mark.skipif(sys.platform == "win32", reason="ends the server by a signal")
def test_lab_serves_the_students_copies(tmp_path, busy):
    """`course lab` as a student runs it, in a course of one chapter, with its port taken by somebody else."""
    shutil.copytree(
        ROOT / "course_lib", tmp_path / "course_lib", ignore=shutil.ignore_patterns("__pycache__")
    )
    (tmp_path / "notebooks").mkdir()
    empty = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (tmp_path / "notebooks/00_welcome.ipynb").write_text(json.dumps(empty))
    command = [sys.executable, "-m", "course_lib.cli", "lab", "--no-browser", f"--port={busy}"]
    with open(tmp_path / "log", "w") as log:
        server = subprocess.Popen(
            [*command, "--IdentityProvider.token=secret"],
            cwd=tmp_path,
            env={**os.environ, "HOME": str(tmp_path), "PYTHONPATH": str(tmp_path)},
            stdout=log,
            stderr=log,
        )
    try:
        text, deadline = "", time.time() + 90
        while "is running at" not in text and time.time() < deadline and server.poll() is None:
            time.sleep(0.2)
            text = (tmp_path / "log").read_text()
        assert "is running at" in text, text
        port = int(text.split("so this one takes ")[1].split()[0])
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/contents/notebooks?token=secret") as answer:
            names = [entry["name"] for entry in json.load(answer)["content"]]
    finally:
        server.terminate()
        server.wait(30)
    assert names == ["00_welcome.ipynb"]
    assert f"port {busy} is in use" in text
    assert "/lab/tree/notebooks/00_welcome.ipynb" in text
