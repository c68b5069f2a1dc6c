"""Of the streams in a file, which is the film: no cover, no preview, no chapters' pictures."""

from __future__ import annotations

import wave
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from av.stream import Disposition

from aotd.load.clips import examine
from aotd.video.reader import ONLY_PICTURE, UnreadableError, read_facts, sampled
from aotd.video.source import DecodedVideos
from tests.video.clips import picture, write_moving, write_streams
from tests.video.test_decode import ask, shot, unreadable

MARKS = (None, Disposition.default, Disposition.attached_pic)
"""A muxer marks the first stream as the one to show, whatever it is."""


def seen(path: Path) -> tuple[int, int, str, int] | str:
    """Width, height, codec and frames; why not where there is none."""
    with path.open("rb", buffering=0) as file:
        try:
            facts = read_facts(file, every_frame=True)
        except UnreadableError as error:
            return str(error)
        file.seek(0)
        sizes = {pixels.shape for _, _, pixels in sampled(file, [facts.duration_s / 3, facts.duration_s / 2])}
        assert sizes == {(facts.height, facts.width, 3)}, "whoever decodes takes the same stream"
    return facts.width, facts.height, facts.codec, facts.decoded


@pytest.mark.parametrize("order", ["cf", "fc", "cfs", "scf", "fsc"])
@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.mov", "a.avi"])
def test_a_cover_is_not_the_film(name: str, order: str, tmp_path: Path) -> None:
    for mark, cover in product(MARKS, ("mjpeg",) if name == "a.mkv" else ("mjpeg", "png")):
        path = write_streams(tmp_path / name, order, mark, cover=cover)
        assert seen(path) == (64, 48, "mpeg4", 20), (mark, cover)


@pytest.mark.parametrize("order", ["fa", "af", "sfa"])
def test_nor_is_an_attached_one(order: str, tmp_path: Path) -> None:
    assert seen(write_streams(tmp_path / "a.mkv", order)) == (64, 48, "mpeg4", 20)


@pytest.mark.parametrize(("name", "codec"), [("a.webm", "libvpx"), ("a.ts", "mpeg2video")])
def test_what_a_container_cannot_hold_as_video_does_no_harm(name: str, codec: str, tmp_path: Path) -> None:
    order = "fa" if name == "a.webm" else "fc"
    assert str(seen(write_streams(tmp_path / name, order, codec=codec))[:2]) == "(64, 48)"


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.avi"])
@pytest.mark.parametrize("order", ["pf", "fp", "spf"])
@pytest.mark.parametrize("previews", [1, 3, 20])
def test_a_preview_is_not_the_film(name: str, order: str, previews: int, tmp_path: Path) -> None:
    assert seen(write_streams(tmp_path / name, order, previews=previews)) == (64, 48, "mpeg4", 20)


@pytest.mark.parametrize("order", ["cs", "sc", "sa"])
@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.mov", "a.avi"])
def test_music_with_a_cover_has_no_video(name: str, order: str, tmp_path: Path) -> None:
    if "a" in order and name != "a.mkv":
        pytest.skip("it holds no attachments")
    for mark in MARKS:
        assert "has no video stream" in str(seen(write_streams(tmp_path / name, order, mark)))


def test_nor_have_files_of_sound(tmp_path: Path) -> None:
    """An ID3 tag with a cover before an MP3, which as often is called .mp4; plain sound."""
    cover = b"\0image/jpeg\0\x03\0" + picture()
    frame = b"APIC" + len(cover).to_bytes(4, "big") + b"\0\0" + cover
    size = bytes(len(frame) >> shift & 127 for shift in (21, 14, 7, 0))
    sound = (b"\xff\xfb\x90\xc0" + bytes(413)) * 40
    (tmp_path / "song.mp4").write_bytes(b"ID3\x03\0\0" + size + frame + sound)
    assert seen(tmp_path / "song.mp4") == ONLY_PICTURE
    (tmp_path / "song.mp3").write_bytes(sound)
    with wave.open(str(tmp_path / "song.wav"), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(bytes(16000))
    for name in ("song.mp3", "song.wav"):
        assert seen(tmp_path / name) == "has no video stream"


def test_a_picture_alone_is_a_video_of_one_frame_and_a_film_of_pictures_one_of_many(tmp_path: Path) -> None:
    assert seen(write_streams(tmp_path / "a.mkv", "c")) == (200, 200, "mjpeg", 1)
    write_moving(tmp_path / "b.mkv", "mjpeg", frames=12, options={"strict": "unofficial"})
    assert seen(tmp_path / "b.mkv") == (96, 64, "mjpeg", 12)


@pytest.fixture
def source(tmp_path: Path) -> Iterator[DecodedVideos]:
    made = DecodedVideos(str(tmp_path), 4, 20)
    yield made
    made.close()


def test_the_process_that_decodes_takes_the_film(tmp_path: Path, source: DecodedVideos) -> None:
    write_streams(tmp_path / "a.mkv", "cfs")
    write_streams(tmp_path / "b.mp4", "sc", Disposition.attached_pic)
    video = source.open(ask("a.mkv"))
    assert (video.width, video.height) == (64, 48)
    assert shot(video.pixels()) == [2, 7, 12, 17]
    assert unreadable(source, ask("b.mp4")) == f"b.mp4: {ONLY_PICTURE}"
    table: Any = examine(str(tmp_path), ["a.mkv", "b.mp4"], 20)
    assert (table["a.mkv"].facts.codec, table["a.mkv"].defect) == ("mpeg4", None)
    assert table["b.mp4"] == type(table["b.mp4"])(None, ONLY_PICTURE)
