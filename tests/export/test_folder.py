"""The folder is there whole or not at all, and nobody else's is touched."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aotd.errors import UserError
from aotd.export.folder import new_folder


def fill(target: Path, text: str) -> None:
    with new_folder(target, {"made": text}) as folder:
        (folder / "a.txt").write_text(text)


def break_off(target: Path, fault: type[BaseException]) -> None:
    with new_folder(target, {}) as folder:
        (folder / "b.txt").write_text("half")
        raise fault


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_own_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "there"
    fill(target, "first")
    with new_folder(target, {}) as folder:
        (folder / "b.txt").write_text("second")
        assert (target / "a.txt").read_text() == "first"  # until the new one is complete
    assert names(target) == ["b.txt", "export.json"]
    assert names(target.parent) == ["there"]


@pytest.mark.parametrize("fault", [RuntimeError, KeyboardInterrupt])
def test_failed_export_leaves_the_earlier_one(tmp_path: Path, fault: type[BaseException]) -> None:
    target = tmp_path / "there"
    fill(target, "first")
    with pytest.raises(fault):
        break_off(target, fault)
    assert names(tmp_path) == ["there"]
    assert (target / "a.txt").read_text() == "first"


def test_leftovers_of_a_killed_export_are_removed(tmp_path: Path) -> None:
    target = tmp_path / "there"
    fill(target, "first")
    target.rename(tmp_path / ".there.aotd-old")  # killed between the two moves
    (tmp_path / ".there.aotd-partial").mkdir()
    with pytest.raises(RuntimeError):
        break_off(target, RuntimeError)
    assert names(tmp_path) == ["there"]
    assert (target / "a.txt").read_text() == "first"


def test_foreign_folder_is_refused(tmp_path: Path) -> None:
    theirs = tmp_path / "thesis"
    theirs.mkdir()
    (theirs / "chapter.txt").write_text("long")
    with pytest.raises(UserError, match=r"holds 'chapter\.txt', which aotd export did not write"):
        fill(theirs, "mine")
    assert names(theirs) == ["chapter.txt"]


def test_foreign_file_in_own_folder_is_refused(tmp_path: Path) -> None:
    fill(tmp_path / "there", "first")
    (tmp_path / "there" / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"notes\.txt"):
        fill(tmp_path / "there", "second")
    assert (tmp_path / "there" / "a.txt").read_text() == "first"


@pytest.mark.parametrize("damage", ["", "[]", '{"files": 3}', '{"files": [1]}'])
def test_damaged_manifest_makes_the_folder_foreign(tmp_path: Path, damage: str) -> None:
    fill(tmp_path / "there", "first")
    (tmp_path / "there" / "export.json").write_text(damage)
    with pytest.raises(UserError):
        fill(tmp_path / "there", "second")


def test_empty_folder_is_taken_and_a_file_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    fill(tmp_path / "empty", "first")
    assert json.loads((tmp_path / "empty" / "export.json").read_text())["made"] == "first"
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is a file"):
        fill(tmp_path / "file", "first")
    with pytest.raises(UserError, match="cannot be made"):
        fill(tmp_path / "file" / "below", "first")
