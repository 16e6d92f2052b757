"""What can go wrong while installing, and what to do about it."""

from __future__ import annotations

import re

NO_NETWORK = """There is no way to the package index.
Check the network (and the proxy, if you are behind one: set HTTPS_PROXY), then run the same command again.
What was already downloaded is kept. Without PyPI: set PIP_INDEX_URL to the mirror you use."""

NO_SPACE = """The disk is full.
The course needs about 2 GB (10 GB with the CUDA build of torch) for .venv and for the download cache.
Free some space, then run the same command again. `uv cache clean` or `pip cache purge` empties old caches."""

CERTIFICATE = """The certificate of the package index is not trusted here.
If your institution uses its own certificates, set PIP_CERT to their file and run the same command again."""

NO_WHEEL = """One package has no build for this Python or this system (the lines above name it).
The course is tested with Python 3.11 to 3.13 on 64-bit Linux, Windows and Apple-silicon macOS.
Start it with one of these (for example `python3.12 course.py lab`), or use a hosted machine (README)."""

NO_BUILD = """There is no build of torch for the driver of this machine's GPU, or for the backend asked for.
Update the driver, or take the CPU build, which is all that the course needs: set COURSE_TORCH_BACKEND=cpu
and run the same command again."""

NO_PERMISSION = """A file could not be written.
On Windows: close JupyterLab and every terminal that uses .venv. Elsewhere: check who owns the folder
(`ls -ld .venv`); it must be yours. Then run the same command again."""

DLL = """torch is installed but its libraries do not load.
On Windows this is nearly always the missing "Microsoft Visual C++ Redistributable (x64)": install it from
https://aka.ms/vs/17/release/vc_redist.x64.exe, then run the same command again."""

# Looked for in this order: a full disk or a missing wheel is often reported inside a failed download.
SIGNS = (
    (r"no space left|os error 28\b|errno 28\b|disk quota exceeded|os error 112\b|not enough space", NO_SPACE),
    (r"certificate|UnknownIssuer|SSLError|CERTIFICATE_VERIFY_FAILED", CERTIFICATE),
    (r"DLL load failed|WinError 126|WinError 1114|cannot open shared object file", DLL),
    (r"no wheels? with a matching|no matching distribution.*wheel|is not a supported wheel", NO_WHEEL),
    (r"no solution found[\s\S]*torch==|there is no version of torch", NO_BUILD),
    (
        r"dns error|failed to lookup|name resolution|getaddrinfo|could not connect|connection refused"
        r"|timed out|tcp connect|network is unreachable|newconnectionerror|failed to fetch"
        r"|error sending request|connection reset|os error 101\b|network connectivity is disabled",
        NO_NETWORK,
    ),
    (
        r"permission denied|access is denied|os error 13\b|os error 5\b|errno 13\b|read-only file system",
        NO_PERMISSION,
    ),
)


class Trouble(Exception):
    """Something that the reader can act on; its message is all that is shown.

    `offline`: it only failed for want of a network, before anything was changed.
    """

    def __init__(self, message: str, *, offline: bool = False) -> None:
        super().__init__(message)
        self.offline = offline


def explain(output: str, free: float = float("inf")) -> str:
    """What to do about a step that failed with this output, and with `free` bytes left on the disk."""
    for sign, advice in SIGNS:
        if re.search(sign, output, re.IGNORECASE):
            return advice
    if free < 2**30:
        return f"Only {free / 2**20:.0f} MB are left on the disk.\n" + NO_SPACE.split("\n", 1)[1]
    return (
        "The lines above say what went wrong. Run the same command again: it starts over, and keeps what\n"
        "was downloaded. If it fails in the same way, close all programs that use .venv (on Windows they\n"
        "lock its files), remove that folder and try once more, or report it with these lines."
    )
