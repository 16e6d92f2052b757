"""Read what was handed in: a folder with `student_id/…ipynb`, `student_id.zip` or `student_id.ipynb`.

Nothing is followed, unpacked to disk or trusted: links are refused, sizes and counts are capped, and every
problem becomes the status of that submission, never of the batch.
"""

from __future__ import annotations

import json
import re
import stat
import zipfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import nbformat
from nbformat import NotebookNode

MAX_NOTEBOOK = 20 << 20  # bytes
MAX_CELL = 1 << 20  # characters
MAX_CELLS = 2000
MAX_FILES = 500  # in one submission
MAX_UNPACKED = 100 << 20  # bytes a zip may say that it holds
STUDENT_ID = re.compile(r"(?!\.+$)[A-Za-z0-9_.-]{1,64}")
IGNORED = {"__MACOSX", ".ipynb_checkpoints", "__pycache__"}


class Refused(Exception):
    """This submission cannot be graded: `status` is "invalid" or "missing", the text says why."""

    def __init__(self, status: str, reason: str):
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True)
class Entry:
    """One submission: its id, where it lies, and what is wrong with it already ("" if nothing)."""

    student_id: str
    path: Path
    problem: str = ""


def scan(folder: Path) -> list[Entry]:
    """One entry for each thing in `folder`, hidden files aside; raises FileNotFoundError, ValueError."""
    if not folder.is_dir():
        raise FileNotFoundError(
            f"no folder {folder}: give the folder that holds student_id/… or student_id.zip"
        )
    entries = [_entry(path) for path in sorted(folder.iterdir()) if not _ignored(path.name)]
    if not entries:
        raise ValueError(f"{folder} is empty: it should hold student_id/…ipynb or student_id.zip")
    times = Counter(entry.student_id for entry in entries)
    twice = "this id was handed in more than once (a folder and a file?): keep one"
    return [e if times[e.student_id] == 1 else Entry(e.path.name, e.path, twice) for e in entries]


def _entry(path: Path) -> Entry:
    mode = path.lstat().st_mode
    is_file = stat.S_ISREG(mode)
    known = is_file and path.suffix.lower() in (".zip", ".ipynb")
    student_id = path.stem if known else path.name
    problem = ""
    if stat.S_ISLNK(mode):
        problem = "a link is not a submission"
    elif not known and not stat.S_ISDIR(mode):
        problem = "expected a folder, a .zip or an .ipynb file"
    elif not STUDENT_ID.fullmatch(student_id):
        problem = "the id must be 1 to 64 of the characters A-Z a-z 0-9 _ . -"
    return Entry(student_id, path, problem)


def _ignored(name: str) -> bool:
    return name.startswith(".") or name in IGNORED


def _is_notebook(name: str) -> bool:
    return name.lower().endswith(".ipynb")  # some systems write names in capitals


def read(entry: Entry, name: str) -> NotebookNode:
    """The notebook of one submission to exercise `name`. Raises Refused, and nothing else."""
    if entry.problem:
        raise Refused("invalid", entry.problem)
    try:
        if stat.S_ISDIR(entry.path.lstat().st_mode):
            data = _from_folder(entry.path, name)
        elif entry.path.suffix.lower() == ".zip":
            data = _from_zip(entry.path, name)
        else:
            data = _bytes_of(entry.path)
    except OSError as e:
        raise Refused("invalid", f"cannot be read: {e.strerror or type(e).__name__}") from None
    return parse(data)


def _from_folder(folder: Path, name: str) -> bytes:
    files, todo = [], [folder]
    while todo:
        for path in sorted(todo.pop().iterdir()):
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                raise Refused("invalid", f"it holds a link ({path.name})")
            if _ignored(path.name):
                continue
            (todo if stat.S_ISDIR(mode) else files).append(path)
            if len(files) + len(todo) > MAX_FILES:
                raise Refused("invalid", f"it holds more than {MAX_FILES} files")
    notebooks = {path.relative_to(folder).as_posix(): path for path in files if _is_notebook(path.name)}
    return _bytes_of(notebooks[_choose(list(notebooks), name)])


def _bytes_of(path: Path) -> bytes:
    if path.lstat().st_size > MAX_NOTEBOOK:
        raise Refused("invalid", f"the notebook is larger than {MAX_NOTEBOOK >> 20} MB")
    return path.read_bytes()


def _from_zip(path: Path, name: str) -> bytes:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _check_members(members)
            notebooks = {m.filename: m for m in members if _is_notebook(m.filename)}
            wanted = {n: m for n, m in notebooks.items() if not any(map(_ignored, PurePosixPath(n).parts))}
            with archive.open(wanted[_choose(list(wanted), name)]) as file:
                data = file.read(MAX_NOTEBOOK + 1)  # what the archive says about sizes may be a lie
    except Refused:
        raise
    except Exception as e:  # every method of compression has its own errors for damaged data
        raise Refused("invalid", f"the zip cannot be read: {str(e)[:100] or type(e).__name__}") from None
    if len(data) > MAX_NOTEBOOK:
        raise Refused("invalid", f"the notebook is larger than {MAX_NOTEBOOK >> 20} MB")
    return data


def _check_members(members: list[zipfile.ZipInfo]) -> None:
    if len(members) > MAX_FILES:
        raise Refused("invalid", f"the zip holds more than {MAX_FILES} files")
    if sum(member.file_size for member in members) > MAX_UNPACKED:
        raise Refused("invalid", f"the zip unpacks to more than {MAX_UNPACKED >> 20} MB")
    for member in members:
        where = PurePosixPath(member.filename.replace("\\", "/"))
        if where.is_absolute() or ".." in where.parts or ":" in where.parts[0:1]:
            raise Refused("invalid", "the zip holds a path that leads out of it")
        if stat.S_ISLNK(member.external_attr >> 16):
            raise Refused("invalid", "the zip holds a link")


def _choose(notebooks: list[str], name: str) -> str:
    """The notebook with the exercise's own name, or the only one there is."""
    wanted, names = f"{name}.ipynb", {path: PurePosixPath(path).name for path in notebooks}
    named = [path for path in notebooks if names[path] == wanted] or [
        path for path in notebooks if names[path].lower() == wanted.lower()
    ]
    found = named if len(named) == 1 else notebooks
    if not found:
        raise Refused("missing", "no notebook was handed in")
    if len(found) > 1:
        raise Refused("invalid", f"{len(found)} notebooks and not one that alone is called {name}.ipynb")
    return found[0]


def parse(data: bytes) -> NotebookNode:
    """A valid notebook of format 4 with stable cell ids. Raises Refused."""
    try:
        raw = json.loads(data.decode("utf-8"))
    except UnicodeDecodeError:
        raise Refused("invalid", "the notebook is not UTF-8 text") from None
    except (ValueError, RecursionError):
        raise Refused("invalid", "the notebook is not JSON: was it saved to the end?") from None
    version = raw.get("nbformat") if isinstance(raw, dict) else None
    if version != 4:
        raise Refused("invalid", f"the notebook has format {str(version)[:20]}, expected 4")
    _check_cells(raw.get("cells"))
    _give_ids(raw)
    try:
        notebook = nbformat.v4.reads(json.dumps(raw))
        nbformat.validate(notebook)
    except RecursionError:
        raise Refused("invalid", "the notebook is nested too deeply") from None
    except Exception as e:  # jsonschema, KeyError, TypeError: whatever a malformed notebook provokes
        raise Refused("invalid", f"not a valid notebook: {str(e).splitlines()[0][:120]}") from None
    return notebook


def _give_ids(raw: dict) -> None:
    """Mend what older editors leave out or copy: every cell gets an id of its own."""
    minor = raw.get("nbformat_minor")
    if type(minor) is int and minor < 5:
        raw["nbformat_minor"] = 5
    seen = set()
    for index, cell in enumerate(raw["cells"]):
        if not isinstance(cell, dict):
            continue
        if not isinstance(cell.get("id"), str) or cell["id"] in seen:
            cell["id"] = f"cell-{index}"
        seen.add(cell["id"])


def _check_cells(cells) -> None:
    if not isinstance(cells, list) or len(cells) > MAX_CELLS:
        raise Refused("invalid", f"the notebook has no list of at most {MAX_CELLS} cells")
    for cell in cells:
        source = cell.get("source", "") if isinstance(cell, dict) else ""
        if len(source if isinstance(source, str) else "".join(map(str, source))) > MAX_CELL:
            raise Refused("invalid", f"a cell is longer than {MAX_CELL >> 20} million characters")
