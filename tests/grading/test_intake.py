"""Whatever is handed in becomes a notebook or a refusal with a reason, and is never followed or unpacked."""

import json
import os
import stat
import zipfile

import nbformat
import pytest

from course_lib.grading import intake
from course_lib.grading.intake import Entry, Refused
from tests.grading import toy

GOOD = nbformat.writes(toy.released()).encode()


def zipped(path, members, **more):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data, **more)
    return path


def refusal(path, name="toy"):
    with pytest.raises(Refused) as caught:
        intake.read(intake._entry(path), name)
    return caught.value.status, str(caught.value)


def test_folders_zips_and_plain_notebooks_are_read(tmp_path):
    toy.hand_in(tmp_path, "ann", GOOD)
    zipped(tmp_path / "bob.zip", {"inner/toy.ipynb": GOOD, "__MACOSX/._toy.ipynb": b"x", "notes.txt": b"hi"})
    (tmp_path / "cem.ipynb").write_bytes(GOOD)
    (tmp_path / ".DS_Store").write_bytes(b"x")
    entries = intake.scan(tmp_path)
    assert [entry.student_id for entry in entries] == ["ann", "bob", "cem"]
    for entry in entries:
        assert intake.read(entry, "toy").cells[1].source == toy.BEGIN


def test_the_notebook_is_chosen_by_name_or_must_be_the_only_one(tmp_path):
    toy.hand_in(tmp_path, "ann", GOOD)
    (tmp_path / "ann" / "other.ipynb").write_bytes(b"{}")
    assert intake.read(intake._entry(tmp_path / "ann"), "toy").nbformat == 4
    assert refusal(tmp_path / "ann", "third") == (
        "invalid",
        "2 notebooks and not one that alone is called third.ipynb",
    )
    (tmp_path / "bob").mkdir()
    assert refusal(tmp_path / "bob") == ("missing", "no notebook was handed in")
    assert refusal(zipped(tmp_path / "cem.zip", {"a.txt": b""}))[0] == "missing"


def test_capitals_in_the_name_of_the_file_do_no_harm(tmp_path):
    for student, names in {"ann": ["TOY.IPYNB"], "bob": ["Toy.Ipynb", "OTHER.IPYNB"]}.items():
        members = {name: GOOD if name.lower() == "toy.ipynb" else b"{}" for name in names}
        zipped(tmp_path / f"{student}.ZIP", members)
        (tmp_path / f"{student}2").mkdir()
        for name, data in members.items():
            (tmp_path / f"{student}2" / name).write_bytes(data)
    (tmp_path / "cem.IPYNB").write_bytes(GOOD)
    entries = intake.scan(tmp_path)
    assert [entry.student_id for entry in entries] == ["ann", "ann2", "bob", "bob2", "cem"]
    for entry in entries:
        assert intake.read(entry, "toy").cells[1].source == toy.BEGIN
    both = zipped(tmp_path / "dan.zip", {"toy.ipynb": GOOD, "TOY.IPYNB": b"{}"})  # the exact name goes first
    assert intake.read(intake._entry(both), "toy").cells[1].source == toy.BEGIN


@pytest.mark.parametrize("name", ["=cmd", "..", "a b", "x" * 65, "new\nline", "é", "a/b".replace("/", ":")])
def test_bad_ids_are_refused(tmp_path, name):
    (entry,) = [intake._entry(tmp_path / name)] if name == ".." else _scanned(tmp_path, name)
    assert "the id must be" in entry.problem


def _scanned(folder, name):
    toy.hand_in(folder, name, GOOD)
    return intake.scan(folder)


def test_an_id_that_was_handed_in_twice_is_refused_both_times(tmp_path):
    toy.hand_in(tmp_path, "ann", GOOD)
    zipped(tmp_path / "ann.zip", {"toy.ipynb": GOOD})
    toy.hand_in(tmp_path, "bob", GOOD)
    entries = intake.scan(tmp_path)
    assert [(entry.student_id, "more than once" in entry.problem) for entry in entries] == [
        ("ann", True),
        ("ann.zip", True),
        ("bob", False),
    ]


def test_links_are_refused_wherever_they_are(tmp_path):
    secret = tmp_path / "secret.ipynb"
    secret.write_bytes(GOOD)
    box = tmp_path / "in"
    box.mkdir()
    (box / "ann").symlink_to(tmp_path)
    (box / "bob.ipynb").symlink_to(secret)
    (box / "cem").mkdir()
    (box / "cem" / "toy.ipynb").symlink_to(secret)
    (box / "dee").mkdir()
    (box / "dee" / "sub").symlink_to(tmp_path, target_is_directory=True)
    for entry in intake.scan(box):
        with pytest.raises(Refused, match="link"):
            intake.read(entry, "toy")
    member = zipfile.ZipInfo("toy.ipynb")
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(box / "eve.zip", "w") as archive:
        archive.writestr(member, "/etc/passwd")
    assert refusal(box / "eve.zip") == ("invalid", "the zip holds a link")


@pytest.mark.parametrize("name", ["../toy.ipynb", "/toy.ipynb", "a/../../toy.ipynb", "..\\toy.ipynb"])
def test_zips_that_lead_out_are_refused(tmp_path, name):
    assert "leads out" in refusal(zipped(tmp_path / "a.zip", {name: GOOD}))[1]
    assert not (tmp_path.parent / "toy.ipynb").exists()


def test_bombs_are_refused_before_they_are_unpacked(tmp_path):
    assert "unpacks to more" in refusal(zipped(tmp_path / "a.zip", {"toy.ipynb": bytes(120 << 20)}))[1]
    assert "larger than" in refusal(zipped(tmp_path / "b.zip", {"toy.ipynb": bytes(21 << 20)}))[1]
    many = {f"{i}.txt": b"" for i in range(501)}
    assert "more than 500" in refusal(zipped(tmp_path / "c.zip", many))[1]
    liar = zipped(tmp_path / "d.zip", {"toy.ipynb": bytes(21 << 20)}).read_bytes()
    small = (1000).to_bytes(4, "little")  # the sizes that both headers tell
    (tmp_path / "d.zip").write_bytes(liar.replace((21 << 20).to_bytes(4, "little"), small))
    assert refusal(tmp_path / "d.zip")[0] == "invalid"


def test_damaged_files_are_refused(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"PK no zip")
    assert "zip cannot be read" in refusal(tmp_path / "a.zip")[1]
    broken = bytearray(zipped(tmp_path / "b.zip", {"toy.ipynb": GOOD}).read_bytes())
    broken[60:200] = bytes(140)
    (tmp_path / "b.zip").write_bytes(broken)
    assert "zip cannot be read" in refusal(tmp_path / "b.zip")[1]
    (tmp_path / "c.pdf").write_bytes(b"%PDF")
    assert refusal(tmp_path / "c.pdf") == ("invalid", "expected a folder, a .zip or an .ipynb file")
    if os.name == "posix":
        os.mkfifo(tmp_path / "d.ipynb")
        assert refusal(tmp_path / "d.ipynb")[0] == "invalid"


NESTED = b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": ' + b"[" * 9000 + b"]" * 9000 + b"}"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not JSON"),
        (GOOD[: len(GOOD) // 2], "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"\xff\xfe" + GOOD, "not UTF-8"),
        (b"[1]", "format None"),
        (b'{"nbformat": 3, "worksheets": []}', "format 3"),
        (b'{"nbformat": 99, "cells": []}', "format 99"),
        (b'{"nbformat": 4, "cells": 7}', "no list"),
        (b'{"nbformat": 4, "nbformat_minor": 5, "cells": [7], "metadata": {}}', "not a valid notebook"),
        (
            b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [{"cell_type": "evil"}]}',
            "not a valid",
        ),
        (NESTED, "nested too deeply|not a valid|not JSON"),
    ],
)
def test_what_is_no_notebook_is_refused(data, reason):
    with pytest.raises(Refused, match=reason):
        intake.parse(data)


def test_huge_cells_and_too_many_are_refused():
    notebook = json.loads(GOOD)
    notebook["cells"][1]["source"] = "#" * ((1 << 20) + 1)
    with pytest.raises(Refused, match="longer than"):
        intake.parse(json.dumps(notebook).encode())
    notebook["cells"] = notebook["cells"][:1] * 2001
    with pytest.raises(Refused, match="2000 cells"):
        intake.parse(json.dumps(notebook).encode())


def test_notebooks_of_older_editors_are_mended():
    notebook = json.loads(GOOD)
    notebook["nbformat_minor"] = 4
    for cell in notebook["cells"]:
        cell.pop("id")
    assert len(intake.parse(json.dumps(notebook).encode()).cells) == len(notebook["cells"])
    notebook["nbformat_minor"] = 5  # says that it has ids, but has not
    assert len({cell.id for cell in intake.parse(json.dumps(notebook).encode()).cells}) == len(
        notebook["cells"]
    )


def test_an_empty_or_missing_folder_says_what_to_give(tmp_path):
    with pytest.raises(ValueError, match="is empty"):
        intake.scan(tmp_path)
    with pytest.raises(FileNotFoundError, match="give the folder"):
        intake.scan(tmp_path / "none")


def test_what_vanishes_meanwhile_is_refused(tmp_path):
    with pytest.raises(Refused, match="cannot be read"):
        intake.read(Entry("ann", tmp_path / "ann.ipynb"), "toy")
