"""The environment `.venv`: making it, repairing it, and running things in it.

Two small files say how far it got. `.venv/course-ready.json` is written last and holds a fingerprint of
everything the installation depended on: as long as it matches, a start does nothing.
`.venv/course-installing` exists while an installation is under way: whoever finds it knows that the last
one was interrupted, and starts over (what was downloaded is kept by uv, so that is quick).
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from course_lib.install.machine import look_around
from course_lib.install.plan import UV, Step, make_plan, pip_settings
from course_lib.install.trouble import NO_NETWORK, Trouble, explain

ROOT = Path(__file__).resolve().parents[2]
EXTRAS = {  # what a word needs beyond the base installation
    "test": ("test", "grade"),
    "release": ("grade",),
    "grade": ("grade",),
    "bench": ("bench", "grade"),
}
WHICH = "import json, platform, sys; print(json.dumps([*sys.version_info[:2], platform.machine()]))"
WORKS = "import importlib.util, typer, course_lib; assert importlib.util.find_spec('torch'); print('[]')"


def say(text: str) -> None:
    print(text, flush=True)


class Environment:
    """The folder `.venv` of a course."""

    def __init__(self, root: Path = ROOT) -> None:
        self.root, self.path = root, root / ".venv"
        self.python = self.path / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        self.uv = self.python.with_name("uv.exe" if os.name == "nt" else "uv")
        self.stamp = self.path / "course-ready.json"
        self.marker = self.path / "course-installing"

    def fingerprint(self) -> str:
        """Hash of everything that decides what belongs into the environment, but for the extras."""
        project = self.project()
        lock = (self.root / "constraints.lock").read_text("utf-8")
        parts = [project.get("project"), project["tool"]["course"], lock, str(self.root), UV]
        parts.append(os.environ.get("COURSE_TORCH_BACKEND"))
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def project(self) -> dict[str, Any]:
        return tomllib.loads((self.root / "pyproject.toml").read_text("utf-8"))

    def installed(self) -> dict[str, Any]:
        """What the last complete installation wrote down; empty if there was none."""
        try:
            noted = json.loads(self.stamp.read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return noted if isinstance(noted, dict) else {}

    def ask(self, code: str) -> list[Any] | None:
        """What the environment's Python prints (JSON) for this code, or None if that fails."""
        try:
            done = subprocess.run([self.python, "-c", code], capture_output=True, text=True, cwd=self.root)
            return json.loads(done.stdout) if done.returncode == 0 else None
        except (OSError, ValueError):
            return None

    def ensure(self, extras: Sequence[str]) -> None:
        """Install what is missing; do nothing, and do it fast, when all is there."""
        noted = self.installed()
        wanted = sorted({*extras, *noted.get("extras", [])})
        current = noted.get("fingerprint") == self.fingerprint() and not self.marker.exists()
        if current and noted.get("extras") == wanted and self.works():
            return
        if noted and self.path.exists() and not self.works():
            self.clear("the environment in .venv no longer works")
        elif noted and noted.get("root") != str(self.root):
            self.clear("the folder of the course was moved, and .venv does not move with it")
        elif self.marker.exists():
            self.clear("the last installation was interrupted")
        elif self.path.exists() and self.ask("print('[]')") is None:
            self.clear("the environment in .venv is broken (its Python does not start)")
        try:
            self.install(wanted)
        except Trouble as trouble:  # offline after a `git pull`: what was installed before still serves
            if not (trouble.offline and set(extras) <= set(noted.get("extras", [])) and self.works()):
                raise
            say(f"course: could not bring .venv up to date, so it stays as it was.\n{trouble}\n")
            self.note(noted)

    def works(self) -> bool:
        return self.ask(WORKS) is not None

    def note(self, noted: Mapping[str, object]) -> None:
        """Write down that the environment is complete, and for what."""
        self.stamp.write_text(json.dumps(noted), "utf-8")
        self.marker.unlink()

    def clear(self, reason: str) -> None:
        """Empty `.venv` (which may be a link to a folder elsewhere), saying why."""
        say(f"course: {reason}: making it anew. Your notebooks in work/ are not touched.")
        if Path(sys.prefix).resolve() == self.path.resolve():
            raise Trouble(
                "This is the Python of .venv itself, so it cannot be replaced from here.\n"
                "Leave the environment (`deactivate`) and run the same command with your usual Python."
            )
        try:
            for entry in self.path.iterdir() if self.path.is_dir() else (self.path,):
                shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
        except OSError as error:
            raise Trouble(
                f"{self.path} could not be emptied: {error}\n" + explain("permission denied")
            ) from None

    def install(self, extras: Sequence[str]) -> None:
        """Run every step; on success, and only then, write the fingerprint."""
        version = self.project()["tool"]["course"]["torch"]
        plan = partial(make_plan, version=version, extras=extras, python=str(self.python), uv=str(self.uv))
        machine = look_around()
        plan(machine, settings={})  # if there is no torch for this machine, say so before anything is made
        if not self.python.exists() and importlib.util.find_spec("ensurepip") is None:
            raise Trouble(no_venv_module())
        self.path.mkdir(exist_ok=True)
        self.stamp.unlink(missing_ok=True)
        self.marker.touch()
        say(f"course: installing into {self.path} (a few minutes the first time; Ctrl-C is safe)")
        which, settings = self.prepare()
        machine = replace(machine, python=(which[0], which[1]), arch=which[2])
        for step in plan(machine, settings=settings, backend=os.environ.get("COURSE_TORCH_BACKEND")):
            self.run(step)
        self.note({"fingerprint": self.fingerprint(), "root": str(self.root), "extras": sorted(extras)})

    def prepare(self) -> tuple[list[Any], dict[str, str]]:
        """Make the environment and put uv into it; returns which Python it has, and pip's settings."""
        if not self.python.exists():
            make = (sys.executable, "-m", "venv", str(self.path.resolve()))  # venv refuses a link
            self.run(Step("an environment of its own", make, quiet=True))
        which = self.ask(WHICH)
        if which is None:
            raise Trouble(f"The Python in {self.path} does not start. Remove that folder and try again.")
        pip = (str(self.python), "-m", "pip")
        if self.ask("import pip; print('[]')") is None:
            self.run(Step("pip, which fetches uv", (str(self.python), "-m", "ensurepip"), quiet=True))
        fetch = (*pip, "install", "-q", "--disable-pip-version-check", UV)
        self.run(Step("uv, the installer", fetch, {"PIP_USER": "0"}, quiet=True))  # PIP_USER fails in here
        listing = subprocess.run([*pip, "config", "list"], capture_output=True, text=True, check=True).stdout
        return which, pip_settings(listing)

    def run(self, step: Step) -> None:
        """Show a command and run it; explain a failure."""
        say(f"\ncourse: {step.why}\n  + {readable(step.command, self.root)}")
        if step.quiet:
            status, text = self.capture(step)
            if text:
                say(text)
        else:  # uv draws its progress itself
            status = subprocess.run(
                step.command, cwd=self.root, env={**os.environ, **step.environment}
            ).returncode
            if status:  # what it said went to the terminal, so ask again, without changing anything
                _, text = self.capture(replace(step, command=(*step.command, "--dry-run")))
        if status:
            free = min(shutil.disk_usage(folder).free for folder in (self.root, Path.home()))
            advice = explain(text, free)
            raise Trouble(f"this step failed: {step.why}\n\n{advice}", offline=advice == NO_NETWORK)

    def capture(self, step: Step) -> tuple[int, str]:
        """Exit status and output of a command."""
        environ = {**os.environ, **step.environment}
        done = subprocess.run(
            step.command, cwd=self.root, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        return done.returncode, done.stdout.decode(errors="replace").strip()


def no_venv_module() -> str:
    package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    return (
        "This Python cannot make environments: its module venv (ensurepip) is missing.\n"
        f"On Debian and Ubuntu:  sudo apt install python3-venv   (or {package}),\n"
        "then run the same command again."
    )


def readable(command: Sequence[str], root: Path) -> str:
    """A command as one would type it in the course's folder."""
    here = str(root) + os.sep
    words = [word.removeprefix(here) for word in command]
    return " ".join(f'"{word}"' if set(word) & set(" ;'()<>*") else word for word in words)


def hand_over(command: Sequence[str], environ: Mapping[str, str] = os.environ) -> NoReturn:
    """Become another program: its exit status is ours, and Ctrl-C is its business."""
    sys.stdout.flush()
    if os.name == "posix":
        os.execve(command[0], list(command), dict(environ))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the child has its own handler, and we must outlive it
    sys.exit(subprocess.run(command, env=dict(environ)).returncode)


def main(words: Sequence[str], usage: str) -> int:
    """`python course.py WORDS`: install what the first word needs, then pass all words to `course`.

    usage: printed where no word or a plea for help is given; it lists the words, since nothing may be
    installed yet that could be asked for them.
    """
    if not words or words[0] in ("-h", "--help", "help"):
        print(usage)
        return 0
    try:
        environment = Environment()
        environment.ensure(EXTRAS.get(words[0], ()))
    except Trouble as trouble:
        print(f"\ncourse: {trouble}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ncourse: interrupted. The same command starts again; downloads are kept.", file=sys.stderr)
        return 130
    except OSError as error:
        print(f"\ncourse: {error}\n{explain(str(error))}", file=sys.stderr)
        return 1
    hand_over([str(environment.python), "-P", "-m", "course_lib.cli", *words])
