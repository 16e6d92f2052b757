"""What kind of machine this is, as far as the choice of torch depends on it."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Machine:
    """The facts that decide what is installed: `system` and `arch` as `platform` spells them."""

    system: str  # "Linux", "Darwin" or "Windows"
    arch: str  # "x86_64", "arm64", "AMD64", ...
    python: tuple[int, int]  # of the environment
    gpu: bool = False  # an NVIDIA GPU that answers
    rosetta: bool = False  # an Intel Python on an Apple-silicon Mac
    bits: int = 64

    @property
    def intel_mac(self) -> bool:
        return self.system == "Darwin" and self.arch != "arm64"


def look_around() -> Machine:
    """The machine and the Python that run this."""
    system = platform.system()
    return Machine(
        system=system,
        arch=platform.machine(),
        python=(sys.version_info.major, sys.version_info.minor),
        gpu=system != "Darwin" and _answers("nvidia-smi", "-L", saying="GPU"),
        rosetta=system == "Darwin" and _answers("sysctl", "-n", "sysctl.proc_translated", saying="1"),
        bits=64 if sys.maxsize > 2**32 else 32,
    )


def _answers(program: str, *words: str, saying: str) -> bool:
    """Whether the program is there, succeeds and says this word. A driver that hangs counts as no."""
    found = shutil.which(program)
    if found is None:
        return False
    try:
        done = subprocess.run([found, *words], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and saying in done.stdout
