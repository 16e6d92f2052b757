"""Every chapter keeps the contract, and every check of the contract sees a breach of it."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from course_lib.notebook import CHAPTERS
from tests.notebooks import contract

BOOKS = sorted(contract.FOLDER.glob("*.ipynb"))
SAMPLE = contract.FOLDER / "04_langevin_and_hmc.ipynb"


def test_there_are_chapters():
    assert {"00_welcome", "04_langevin_and_hmc"} <= {path.stem for path in BOOKS}


@pytest.mark.parametrize("path", BOOKS, ids=lambda path: path.stem)
@pytest.mark.parametrize("check", contract.CHECKS, ids=lambda check: check.__name__)
def test_a_chapter_keeps_the_contract(path, check):
    assert not check(contract.read(path))


def test_the_map_of_the_welcome_tells_built_chapters_from_coming_ones():
    book = contract.read(contract.FOLDER / "00_welcome.ipynb")
    (table,) = (cell.source for cell in book.words if cell.id == "map")
    rows = {row[1]: row for row in re.findall(r"^(\| (\d\d) \|.*)$", table, re.MULTILINE)}
    assert list(rows) == [chapter.code for chapter in CHAPTERS]
    for chapter in CHAPTERS:
        file = f"{chapter.code}_{chapter.slug}.ipynb"
        row = rows[chapter.code][0]
        assert chapter.title in row
        if (contract.FOLDER / file).exists():
            assert f"]({file})" in row and "**ready**" in row, f"{file} is there: link it and say so"
        else:
            assert "](" not in row and "*coming*" in row, f"{file} is not there yet"


# --- planted breaches ----------------------------------------------------------------------------


def cell(raw: dict, id_: str) -> dict:
    return next(cell for cell in raw["cells"] if cell["id"] == id_)


def swap(raw: dict, id_: str, old: str, new: str) -> None:
    one = cell(raw, id_)
    source = "".join(one["source"])
    assert old in source, f"nothing to plant in {id_}"
    one["source"] = source.replace(old, new).splitlines(keepends=True)


PLANTS = {
    "saved_as_jupyter_saves": [
        lambda raw: raw["metadata"].update(widgets={}),
        lambda raw: raw.update(nbformat_minor=6),
    ],
    "cleared": [
        lambda raw: cell(raw, "begin").update(execution_count=3),
        lambda raw: cell(raw, "begin")["outputs"].append(
            {"output_type": "stream", "name": "stdout", "text": "hi"}
        ),
        lambda raw: cell(raw, "begin")["metadata"].update(execution={"iopub.status.busy": "now"}),
    ],
    "stable_ids": [
        lambda raw: cell(raw, "begin").update(id="0d1e2f3a"),
        lambda raw: cell(raw, "begin").update(id="6d0f9a3e-8f0a-4c0e-9a51-0d1e2f3a4b5c"),
        lambda raw: cell(raw, "begin").update(id="c1"),
    ],
    "begins": [
        lambda raw: swap(raw, "begin", '"04"', '"05"'),
        lambda raw: swap(raw, "begin", "device = begin", "begin"),
        lambda raw: raw["cells"].insert(0, dict(cell(raw, "imports"), id="early")),
    ],
    "self_contained": [
        lambda raw: swap(raw, "imports", "import torch", "!pip install torch"),
        lambda raw: swap(raw, "imports", "import torch", "%matplotlib inline"),
        lambda raw: swap(raw, "imports", "import torch", "import urllib.request"),
        lambda raw: swap(raw, "imports", "import torch", "from requests import get"),
        lambda raw: swap(raw, "imports", "import torch", "import torch\nweights = open('/home/ann/w.pt')"),
        lambda raw: swap(raw, "imports", "import torch", "import torch\nweights = open('C:\\\\w.pt')"),
        lambda raw: swap(raw, "summary", "Problem set", "See /tmp/notes for the problem set"),
        lambda raw: swap(raw, "imports", "import torch", "torch.hub.load_state_dict_from_url('x')"),
    ],
    "figures_with_words": [
        lambda raw: swap(raw, "landscape-figure", "plots.show(", "print("),
        lambda raw: swap(raw, "landscape-figure", "plots.show(", "plt.show(); plots.show("),
        lambda raw: swap(raw, "landscape-figure", "alt=", "words="),
        lambda raw: swap(raw, "imports", "import torch", "fig, ax = plt.subplots()"),
    ],
    "shows_the_library": [
        lambda raw: swap(raw, "leapfrog-source", "leapfrog", "torch.nn.Linear"),
        lambda raw: swap(raw, "leapfrog-source", "leapfrog", "measure"),
        lambda raw: swap(raw, "tuning-run", "def measure(", "def leapfrog("),
    ],
    "framed": [
        lambda raw: swap(raw, "title", "**Minutes:**", "Minutes:"),
        lambda raw: swap(raw, "title", "**Prerequisites:**", "Before:"),
        lambda raw: [swap(raw, "title", f"\n{k}. ", "\nand ") for k in (3, 4, 5)],
        lambda raw: swap(raw, "summary", "Questions to think about", "Other"),
        lambda raw: [swap(raw, id_, "../exercises/", "../") for id_ in ("title", "summary")],
    ],
    "links_that_lead_somewhere": [lambda raw: swap(raw, "title", "00_welcome.ipynb", "00_wellcome.ipynb")],
    "claims_that_are_checked": [
        lambda raw: swap(raw, "leapfrog-reversible", "assert ", "_ = "),
        lambda raw: swap(raw, "leapfrog-reversible", "# Claim 4.1", "# first claim"),
        lambda raw: swap(raw, "leapfrog-claims", "Claim 4.1", "Claim 5.1"),
        lambda raw: swap(raw, "ring-check", "# Claim 8.3", "# Claim 8.9"),
    ],
    "explorers_with_prompts": [
        lambda raw: swap(raw, "explorer-text", "**Try this:**", "Look:"),
        lambda raw: swap(raw, "explorer", "from course_lib.widgets import LandscapeExplorer", "pass"),
    ],
}
CASES = [(name, i) for name, plants in PLANTS.items() for i in range(len(plants))]


def test_every_check_has_a_planted_breach():
    assert set(PLANTS) == {check.__name__ for check in contract.CHECKS}


@pytest.mark.parametrize(("name", "i"), CASES, ids=[f"{name}-{i}" for name, i in CASES])
def test_a_planted_breach_is_seen(tmp_path, name, i):
    folder = tmp_path / "notebooks"
    shutil.copytree(contract.FOLDER, folder)
    (tmp_path / "exercises").symlink_to(contract.ROOT / "exercises")
    path = folder / SAMPLE.name
    assert not getattr(contract, name)(contract.read(path)), "the sample must be right before the plant"
    raw = json.loads(path.read_text("utf-8"))
    PLANTS[name][i](raw)
    planted(path, raw)
    assert getattr(contract, name)(contract.read(path))


def planted(path: Path, raw: dict) -> None:
    path.write_text(json.dumps(raw, indent=1, ensure_ascii=False) + "\n", "utf-8")


def test_other_spacing_is_seen(tmp_path):
    path = tmp_path / SAMPLE.name
    path.write_text(json.dumps(json.loads(SAMPLE.read_text("utf-8")), indent=2) + "\n", "utf-8")
    assert contract.saved_as_jupyter_saves(contract.read(path))
