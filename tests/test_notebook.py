"""What every notebook begins with: the handshake, the device, the seed, and the source it shows."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import course_lib
from course_lib import notebook
from course_lib.energies import Banana, ring
from course_lib.notebook import begin, show_source
from course_lib.sampling import HMC, run

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def shown(monkeypatch):
    """What is displayed: a list of mime bundles."""
    bundles = []
    monkeypatch.setattr("IPython.display.display", lambda bundle, **_: bundles.append(bundle))
    return bundles


@pytest.fixture(autouse=True)
def _leave_no_trace(monkeypatch):
    import matplotlib as mpl

    monkeypatch.delenv("COURSE_DEVICE", raising=False)
    threads = torch.get_num_threads()
    with mpl.rc_context():
        yield
    torch.set_num_threads(threads)


def test_begin_says_one_line_and_returns_a_device(capsys):
    torch.set_num_threads(2)
    device = begin("04")
    said = capsys.readouterr().out
    assert device.type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert said.count("\n") == 1
    assert "Langevin" in said and course_lib.__version__ in said and device.type in said
    assert torch.get_num_threads() == 1


def test_begin_seeds_all_global_generators():
    def draws():
        begin("04", seed=5)
        return torch.rand(3).tolist(), np.random.rand(3).tolist(), random.random()  # noqa: NPY002

    first, second = draws(), draws()
    assert first == second
    begin("04", seed=6)
    assert torch.rand(3).tolist() != first[0]


def test_begin_sets_the_style():
    import matplotlib.pyplot as plt

    begin("04")
    assert plt.rcParams["axes.prop_cycle"].by_key()["color"][0].upper().lstrip("#") == "0072B2"
    assert plt.rcParams["figure.facecolor"] == "white"


@pytest.mark.parametrize("code", ["18", "4", "", "ps99", "hmc"])
def test_an_unknown_chapter_is_refused(code):
    with pytest.raises(ValueError, match=r"knows the chapters 00 to 17 .* ps01 to ps08"):
        begin(code)


def test_problem_sets_begin_too():
    assert begin("ps02").type in ("cpu", "cuda")


def test_the_device_is_the_users_choice(monkeypatch):
    monkeypatch.setenv("COURSE_DEVICE", "cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert begin("04").type == "cpu"
    monkeypatch.setenv("COURSE_DEVICE", "cuda")
    assert begin("04").type == "cuda"
    monkeypatch.delenv("COURSE_DEVICE")
    assert begin("04").type == "cuda"


@pytest.mark.parametrize("wish", ["mps", "gpu", "CUDA", "cuda:1"])
def test_an_unknown_device_is_refused(monkeypatch, wish):
    monkeypatch.setenv("COURSE_DEVICE", wish)
    with pytest.raises(ValueError, match="set it to cpu or cuda"):
        begin("04")


def test_cuda_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setenv("COURSE_DEVICE", "cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="Unset COURSE_DEVICE"):
        begin("04")


def test_mps_is_never_chosen(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert begin("04").type == "cpu"


def test_a_library_of_another_version_than_installed_is_refused(monkeypatch):
    monkeypatch.setattr(notebook.metadata, "version", lambda name: "0.0.1")
    with pytest.raises(RuntimeError, match=r"updated to .* installed for 0\.0\.1.*course\.py lab"):
        begin("04")


def test_a_library_that_is_not_installed_is_refused(monkeypatch):
    def missing(name):
        raise notebook.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(notebook.metadata, "version", missing)
    with pytest.raises(RuntimeError, match="not installed"):
        begin("04")


@pytest.mark.parametrize("content", ['__version__ = "0.0.1"\n', "# no version\n"])
def test_a_notebook_beside_another_library_is_refused(tmp_path, monkeypatch, content):
    (tmp_path / "course_lib").mkdir()
    (tmp_path / "course_lib" / "__init__.py").write_text(content)
    deep = tmp_path / "work" / "notebooks"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    with pytest.raises(RuntimeError, match=r"lies in a course folder of version"):
        begin("04")


def test_a_notebook_beside_the_same_version_or_beside_none_is_welcome(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    begin("04")
    (tmp_path / "course_lib").mkdir()
    shutil.copy(ROOT / "course_lib" / "__init__.py", tmp_path / "course_lib")
    begin("04")


@pytest.mark.parametrize(
    ("thing", "first"),
    [
        (run, "def run("),
        (ring, "def ring("),
        (Banana, "class Banana"),
        (Banana.sample, "def sample(self"),
        (Banana().sample, "def sample(self"),
        (HMC, "@dataclass"),
    ],
    ids=["function", "another", "class", "method", "bound", "dataclass"],
)
def test_show_source_shows_what_stands_in_the_library(shown, thing, first):
    show_source(thing)
    (bundle,) = shown
    assert set(bundle) == {"text/markdown", "text/plain"}
    code = bundle["text/markdown"].split("```python\n")[1].removesuffix("\n```")
    assert code.startswith(first)
    module = getattr(thing, "__func__", thing)
    source = Path(module.__code__.co_filename if hasattr(module, "__code__") else _file(thing)).read_text()
    assert all(line.strip() in source for line in code.splitlines())
    assert bundle["text/plain"].endswith(code)


def _file(thing) -> str:
    import inspect

    return inspect.getfile(thing)


def test_show_source_names_the_place_without_a_path_of_this_machine(shown):
    show_source(Banana.sample)
    text = shown[0]["text/markdown"].split("```")[0]
    assert "course_lib/energies/curved.py" in text and "Banana.sample" in text
    assert str(ROOT) not in text
    line = int(text.split("line ")[1])
    stands = (ROOT / "course_lib/energies/curved.py").read_text().splitlines()[line - 1]
    assert stands.strip().startswith("def sample")


def test_show_source_sees_through_a_decorator(shown):
    import functools

    @functools.wraps(run)
    def wrapped(*args):
        return run(*args)

    show_source(wrapped)
    assert "def run(" in shown[0]["text/plain"]
    assert "course_lib/sampling/runs.py" in shown[0]["text/plain"]


@pytest.mark.parametrize(
    "thing", [torch.nn.Linear, shutil.copy, lambda x: x], ids=["torch", "stdlib", "lambda"]
)
def test_show_source_shows_nothing_but_the_library(shown, thing):
    with pytest.raises(ValueError, match="not from course_lib"):
        show_source(thing)
    assert not shown


@pytest.mark.parametrize("thing", [Banana(), 3, "run", notebook, len])
def test_show_source_wants_a_function_or_a_class(shown, thing):
    with pytest.raises(ValueError, match="function, method or class"):
        show_source(thing)
    assert not shown


def test_chapters_and_problem_sets_are_numbered_in_order():
    assert [c.code for c in notebook.CHAPTERS] == [f"{i:02d}" for i in range(18)]
    assert [p.code for p in notebook.PROBLEM_SETS] == [f"ps{i:02d}" for i in range(1, 9)]
