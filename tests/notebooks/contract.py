"""The contract of a chapter, as checks on the parsed notebook: each returns what is wrong, in words."""

from __future__ import annotations

import ast
import importlib
import json
import re
from pathlib import Path
from types import SimpleNamespace

import nbformat

from course_lib import notebook

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "notebooks"
CLAIM = re.compile(r"\*\*Claim (\d+\.\d+)\.\*\*")
RANDOM_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){0,3}(-[0-9a-f]{12})?")
ELSEWHERE = re.compile(
    r"(?<![\w.:/)~-])/(home|Users|root|tmp|work|usr|opt|mnt|var|etc|content|data)/|\b[A-Z]:\\|~/"
)
TAUGHT = {"energies", "data", "sampling", "metrics", "vae", "gan", "cogen", "plots", "nets", "notebook"}
NETWORK = {"requests", "urllib", "http", "socket", "httpx", "aiohttp", "pooch", "gdown", "subprocess", "pip"}


def read(path: Path) -> SimpleNamespace:
    """The notebook with its text, its cells by kind, and the syntax trees of its code cells."""
    text = path.read_text(encoding="utf-8")
    cells = nbformat.reads(text, as_version=4).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    words = [cell for cell in cells if cell.cell_type == "markdown"]
    return SimpleNamespace(path=path, text=text, cells=cells, code=code, words=words)


def trees(book: SimpleNamespace) -> list[tuple[str, ast.Module]]:
    return [(cell.id, ast.parse(cell.source)) for cell in book.code]


def nodes(book: SimpleNamespace, kind: type) -> list[tuple[str, ast.AST]]:
    return [(id_, node) for id_, tree in trees(book) for node in ast.walk(tree) if isinstance(node, kind)]


def saved_as_jupyter_saves(book: SimpleNamespace) -> list[str]:
    """Valid, and byte for byte as Jupyter writes it: else the first save rewrites the whole file."""
    nbformat.validate(nbformat.reads(book.text, as_version=4))
    raw = json.loads(book.text)
    faults = (
        []
        if book.text == json.dumps(raw, indent=1, ensure_ascii=False) + "\n"
        else ["not as Jupyter saves it"]
    )
    if (raw["nbformat"], raw["nbformat_minor"]) != (4, 5):
        faults.append("format is not 4.5")
    if set(raw["metadata"]) != {"kernelspec"} or raw["metadata"]["kernelspec"]["name"] != "python3":
        faults.append("metadata should hold the kernelspec python3 and nothing else")
    return faults


def cleared(book: SimpleNamespace) -> list[str]:
    """No outputs, no counts, no state of a run."""
    faults = [f"{cell.id}: outputs" for cell in book.code if cell.outputs]
    faults += [f"{cell.id}: execution count" for cell in book.code if cell.execution_count is not None]
    return faults + [f"{cell.id}: metadata {dict(cell.metadata)}" for cell in book.cells if cell.metadata]


def stable_ids(book: SimpleNamespace) -> list[str]:
    """Names that an author chose: a random id changes with each copy of the cell."""
    ids = [cell.id for cell in book.cells]
    faults = [f"{id_}: twice" for id_ in set(ids) if ids.count(id_) > 1]
    return faults + [
        f"{id_}: random" for id_ in ids if RANDOM_ID.fullmatch(id_) or not re.search("[a-z]{3}", id_)
    ]


def begins(book: SimpleNamespace) -> list[str]:
    """The file is a chapter that the library knows, and its first code cell says so."""
    stem = book.path.stem
    if stem not in {f"{chapter.code}_{chapter.slug}" for chapter in notebook.CHAPTERS}:
        return [f"{stem} is not in course_lib.notebook.CHAPTERS"]
    first = book.code[0].source
    call = f'device = begin("{stem[:2]}")'
    if not re.match(r"from course_lib\.notebook import begin\b", first) or call not in first.splitlines():
        return [f"the first code cell is not the import of begin and {call}"]
    return []


def self_contained(book: SimpleNamespace) -> list[str]:
    """No magics, no installing, no network, no path of somebody's machine."""
    faults = []
    for cell in book.code:
        if re.search(r"^\s*[!%]", cell.source, re.MULTILINE) or "get_ipython" in cell.source:
            faults.append(f"{cell.id}: a magic or a shell command")
        if re.search(r"https?://|torch\.hub|pip install|\bwget\b|\bcurl\b", cell.source):
            faults.append(f"{cell.id}: the network")
    if faults:
        return faults  # magics are no Python: nothing more to parse
    faults += [f"{cell.id}: an absolute path" for cell in book.cells if ELSEWHERE.search(cell.source)]
    for id_, node in nodes(book, ast.Import) + nodes(book, ast.ImportFrom):
        names = (
            [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
        )
        faults += [f"{id_}: imports {name}" for name in names if name.split(".")[0] in NETWORK]
    return faults


def _called(node: ast.Call) -> str:
    return ast.unparse(node.func)


def figures_with_words(book: SimpleNamespace) -> list[str]:
    """A cell that makes a figure ends it with plots.show(fig, alt=...), which is the only way to show one."""
    faults = []
    for id_, tree in trees(book):
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        names = [_called(call) for call in calls]
        shows = [call for call in calls if _called(call) == "plots.show"]
        makes = [
            name
            for name in names
            if name in ("plt.subplots", "plt.figure", "plots.marginals", "plt.subplot_mosaic")
        ]
        if len(makes) != len(shows):
            faults.append(f"{id_}: {len(makes)} figures made, {len(shows)} shown")
        if {"plt.show", "plt.savefig", "display"} & set(names) or any(
            name.endswith(".savefig") for name in names
        ):
            faults.append(f"{id_}: a figure not shown by plots.show")
        for call in shows:
            alt = next((keyword.value for keyword in call.keywords if keyword.arg == "alt"), None)
            if alt is None or len(ast.unparse(alt).split()) < 8:
                faults.append(f"{id_}: plots.show without an alt text of a sentence")
    return faults


def shows_the_library(book: SimpleNamespace) -> list[str]:
    """What show_source gets is of the library, and no cell defines what the library has."""
    faults, imported = [], {}
    for _, node in nodes(book, ast.ImportFrom):
        if node.module and node.module.split(".")[0] == "course_lib":
            module = importlib.import_module(node.module)
            for alias in node.names:
                if not hasattr(module, alias.name):
                    importlib.import_module(f"{node.module}.{alias.name}")
                imported[alias.asname or alias.name] = getattr(module, alias.name)
    for id_, node in nodes(book, ast.Call):
        if _called(node) == "show_source":
            what = ast.unparse(node.args[0])
            try:
                thing = eval(what, dict(imported))
            except NameError as error:
                faults.append(f"{id_}: show_source({what}): {error}, so it is not imported from course_lib")
                continue
            if thing.__module__.split(".")[0] != "course_lib":
                faults.append(f"{id_}: show_source({what}) is from {thing.__module__}")
    taken = library_names()
    for id_, node in nodes(book, ast.FunctionDef) + nodes(book, ast.ClassDef):
        if node.name in taken:
            faults.append(f"{id_}: defines {node.name}, which {taken[node.name]} has")
    return faults


def library_names() -> dict[str, str]:
    """Public functions and classes of the rooms that chapters teach from, with the file that defines them."""
    found = {}
    for path in sorted((ROOT / "course_lib").rglob("*.py")):
        if path.relative_to(ROOT / "course_lib").with_suffix("").parts[0] in TAUGHT:
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                    found[node.name] = path.relative_to(ROOT).as_posix()
    return found


def framed(book: SimpleNamespace) -> list[str]:
    """Objectives, minutes and prerequisites at the top; questions and the exercise at the end."""
    top, everything = book.cells[0].source, "\n".join(cell.source for cell in book.words)
    faults = [] if re.match(r"# \S", top) else ["no title"]
    goals = top.partition("you can**")[2].partition("**Minutes:**")[0]
    if len(re.findall(r"^\d\. ", goals, re.MULTILINE)) < 3:
        faults.append("fewer than three objectives")
    for word, pattern in {
        "minutes": r"\*\*Minutes:\*\* \d+",
        "prerequisites": r"\*\*Prerequisites:\*\* \S+",
    }.items():
        if not re.search(pattern, top):
            faults.append(f"no {word}")
    questions = everything.partition("Questions to think about")[2]
    if len(re.findall(r"^\d\. .*\?", questions, re.MULTILINE)) < 3:
        faults.append("fewer than three questions to think about")
    if not re.search(r"\(\.\./exercises/ps\d\d_\w+/ps\d\d_\w+\.ipynb\)", everything):
        faults.append("no link to the exercise that it leads to")
    return faults


def links_that_lead_somewhere(book: SimpleNamespace) -> list[str]:
    faults = []
    for cell in book.words:
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", cell.source):
            if not target.startswith(("https://", "http://")) and not (book.path.parent / target).exists():
                faults.append(f"{cell.id}: no such file {target}")
    return faults


def claims_that_are_checked(book: SimpleNamespace) -> list[str]:
    """Each `**Claim 2.1.**` of section 2 is followed by code with `# Claim 2.1` and an assert."""
    section, order, claimed, checked = "0", [], [], {}
    for cell in book.cells:
        if cell.cell_type == "markdown":
            for line in cell.source.splitlines():
                if heading := re.match(r"## (\d+) ", line):
                    section = heading[1]
                for number in CLAIM.findall(line):
                    claimed.append(number)
                    order += [f"claim {number} stands in section {section}"] * (
                        number.split(".")[0] != section
                    )
        else:
            for part in re.split(r"^# (?=Claim \d+\.\d+$)", cell.source, flags=re.MULTILINE)[1:]:
                number = part.split()[1]
                asserts = [n for n in ast.walk(ast.parse("# " + part)) if isinstance(n, ast.Assert)]
                order += [f"claim {number} is checked before it is made"] * (number not in claimed)
                checked[number] = bool(asserts)
    faults = order + ([] if claimed else ["no claims"])
    faults += [f"claim {number} twice" for number in set(claimed) if claimed.count(number) > 1]
    return faults + [f"claim {number} has no assert" for number in claimed if not checked.get(number)]


def explorers_with_prompts(book: SimpleNamespace) -> list[str]:
    """An explorer, and before it the words "Try this" with at least three things to try."""
    text = ""
    for cell in book.cells:
        if cell.cell_type == "markdown":
            text = cell.source
        elif "from course_lib.widgets import" in cell.source:
            tries = text.partition("**Try this:**")[2]
            few = len(re.findall(r"^\d\. ", tries, re.MULTILINE)) < 3
            return [f"{cell.id}: fewer than three things to try before the explorer"] if few else []
    return ["no explorer"]


CHECKS = (
    saved_as_jupyter_saves,
    cleared,
    stable_ids,
    begins,
    self_contained,
    figures_with_words,
    shows_the_library,
    framed,
    links_that_lead_somewhere,
    claims_that_are_checked,
    explorers_with_prompts,
)
