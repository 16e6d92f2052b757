"""Parts of the system that the course can use but does not need: Chromium, the sandbox, a GPU.

`course doctor` reports them and the tests ask for them, so both find them in the same way. Each function
returns `(where, reason)`: what was found, or None and the reason why it cannot be used.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
TRIAL_S = 20  # for a program that does nothing, inside a sandbox


def browser() -> tuple[str | None, str]:
    """A Chromium-like browser that playwright can drive; `COURSE_CHROMIUM` names one that is not on PATH."""
    named = os.environ.get("COURSE_CHROMIUM")
    found = shutil.which(named) if named else next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    if found is None:
        return None, f"COURSE_CHROMIUM={named} is not a program" if named else "no Chromium on PATH"
    if importlib.util.find_spec("playwright") is None:
        return None, "the package playwright is not installed (it comes with the extra `test`)"
    return found, found


def sandbox() -> tuple[str | None, str]:
    """bubblewrap, tried once: many systems have the program but forbid user namespaces."""
    found = shutil.which("bwrap")
    if found is None:
        return None, "bubblewrap (bwrap) is not on PATH"
    trial = [found, "--ro-bind", "/", "/", "--unshare-user", "--unshare-pid", "--unshare-net", "true"]
    try:
        done = subprocess.run(trial, capture_output=True, text=True, timeout=TRIAL_S)
    except subprocess.TimeoutExpired:
        return None, f"bubblewrap made no sandbox within {TRIAL_S} s"
    except OSError as error:
        return None, f"bubblewrap does not start: {error}"
    if done.returncode:
        return None, f"bubblewrap cannot make a sandbox here: {done.stderr.strip()}"
    return found, found


def cuda() -> tuple[str | None, str]:
    """The first CUDA device that torch can use."""
    import torch

    if not torch.cuda.is_available():
        return None, "torch sees no CUDA device"
    return torch.cuda.get_device_name(0), torch.cuda.get_device_name(0)


FIND = {"browser": browser, "sandbox": sandbox, "cuda": cuda}
