"""Starting JupyterLab on the student's own copies."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

WELCOME = "notebooks/00_welcome.ipynb"


def free_port(first: int, tries: int = 50) -> int:
    """The first port from `first` on that nobody listens to.

    Raises:
        ValueError: none of them is free.
    """
    for port in range(first, min(first + tries, 65536)):
        with socket.socket() as probe:
            if sys.platform != "win32":  # as the server does: a port just left is free
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise ValueError(
        f"no free port from {first} to {first + tries - 1}: close other servers, or use --port N"
    )


def wanted_port(words: Sequence[str], default: int = 8888) -> tuple[int, list[str]]:
    """The port asked for with `--port N` or `--port=N`, and the words without it."""
    port, rest, words = default, [], list(words)
    while words:
        word = words.pop(0)
        name, _, value = word.partition("=")
        if name not in ("--port", "--ServerApp.port"):
            rest.append(word)
            continue
        value = value or (words.pop(0) if words else "")
        if not value.isdigit() or not 0 < int(value) < 65536:
            raise ValueError(f"--port needs a number from 1 to 65535, not {value!r}")
        port = int(value)
    return port, rest


def command(root: Path, port: int, words: Sequence[str]) -> list[str]:
    """JupyterLab on `work/`, showing the first chapter; later words win over ours."""
    start = f"/lab/tree/{WELCOME}" if (root / "work" / WELCOME).is_file() else "/lab"
    return [
        sys.executable,
        "-m",
        "jupyterlab",
        f"--ServerApp.root_dir={root / 'work'}",
        f"--LabApp.default_url={start}",
        "--LabApp.news_url=None",  # no question about news before the first chapter
        f"--port={port}",
        *(["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []),  # as in containers
        *words,
    ]
