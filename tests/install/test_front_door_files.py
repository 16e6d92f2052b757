"""`.ci/run`, the workflow, the devcontainer and pre-commit say what the README and the lock say."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from course_lib.grading import release

ROOT = Path(__file__).resolve().parents[2]

posix = pytest.mark.skipif(sys.platform == "win32", reason=".ci/run is for Linux")


def stub(folder: Path, name: str, body: str) -> None:
    path = folder / name
    path.write_text(f'#!/bin/bash\necho "{name} $*" >> "$LOG"\n{body}\n')
    path.chmod(0o755)


def run_ci(tmp_path: Path, present: list[str], ensurepip: bool = True) -> tuple[list[str], int]:
    """What .ci/run calls on a machine that has only these programs; python exits with 3."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for real in ("bash", "dirname", "id", "env"):
        (tools / real).symlink_to(f"/usr/bin/{real}")
    for name in ("chromium", "bwrap"):
        if name in present:
            stub(tools, name, "")
    stub(tools, "apt-get", "")
    stub(tools, "sudo", '"$@"')
    python = (
        f'[[ $1 == -c ]] && exit {0 if ensurepip else 1}; echo "require=$COURSE_REQUIRE" >> "$LOG"; exit 3'
    )
    stub(tools, "python3" if "python3" in present else "python", python)
    log = tmp_path / "log"
    done = subprocess.run(["bash", str(ROOT / ".ci/run")], env={"PATH": str(tools), "LOG": str(log)}, cwd="/")
    return [line for line in log.read_text().splitlines() if " -c " not in line], done.returncode


@posix
def test_ci_runs_the_readmes_command_and_keeps_its_exit_status(tmp_path):
    assert "\npython course.py test " in (ROOT / "README.md").read_text("utf-8")
    called, status = run_ci(tmp_path, ["chromium", "bwrap"])
    assert called == ["python course.py test", "require=browser,sandbox"]
    assert status == 3


@posix
def test_ci_installs_what_is_missing(tmp_path):
    called, _ = run_ci(tmp_path, ["python3"], ensurepip=False)
    called = [line for line in called if not line.startswith("sudo")]
    assert called[0].startswith("apt-get update")
    assert called[1].startswith("apt-get install")
    for package in ("chromium", "bubblewrap", "python3-venv"):
        assert package in called[1].split()
    assert called[2:] == ["python3 course.py test", "require=browser,sandbox"]


@posix
def test_ci_is_executable():
    assert os.access(ROOT / ".ci/run", os.X_OK)


def test_the_workflow_runs_ci_on_linux_and_the_tests_elsewhere():
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text("utf-8"))["jobs"]
    assert any(step.get("run") == ".ci/run" for step in jobs["linux"]["steps"])
    others = jobs["systems"]
    systems = {entry["os"].split("-")[0] for entry in others["strategy"]["matrix"]["include"]}
    assert systems >= {"macos", "windows"}
    (test,) = [step["run"] for step in others["steps"] if "test" in step.get("run", "")]
    assert test == 'python course.py test -m "not browser and not sandbox"'


def test_the_devcontainer_installs_with_course_py():
    settings = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text("utf-8"))
    assert settings["postCreateCommand"].startswith("python course.py ")
    assert re.search(r":3\.1[123]", settings["image"])


def test_pre_commit_uses_the_locked_ruff():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"][0]["hooks"]
    (locked,) = re.findall(r"^ruff==(\S+)$", (ROOT / "constraints.lock").read_text("utf-8"), re.MULTILINE)
    pinned = [hook["additional_dependencies"] for hook in hooks if hook["id"].startswith("ruff")]
    assert pinned == [[f"ruff=={locked}"]] * 2
    (strip,) = [hook for hook in hooks if "nbstripout" in hook["entry"]]
    assert "--keep-id" in strip["entry"].split()  # cell ids are part of a notebook's identity


@pytest.mark.parametrize("name", ["pyproject.toml", "environment.yml", ".pre-commit-config.yaml"])
def test_comments_name_files_that_exist(name):
    comments = re.findall(r"#(.*)", (ROOT / name).read_text("utf-8"))
    named = [word for text in comments for word in re.findall(r"[\w./-]+\.(?:lock|py|yml|toml|txt)\b", text)]
    assert named
    assert [word for word in named if not (ROOT / word).is_file()] == []


def test_what_the_pages_say_about_tools_and_seeds():
    header = (ROOT / "environment.yml").read_text("utf-8").split("name:")[0]
    assert "with the test tools" in header  # since it ends with -e .[test]
    contributing = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    assert "pre-commit" not in (ROOT / "constraints.lock").read_text("utf-8")  # so it has to be fetched first
    assert contributing.index("`pip install pre-commit`") < contributing.index("`pre-commit install`")
    assert ".venv\\Scripts\\" in contributing
    readme = (ROOT / "README.md").read_text("utf-8")
    assert "generate exercises/ with your own hidden cases" not in readme
    assert release.SEED_FILE in readme


def test_work_is_ignored_and_the_originals_are_not():
    ignored = (ROOT / ".gitignore").read_text("utf-8").split()
    assert {"work/", ".venv/"} <= set(ignored)
    assert not {"notebooks/", "exercises/", "*.ipynb"} & set(ignored)
