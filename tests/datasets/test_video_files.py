"""Where videos are found: layouts of archives, other endings, cases and normal forms, copies, and what differs."""

from __future__ import annotations

import os
import time
import unicodedata
from pathlib import Path

import pytest

from aotd.datasets.video_files import VideoIndex
from aotd.errors import UserError

NFC = "Café Ünïcode 한국"
NFD = unicodedata.normalize("NFD", NFC)


def put(root: Path, *names: str, content: bytes | None = None) -> None:
    """Files below a root, each of its own content."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode() if content is None else content)


@pytest.mark.parametrize(
    "place",
    [
        *("X1.mp4", "videos/X1.mp4", "0101/X1.mp4", "NExTVideo/0101/X1.mp4", "a/b/c/d/e/X1.mp4"),
        *("X1.MP4", "X1.mkv", "X1.webm", "X1.avi", "X1.mov", "x1.mp4", "x1.Mkv", "deep/x1.AVI"),
        *("videos_chunked_02.zip contents/data/X1.mp4", "part (2)/X1.mp4", "100%25/X1.mp4"),
    ],
)
def test_video_is_known_by_its_name(place: str, tmp_path: Path) -> None:
    put(tmp_path, place, "X2.mp4", "X11.mp4", "other/X1.txt", "X1.srt", "._X1.mp4", ".cache/X1.mp4", "__MACOSX/X1.mp4")
    index = VideoIndex(str(tmp_path))
    assert index.stem("q.csv:2", "X1") == place
    if place.lower().endswith(("x1.mp4", "x1.mkv")) and "/" not in place:
        assert index.file("q.csv:2", "X1.mp4") == place


@pytest.mark.parametrize(("asked", "there"), [(NFC, NFD), (NFD, NFC), (NFC.upper(), NFD)])
def test_accents_are_compared_composed(asked: str, there: str, tmp_path: Path) -> None:
    put(tmp_path, f"{there}/{there}.mp4")
    index = VideoIndex(str(tmp_path))
    assert index.stem("q", asked) == index.file("q", f"{asked}.mp4") == f"{there}/{there}.mp4"
    assert index.file("q", f"{asked}/{asked}.mkv") == f"{there}/{there}.mp4"


@pytest.mark.parametrize("name", ["a%20b", "a b", " a", "a.b.c", "-Xy_z", "v_1.5_9.0", "näive", "100%", "a+b", "#1"])
def test_name_is_taken_as_it_stands(name: str, tmp_path: Path) -> None:
    put(tmp_path, f"in/{name}.mp4", "in/a-b.mp4", "in/v_1.mp4")
    assert VideoIndex(str(tmp_path)).stem("q", name) == f"in/{name}.mp4"
    assert VideoIndex(str(tmp_path)).file("q", f"{name}.mp4") == f"in/{name}.mp4"


def test_ending_that_is_given_all_the_same_is_dropped(tmp_path: Path) -> None:
    put(tmp_path, "0101/X.mkv")
    index = VideoIndex(str(tmp_path))
    assert (index.stem("q", "X.mp4"), index.stem("q", "Y.mp4"), index.stem("q", "Y.b")) == (
        "0101/X.mkv",
        "Y.mp4",
        "Y.b.mp4",
    )


def test_percent_signs_and_blanks_are_no_encodings(tmp_path: Path) -> None:
    put(tmp_path, "a b.mp4")
    assert VideoIndex(str(tmp_path)).stem("q", "a%20b") == "a%20b.mp4"


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["X.mp4"], "X.mp4"),
        (["X.mp4", "deep/x.mp4"], "X.mp4"),  # the name as it is written
        (["x.mp4", "deep/X.mp4"], "deep/X.mp4"),
        (["videos/X.mp4", "other/X.mp4"], "videos/X.mp4"),  # the benchmark's own folder
        (["videos/X.mkv", "other/X.mp4"], "videos/X.mkv"),
        (["v_X.mp4"], "v_X.mp4"),  # a name that it may have, too
    ],
)
def test_what_fits_best_is_taken(names: list[str], found: str, tmp_path: Path) -> None:
    put(tmp_path, *names)
    index = VideoIndex(str(tmp_path))
    assert index.stem("q", "X", "v_X", folders=("videos", "")) == found
    assert index.notes == []


@pytest.mark.parametrize(
    "names",
    [
        ("0101/X.mp4", "0102/X.mp4"),
        ("X.mp4", "X.mkv"),
        ("X.mp4", "X.MP4"),
        ("videos/X.mp4", "X.mp4"),
        ("a/x.mp4", "b/x.MP4"),
        ("X.webm", "v_X.mp4"),
    ],
)
def test_two_different_files_are_both_named(names: tuple[str, str], tmp_path: Path) -> None:
    put(tmp_path, *names)
    with pytest.raises(
        UserError, match=r"^val\.csv:3: .* both fit and are different files: delete or rename"
    ) as caught:
        VideoIndex(str(tmp_path)).stem("val.csv:3", "X", "v_X", folders=("", "videos"))
    assert all(name in str(caught.value) for name in names)
    assert "\n" not in str(caught.value)


def test_copies_are_taken_and_told_of(tmp_path: Path) -> None:
    put(tmp_path, "0101/X.mp4", "0102/X.mp4", content=b"same")
    index = VideoIndex(str(tmp_path))
    assert index.stem("q", "X") == index.stem("q", "X") == "0101/X.mp4"
    assert index.notes == ["0102/X.mp4 is taken for a copy of 0101/X.mp4"]
    put(tmp_path, "0101/Y.mp4", content=b"a" * 600_000 + b"b" + b"a" * 600_000)
    put(tmp_path, "0102/Y.mp4", content=b"a" * 1_200_000 + b"b")
    with pytest.raises(UserError, match="different files"):
        VideoIndex(str(tmp_path)).stem("q", "Y")


@pytest.mark.parametrize(
    ("asked", "names", "found"),
    [
        ("day1/X.mp4", ["day2/X.mp4"], None),  # another file of the same name
        ("day1/X.mp4", ["X.mp4"], None),
        ("day1/X.mp4", ["media/Day1/X.MP4", "day2/X.mp4"], "media/Day1/X.MP4"),
        ("day1/X.mp4", ["day1/X.mkv"], "day1/X.mkv"),
        ("day1/X.mp4", ["day1/more/X.mp4"], None),
        ("X.mp4", ["a/X.mp4", "b/X.mkv"], "a/X.mp4"),  # the ending that is asked for
        ("X", ["a/X.mp4"], "a/X.mp4"),
        ("X.mp4", ["X.mp4", "a/X.mp4"], "X.mp4"),  # what is named is meant
        ("day1\\X.mp4", ["day1/X.mp4", "day2/X.mp4"], "day1/X.mp4"),  # a list made on Windows
    ],
)
def test_named_file_is_looked_for_in_folders_of_its_name(
    asked: str, names: list[str], found: str | None, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    put(root, *names)
    index = VideoIndex(str(root))
    assert index.file("q", asked) == (found or asked)
    assert index.notes == ([] if found in (None, asked) else [f"{found} is taken for {asked}"])


def test_root_may_be_one_of_the_folders_of_a_name(tmp_path: Path) -> None:
    put(tmp_path, "perception/videos/video_1.mp4", "clevrer/video_validation/video_1-2/video_1.mp4")
    folders = ("clevrer/video_validation",)
    inner = VideoIndex(str(tmp_path / "clevrer"))
    assert inner.file("q", "video_1.mp4", folders) == "video_validation/video_1-2/video_1.mp4"
    assert VideoIndex(str(tmp_path)).file("q", "video_1.mp4", ("perception/videos",)) == "perception/videos/video_1.mp4"
    missing = VideoIndex(str(tmp_path / "perception")).file("q", "video_1.mp4", folders)
    assert missing == "clevrer/video_validation/video_1.mp4"


@pytest.mark.parametrize("name", ["../X", "/etc/X", "a/../../X"])
def test_name_cannot_leave_the_root(name: str, tmp_path: Path) -> None:
    put(tmp_path, "X.mp4", "root/a/Y.mp4")
    for look in (VideoIndex(str(tmp_path / "root")).stem, VideoIndex(str(tmp_path / "root")).file):
        with pytest.raises(UserError, match=r"^q\.json: entry 1: .*leads outside"):
            look("q.json: entry 1", name)


def test_links_to_folders_are_named_and_not_followed(tmp_path: Path) -> None:
    put(tmp_path, "elsewhere/X.mp4", "root/Y.mp4")
    (tmp_path / "root" / "NExTVideo").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "root" / "loop").symlink_to(tmp_path / "root")
    index = VideoIndex(str(tmp_path / "root"))
    assert (index.stem("q", "X"), index.stem("q", "Z")) == ("X.mp4", "Z.mp4")
    assert sorted(index.notes) == [
        f"{name} is a link to a folder and is not followed" for name in ("NExTVideo", "loop")
    ]


def test_missing_root_and_forbidden_folder_give_missing_videos(tmp_path: Path) -> None:
    assert VideoIndex(str(tmp_path / "gone")).stem("q", "X", folders=("videos", "")) == "videos/X.mp4"
    put(tmp_path, "shut/X.mp4")
    (tmp_path / "shut").chmod(0)
    if os.geteuid():
        assert VideoIndex(str(tmp_path)).stem("q", "X") == "X.mp4"
    (tmp_path / "shut").chmod(0o700)


def test_root_is_gone_through_once(tmp_path: Path) -> None:
    for folder in range(20):
        (tmp_path / f"{folder:04}").mkdir()
        for number in range(100):
            (tmp_path / f"{folder:04}" / f"{folder:04}{number:04}.mp4").touch()
    index = VideoIndex(str(tmp_path))
    begun = time.monotonic()
    for folder in range(20):
        for number in range(100):
            assert index.stem("q", f"{folder:04}{number:04}") == f"{folder:04}/{folder:04}{number:04}.mp4"
    assert time.monotonic() - begun < 5
