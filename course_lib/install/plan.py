"""Which commands install the course on a given machine. Pure functions: nothing is run here.

torch comes first and alone, with the build that fits the machine; then the package, with the lock file as
*constraints*: the lock holds for all systems at once, and installing it as requirements would bring some
18 CUDA packages to a machine without a GPU.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname

from course_lib.install.machine import Machine
from course_lib.install.trouble import Trouble

UV = "uv>=0.8"  # the first with all the options used here


@dataclass(frozen=True)
class Step:
    """One command, why it is run, and what it needs in its environment.

    A quiet step is short: its output is shown when it is done. The others show their progress.
    """

    why: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    quiet: bool = False


def pip_settings(listing: str) -> dict[str, str]:
    """pip's own settings from `pip config list`: `[install]` beats `[global]`, the environment beats both.

    uv reads neither pip's configuration nor its variables, but a mirror, a folder of wheels or a
    certificate that somebody set up for pip is meant for us too.
    """
    ranked: dict[str, tuple[int, str]] = {}
    for line in listing.splitlines():
        found = re.fullmatch(r"(global|install|:env:)\.([\w-]+)=(.+)", line.strip())
        if not found:
            continue
        section, name, value = found.groups()
        rank = ("global", "install", ":env:").index(section)
        if rank >= ranked.get(name, (-1, ""))[0]:
            ranked[name] = (rank, str(ast.literal_eval(value)))
    return {name: value for name, (_, value) in ranked.items()}


def uv_options(settings: Mapping[str, str]) -> list[str]:
    """pip's settings as options of uv."""
    options: list[str] = []
    for name, option in (
        ("index-url", "--default-index"),
        ("extra-index-url", "--index"),
        ("find-links", "--find-links"),
        ("trusted-host", "--allow-insecure-host"),
    ):
        for value in settings.get(name, "").split():
            options += [option, value]
    if settings.get("extra-index-url"):  # pip takes the best version of all indexes, uv the first index
        options += ["--index-strategy", "unsafe-best-match"]
    if settings.get("no-index", "").lower() in ("1", "true", "yes", "on"):
        options.append("--no-index")
    return options


def uv_environment(settings: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """Certificates and proxy of pip, for uv; what is already set for uv wins."""
    wanted = {}
    certificates = settings.get("cert") or environ.get("REQUESTS_CA_BUNDLE") or environ.get("CURL_CA_BUNDLE")
    if certificates:
        wanted["SSL_CERT_DIR" if os.path.isdir(certificates) else "SSL_CERT_FILE"] = certificates
    if settings.get("client-cert"):
        wanted["SSL_CLIENT_CERT"] = settings["client-cert"]
    if settings.get("proxy"):
        wanted["ALL_PROXY"] = settings["proxy"]
    return {name: value for name, value in wanted.items() if name not in environ}


def local_torch(machine: Machine, version: str, settings: Mapping[str, str]) -> str | None:
    """The full version, such as 2.13.0+cpu, of a torch wheel in pip's find-links that fits this machine."""
    tag = f"cp{machine.python[0]}{machine.python[1]}"
    system = {"Linux": "linux", "Windows": "win", "Darwin": "macosx"}.get(machine.system, "?")
    wheel = re.compile(
        rf"torch-({re.escape(version)}(?:\+[\w.]+)?)-{tag}-.*{system}.*{machine.arch.lower()}\.whl"
    )
    found: list[str] = []
    for link in settings.get("find-links", "").split():
        folder = Path(url2pathname(urlparse(link).path) if link.startswith("file:") else link)
        if folder.is_dir():
            found += [m.group(1) for m in map(wheel.fullmatch, os.listdir(folder)) if m]
    cpu = [v for v in found if v.endswith("+cpu")]
    cuda = [v for v in found if "+cu" in v]
    plain = [v for v in found if "+" not in v and machine.system != "Linux"]  # on Linux it is a CUDA build
    choice = (cuda + cpu + plain) if machine.gpu else (cpu + plain)
    return choice[0] if choice else None


def torch_arguments(
    machine: Machine, version: str, settings: Mapping[str, str], backend: str | None = None
) -> list[str]:
    """What to ask uv for, so that torch fits the machine. `backend` is the reader's own choice, if any."""
    if machine.bits < 64:
        raise Trouble(
            "This is a 32-bit Python, and torch needs a 64-bit one. Install it and start again with it."
        )
    if machine.intel_mac and machine.rosetta:
        raise Trouble(
            "This Python is built for Intel Macs (it runs under Rosetta), and there is no torch for those.\n"
            "Install the Apple-silicon Python from https://www.python.org/downloads/macos/ and use that one."
        )
    if machine.intel_mac:
        raise Trouble(
            f"There is no torch {version} for Macs with an Intel processor.\n"
            "Use a hosted machine (the README has links for Binder and Colab), a Linux machine, or conda:\n"
            "`conda env create -f environment.yml` takes the newest torch that there is for this Mac."
        )
    if backend:
        return [f"torch=={version}", "--torch-backend", backend]
    local = local_torch(machine, version, settings)
    if local:
        return [f"torch=={local}"]
    if machine.system == "Darwin":  # PyPI's build is the right one
        return [f"torch=={version}"]
    return [f"torch=={version}", "--torch-backend", "auto" if machine.gpu else "cpu"]


def make_plan(
    machine: Machine,
    version: str,
    extras: Sequence[str],
    settings: Mapping[str, str],
    *,
    python: str,
    uv: str,
    backend: str | None = None,
    environ: Mapping[str, str] = os.environ,
) -> list[Step]:
    """The commands that install the course once `.venv` has uv in it; to be run in the course's folder.

    Args:
        machine: where we are.
        version: the torch release to install, such as "2.13.0".
        extras: optional parts of the package, such as ("test", "grade").
        settings: pip's settings, see `pip_settings`.
        python, uv: the environment's Python, and the uv beside it.
        backend: the reader's choice of torch build (COURSE_TORCH_BACKEND), such as "cpu" or "cu128".
        environ: the environment variables that uv will see anyway.

    Raises:
        Trouble: there is no torch for this machine.
    """
    install = [uv, "pip", "install", "--python", python]
    extra = uv_environment(settings, environ)
    names = ",".join(sorted(extras))
    rest = ["-c", "constraints.lock", *uv_options(settings)]
    torch = torch_arguments(machine, version, settings, backend)
    check = "import torch; torch.ones(2) @ torch.ones(2); print('torch', torch.__version__, 'works')"
    package = f".[{names}]" if names else "."
    gpu = "with" if machine.gpu else "no"
    return [
        Step(f"torch for this machine ({gpu} NVIDIA GPU)", (*install, *torch, *rest), extra),
        Step(f"the course with {names}" if names else "the course", (*install, "-e", package, *rest), extra),
        Step("does torch start?", (python, "-c", check), quiet=True),
    ]
