"""The student's own copies of chapters and exercises, in the git-ignored folder `work/`.

Originals change with every `git pull`; copies belong to the student and are never overwritten. Beside them
`work/.originals.json` remembers what each original looked like when it was copied, so that "the original
has changed" and "you have changed your copy" can be told apart.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ("notebooks", "exercises")
SKIP = {"__pycache__", ".ipynb_checkpoints", ".DS_Store", "ruff.toml"}


@dataclass(frozen=True)
class Copy:
    """One file of the course and the student's copy of it.

    `state` is "new" (copied just now), "same", "edited" (by the student only), "outdated" (the original has
    changed, the copy has not), "both" (both have changed) or "gone" (no longer part of the course).
    """

    name: str  # relative to work/, with forward slashes
    state: str


def digest(path: Path) -> str:
    """Hash of what an author writes: of a notebook only its cells, since running it changes the rest."""
    data = path.read_bytes()
    if path.suffix == ".ipynb":
        try:
            cells = json.loads(data)["cells"]
            sources = [(cell["cell_type"], "".join(cell["source"])) for cell in cells]
            data = json.dumps(sources).encode()
        except (ValueError, KeyError, TypeError):
            pass  # not a notebook after all: compare it byte by byte
    return hashlib.sha256(data).hexdigest()


def originals(root: Path) -> list[str]:
    """Files of the course that students get a copy of, relative to its root."""
    found = []
    for source in SOURCES:
        for path in sorted((root / source).rglob("*")):
            relative = path.relative_to(root)
            if path.is_file() and not SKIP & set(relative.parts):
                found.append(relative.as_posix())
    return found


def refresh(root: Path = ROOT) -> list[Copy]:
    """Copy what is missing in `work/`, overwrite nothing, and say how every copy stands to its original.

    Raises:
        FileNotFoundError: the course's notebooks are not there (the library was installed without them).
    """
    names = originals(root)
    if not any(name.endswith(".ipynb") for name in names):
        raise FileNotFoundError(
            f"there are no notebooks in {root / 'notebooks'}. Clone the course's repository, "
            "and start it there with `python course.py lab`"
        )
    noted = _read_notes(root)
    copies = []
    for name in names:
        original, mine = root / name, root / "work" / name
        if not mine.exists():
            _copy(original, mine)
            noted[name] = digest(original)
            copies.append(Copy(name, "new"))
            continue
        base = noted.setdefault(name, digest(original))  # a copy without a note: from now on it has one
        changed, edited = digest(original) != base, digest(mine) != base
        if changed and digest(original) == digest(mine):
            noted[name], changed, edited = digest(original), False, False
        state = {
            (False, False): "same",
            (False, True): "edited",
            (True, False): "outdated",
            (True, True): "both",
        }
        copies.append(Copy(name, state[changed, edited]))
    gone = [name for name in noted if name not in names and (root / "work" / name).exists()]
    _write_notes(root, noted)
    return copies + [Copy(name, "gone") for name in sorted(gone)]


def report(copies: list[Copy]) -> list[str]:
    """What a student should know about their copies, one line each; nothing if nothing happened."""
    lines = []
    new = sum(copy.state == "new" for copy in copies)
    if new:
        lines.append(
            f"copied {new} file{'s' * (new > 1)} of the course to work/, where they are yours to change"
        )
    for copy in copies:
        if copy.state == "outdated":
            lines.append(
                f"{copy.name} has changed since you got it; `course.py renew {copy.name}` takes the new one"
            )
        elif copy.state == "both":
            lines.append(
                f"{copy.name} has changed, and so has your copy, which stays as it is; "
                f"`course.py renew {copy.name}` takes the new one and keeps yours beside it"
            )
        elif copy.state == "gone":
            lines.append(f"{copy.name} is no longer part of the course; your copy stays")
    return lines


def full_name(name: str, root: Path = ROOT) -> str:
    """The file of the course with a copy in work/ that is meant by its name, as `refresh` gives it.

    Args:
        name: such as "notebooks/00_welcome.ipynb", or as much of its end as no other file shares:
            "00_welcome.ipynb", "00_welcome" or "ps02_hmc".

    Raises:
        FileNotFoundError: there is no such file in the course, or no copy of it, or more than one.
    """
    name = name.removeprefix("work/")
    copied = [known for known in originals(root) if (root / "work" / known).is_file()]
    meant = [known for known in copied if known == name] or [
        known for known in copied if name in (Path(known).name, Path(known).stem)
    ]
    if len(meant) > 1:
        raise FileNotFoundError(f"{name} may be {', '.join(meant)}: give the whole name")
    if not meant:
        there = ", ".join(known for known in copied if known.endswith(".ipynb"))
        advice = f"there are {there}" if there else "`python course.py lab` makes the copies"
        raise FileNotFoundError(f"{name} is no file of the course with a copy in work/; {advice}")
    return meant[0]


def renew(name: str, root: Path = ROOT) -> Path:
    """Put the present original in the place of a copy, and the copy beside it under a new name.

    Args:
        name: as `full_name` takes it.

    Returns:
        where the old copy is now.

    Raises:
        FileNotFoundError: as `full_name`.
    """
    name = full_name(name, root)
    original, mine = root / name, root / "work" / name
    aside = next(
        path
        for n in range(1, 1000)
        if not (path := mine.with_name(f"{mine.stem}_mine{n if n > 1 else ''}{mine.suffix}")).exists()
    )
    mine.rename(aside)
    _copy(original, mine)
    _write_notes(root, {**_read_notes(root), name: digest(original)})
    return aside


def _copy(original: Path, mine: Path) -> None:
    """Copy by way of a temporary name, so that an interruption leaves no half file behind."""
    mine.parent.mkdir(parents=True, exist_ok=True)
    part = mine.with_name(mine.name + ".part")
    shutil.copyfile(original, part)
    os.replace(part, mine)


def _read_notes(root: Path) -> dict[str, str]:
    try:
        noted = json.loads((root / "work" / ".originals.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return noted if isinstance(noted, dict) else {}


def _write_notes(root: Path, noted: dict[str, str]) -> None:
    path = root / "work" / ".originals.json"
    path.parent.mkdir(exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(noted, indent=1, sort_keys=True) + "\n", "utf-8")
    os.replace(part, path)
