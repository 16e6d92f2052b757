"""The lock file `constraints.lock`: one tested version of every package, for all systems at once.

It is used as constraints (`-c`) only, and torch's build is chosen before it is read: so it has no local
versions (`+cpu`), and none of the GPU packages, which must follow the build of torch that a machine has.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
NAME = "constraints.lock"
FOLLOW_TORCH = ("nvidia-", "cuda-", "triton")
HEADER = """\
# The tested version of every package, for all systems and extras. Use it as constraints only:
#     pip install -e . -c constraints.lock
# Made by `python course.py lock` from pyproject.toml; not edited by hand.
"""


def read(root: Path = ROOT) -> list[Requirement]:
    """The entries of the lock file, markers included."""
    from packaging.requirements import Requirement

    lines = (root / NAME).read_text("utf-8").splitlines()
    return [Requirement(line) for line in lines if line.strip() and not line.startswith("#")]


def pinned_torch(root: Path = ROOT) -> str:
    """The release of torch that this release of the course is tested with."""
    return str(tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["tool"]["course"]["torch"])


def tidy(resolved: str) -> str:
    """The lock file's text from uv's resolution: without the packages that follow the build of torch."""
    lines = [line for line in resolved.splitlines() if line and not line.startswith("#")]
    return HEADER + "".join(f"{line}\n" for line in lines if not line.startswith(FOLLOW_TORCH))


def write(root: Path = ROOT, *, upgrade: bool = False) -> int:
    """Resolve pyproject.toml anew; without `upgrade`, versions that still fit are kept.

    Returns:
        the number of locked packages.

    Raises:
        ValueError: the requirements cannot be met together (uv's own words are in the message).
    """
    with tempfile.TemporaryDirectory() as folder:
        pin = Path(folder, "torch.txt")
        pin.write_text(f"torch=={pinned_torch(root)}\n", "utf-8")
        out = Path(folder, "out.lock")
        if not upgrade and (root / NAME).exists():
            out.write_text((root / NAME).read_text("utf-8"), "utf-8")  # uv prefers what the output file holds
        command = [sys.executable, "-m", "uv", "pip", "compile", "--universal", "--all-extras", "--quiet"]
        command += ["--python-version", "3.11", "--no-annotate", "--no-header", "--constraint", str(pin)]
        done = subprocess.run(
            [*command, "--output-file", str(out), "pyproject.toml"], cwd=root, capture_output=True, text=True
        )
        if done.returncode:
            raise ValueError(f"no set of versions fits pyproject.toml:\n{done.stderr}")
        text = tidy(out.read_text("utf-8"))
    (root / NAME).write_text(text, "utf-8", newline="\n")
    return len(text.splitlines()) - len(HEADER.splitlines())
