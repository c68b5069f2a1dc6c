"""Decoding: the right frames, upright, and a named defect for everything that is not a sound video."""

from __future__ import annotations

import hashlib
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aotd.errors import QuestionError, UserError
from aotd.records import Outcome, Question
from aotd.video import launch
from aotd.video.decode import Decoder, Examined, probe
from aotd.video.facts import VideoFacts
from aotd.video.source import DecodedVideos
from tests.video.clips import turn, write_video

GREET = f"__import__('os').write(1, {launch._READY!r})"
"""What a decoding process of a test's own does first."""


def ask(video: str | None, start_s: float | None = None, end_s: float | None = None) -> Question:
    return Question(
        question_id="q",
        dataset="files",
        split="test",
        video_id="v",
        video=video,
        start_s=start_s,
        end_s=end_s,
        question="?",
        type="open",
    )


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    made = Decoder(20)
    yield made
    made.close()


@pytest.fixture
def source(tmp_path: Path) -> Iterator[DecodedVideos]:
    made = DecodedVideos(str(tmp_path), 4, 20)
    yield made
    made.close()


def shot(pixels: np.ndarray) -> list[int]:
    """The numbers of the frames by their brightness."""
    return [round((float(frame[30:, 30:].mean()) - 20) / 10) for frame in pixels]


def unreadable(source: DecodedVideos, question: Question) -> str:
    with pytest.raises(QuestionError) as caught:
        source.open(question).pixels()
    assert caught.value.outcome is Outcome.video_unreadable
    return caught.value.reason


def test_frames_are_those_shown_at_the_middle_of_each_part(tmp_path: Path, source: DecodedVideos) -> None:
    write_video(tmp_path / "a.mp4")
    video = source.open(ask("a.mp4"))
    assert (video.start_s, video.end_s, video.width, video.height) == (0.0, 2.0, 64, 48)
    pixels = video.pixels()
    assert pixels.shape == (4, 48, 64, 3)
    assert pixels.dtype == np.uint8
    assert shot(pixels) == [2, 7, 12, 17]
    part = source.open(ask("a.mp4", 1.0, 1.8))
    assert shot(part.pixels()) == [11, 13, 15, 17]


def test_each_frame_is_shown_until_the_next(tmp_path: Path, source: DecodedVideos) -> None:
    write_video(tmp_path / "slides.mp4", frames=4, times=[0.0, 0.2, 0.4, 3.8])
    video = source.open(ask("slides.mp4", 0.0, 3.9))
    assert shot(video.pixels()) == [2, 2, 2, 2]
    assert shot(source.open(ask("slides.mp4", 0.0, 0.8)).pixels()) == [0, 1, 2, 2]


@pytest.mark.parametrize("name", ["b.avi", "b.mkv", "b.mov"])
def test_other_containers(name: str, tmp_path: Path, source: DecodedVideos) -> None:
    write_video(tmp_path / name)
    assert shot(source.open(ask(name)).pixels()) == [2, 7, 12, 17]


@pytest.mark.parametrize(("quarter", "rotation", "corner"), [(1, 270, (0, -1)), (3, 90, (-1, 0))])
def test_turned_videos_stand_upright(
    quarter: int, rotation: int, corner: tuple[int, int], tmp_path: Path, source: DecodedVideos, decoder: Decoder
) -> None:
    path = write_video(tmp_path / "turned.mp4")
    turn(path, quarter)
    found = probe(path, decoder)
    assert found.facts
    assert (found.facts.rotation, found.facts.width, found.facts.height, found.defect) == (rotation, 48, 64, None)
    video = source.open(ask("turned.mp4"))
    assert (video.width, video.height) == (48, 64)
    assert video.pixels().shape == (4, 64, 48, 3)
    assert video.pixels()[0][corner].min() > 230, "the white corner turned with the picture"


def test_probe_counts_what_can_be_decoded(tmp_path: Path, decoder: Decoder) -> None:
    found = probe(write_video(tmp_path / "a.mp4"), decoder)
    assert found == Examined(VideoFacts("mpeg4", 64, 48, 0, 10.0, 2.0, 2.0, 20, 20, 0, False), None)


def test_a_cut_file_is_named(tmp_path: Path, source: DecodedVideos, decoder: Decoder) -> None:
    data = write_video(tmp_path / "whole.avi", frames=60).read_bytes()
    (tmp_path / "cut.avi").write_bytes(data[: len(data) // 2])
    found = probe(tmp_path / "cut.avi", decoder)
    assert found.facts
    assert 0 < found.facts.decoded < 60
    assert "cut off" in str(found.defect)
    assert "cut off" in unreadable(source, ask("cut.avi"))
    mp4 = write_video(tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(mp4[: len(mp4) // 2])
    assert "not a video" in unreadable(source, ask("cut.mp4"))


def test_damage_in_the_middle_is_named(tmp_path: Path, source: DecodedVideos, decoder: Decoder) -> None:
    data = bytearray(write_video(tmp_path / "hurt.mkv", frames=60, size=(160, 120)).read_bytes())
    middle = len(data) // 3
    data[middle : middle + len(data) // 3] = bytes(len(data) // 3)
    (tmp_path / "hurt.mkv").write_bytes(bytes(data))
    found = probe(tmp_path / "hurt.mkv", decoder)
    assert found.facts is None or found.facts.decoded < 60 or found.defect
    assert unreadable(source, ask("hurt.mkv"))


def test_what_is_no_video_is_named(tmp_path: Path, source: DecodedVideos, decoder: Decoder) -> None:
    (tmp_path / "text.mp4").write_text("not a video\n" * 50)
    (tmp_path / "empty.mp4").write_bytes(b"")
    write_video(tmp_path / "none.avi", frames=0)
    for name in ("text.mp4", "empty.mp4", "none.avi", "absent.mp4"):
        assert probe(tmp_path / name, decoder).defect
        assert unreadable(source, ask(name))
    assert "no such file" in unreadable(source, ask("absent.mp4"))
    assert "names no video" in unreadable(source, ask(None))


def test_sound_alone_is_no_video(tmp_path: Path, source: DecodedVideos) -> None:
    import wave

    with wave.open(str(tmp_path / "sound.avi"), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(bytes(16000))
    assert unreadable(source, ask("sound.avi"))


@pytest.mark.parametrize("kind", ["m3u8", "concat", "dash"])
def test_a_playlist_opens_no_other_file(kind: str, tmp_path: Path, source: DecodedVideos) -> None:
    other = write_video(tmp_path / "other.mp4")
    text = {
        "m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{other}\n#EXT-X-ENDLIST\n",
        "concat": f"ffconcat version 1.0\nfile {other.name}\n",
        "dash": f'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><BaseURL>{other}</BaseURL></MPD>',
    }[kind]
    (tmp_path / "list.mp4").write_text(text)
    assert "not a video" in unreadable(source, ask("list.mp4"))


def test_a_part_is_shown_up_to_the_end_of_the_video(tmp_path: Path, source: DecodedVideos) -> None:
    write_video(tmp_path / "a.mp4")
    video, whole = source.open(ask("a.mp4", 1.0, 9.0)), source.open(ask("a.mp4", 1.0))
    assert (video.start_s, video.end_s) == (whole.start_s, whole.end_s) == (1.0, 2.0)
    assert np.array_equal(video.pixels(), whole.pixels())


@pytest.mark.parametrize("part", [(5.0, None), (2.0, 9.0), (5.0, 9.0), (-1.0, 1.0), (1.5, 1.5), (1.5, 0.5)])
def test_a_part_outside_the_video(part: tuple[float, float | None], tmp_path: Path, source: DecodedVideos) -> None:
    write_video(tmp_path / "a.mp4")
    assert "ends at 2.00 s" in unreadable(source, ask("a.mp4", *part))


def test_names_cannot_leave_the_root(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    write_video(tmp_path / "outside.mp4")
    source = DecodedVideos(str(tmp_path / "root"), 4, 20)
    with pytest.raises(UserError, match="leads outside"):
        source.open(ask("../outside.mp4"))
    with pytest.raises(UserError, match=r"dataset\.root"):
        DecodedVideos(str(tmp_path / "nowhere"), 4, 20)


def test_a_hanging_decoder_is_killed_and_started_again(
    tmp_path: Path, source: DecodedVideos, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_video(tmp_path / "a.mp4")
    hangs = tmp_path / "hangs.py"
    hangs.write_text(f"import time\n{GREET}\ntime.sleep(60)\n")
    late = DecodedVideos(str(tmp_path), 4, 0.5)
    with monkeypatch.context() as patched:
        patched.setattr(launch, "_WORKER", hangs)
        started = time.monotonic()
        assert "no progress for 0.5 s" in unreadable(late, ask("a.mp4"))
        assert time.monotonic() - started < 5
    late.close()
    assert shot(source.open(ask("a.mp4")).pixels()) == [2, 7, 12, 17]


@pytest.mark.parametrize(
    ("says", "reason"),
    [
        ("sys.exit(3)", "crashed"),
        ("out(b'\\xff' * 64)", "nonsense"),
        ("out(b'\\x00\\x00\\x00\\x02[]')", "nonsense"),
        ("out(b'\\x00\\x00\\x00\\x09not json!')", "nonsense"),
        ("out(b'\\x00\\x01\\x00\\x00' + b'[' * 65536)", "nonsense"),
    ],
)
def test_a_decoder_that_talks_nonsense_is_not_believed(
    says: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_video(tmp_path / "a.mp4")
    script = tmp_path / "worker.py"
    script.write_text(
        f"import select, sys\n{GREET}\nselect.select([0], [], [])\n"  # until it is asked
        "def out(raw):\n    sys.stdout.buffer.write(raw)\n    sys.stdout.flush()\n    sys.stdin.read()\n" + says
    )
    monkeypatch.setattr(launch, "_WORKER", script)
    source = DecodedVideos(str(tmp_path), 4, 20)
    assert reason in unreadable(source, ask("a.mp4"))
    source.close()


def test_questions_of_one_video_share_its_frames(tmp_path: Path, source: DecodedVideos) -> None:
    write_video(tmp_path / "a.mp4")
    first = source.open(ask("a.mp4")).pixels()
    assert source.open(ask("a.mp4")).pixels() is first
    assert not first.flags.writeable


def at_once(work: Callable[[str], Any], names: Sequence[str]) -> list[Any]:
    """What comes of each name, each in a thread of its own."""
    with ThreadPoolExecutor(len(names)) as pool:
        return list(pool.map(work, names))


def test_threads_decode_as_many_files_at_once_as_there_are_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aotd.video.source.cores", lambda: 3)
    source = DecodedVideos(str(tmp_path), 4, 20)
    names = [f"{number}.mp4" for number in range(3)]
    for name in names:
        write_video(tmp_path / name)
    all_here = threading.Barrier(3, timeout=20)
    plain = Decoder.frames

    def frames(self: Decoder, *asked: Any) -> np.ndarray:
        all_here.wait()
        return plain(self, *asked)

    monkeypatch.setattr(Decoder, "frames", frames)
    found = at_once(lambda name: shot(source.open(ask(name)).pixels()), names)
    assert found == 3 * [[2, 7, 12, 17]]
    assert len(source._idle) == 3
    for name in (more := [f"{number}.mp4" for number in range(3, 9)]):
        write_video(tmp_path / name)
    assert len(at_once(lambda name: shot(source.open(ask(name)).pixels()), more)) == 6
    assert len(source._idle) == 3
    processes = [decoder._process for decoder in source._idle]
    source.close()
    assert all(process is not None and process.poll() is not None for process in processes)


def test_processes_that_were_begun_before_are_those_that_decode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aotd.video.source.cores", lambda: 2)
    source = DecodedVideos(str(tmp_path), 4, 20)
    source.begin(0)
    assert not source._idle
    source.begin(9)
    processes = [decoder._process for decoder in source._idle]
    assert len(processes) == 2, "no more than there are cores"
    assert all(process is not None and process.poll() is None for process in processes)
    monkeypatch.setattr("aotd.video.decode.start", lambda deadline_s: pytest.fail("another one is started"))
    names = ["a.mp4", "b.mp4"]
    for name in names:
        write_video(tmp_path / name)
    assert at_once(lambda name: shot(source.open(ask(name)).pixels()), names) == 2 * [[2, 7, 12, 17]]
    source.close()
    assert all(process.poll() is not None for process in processes if process)


def test_what_several_threads_ask_for_is_done_once(
    tmp_path: Path, source: DecodedVideos, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_video(tmp_path / "a.mp4")
    done: list[str] = []

    def counted(name: str) -> Any:
        plain = getattr(Decoder, name)

        def asked(self: Decoder, *args: Any) -> Any:
            done.append(name)
            time.sleep(0.2)
            return plain(self, *args)

        return asked

    for name in ("facts", "frames"):
        monkeypatch.setattr(Decoder, name, counted(name))
    first, *others = at_once(lambda name: source.open(ask(name)).pixels(), 4 * ["a.mp4"])
    assert all(pixels is first for pixels in others)
    assert done == ["facts", "frames"]
    (tmp_path / "bad.mp4").write_text("no")
    done.clear()
    reasons = at_once(lambda name: unreadable(source, ask(name)), 4 * ["bad.mp4"])
    assert len(set(reasons)) == 1
    assert done == ["facts"]


@pytest.mark.parametrize(("videos", "kept"), [(0, 1), (1, 1), (2, 2), (9, 5)])
def test_decoded_videos_stay_within_a_budget(
    videos: int, kept: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = DecodedVideos(str(tmp_path), 4, 20, cached_bytes=videos * 4 * 48 * 64 * 3)
    decoded = []
    frames = Decoder.frames

    def counted(self: Decoder, path: Path, *more: Any) -> Any:
        decoded.append(path.name)
        return frames(self, path, *more)

    monkeypatch.setattr(Decoder, "frames", counted)
    names = [write_video(tmp_path / f"{n}.mp4").name for n in range(5)]
    for name in names:
        source.open(ask(name)).pixels()
    assert decoded == names
    assert source.room() == videos
    for name in names[: -kept - 1 : -1]:
        source.open(ask(name)).pixels()
    assert decoded == names
    if kept < 5:
        held = source.open(ask(names[0])).pixels()
        assert decoded.pop() == names[0]
        for name in names[1:]:
            source.open(ask(name)).pixels()
        count = len(decoded)
        assert source.open(ask(names[0])).pixels() is held, "somebody has it in hand"
        assert len(decoded) == count
    source.close()


def test_another_number_of_frames_is_another_sample(tmp_path: Path, source: DecodedVideos) -> None:
    write_video(tmp_path / "a.mp4")
    video = source.open(ask("a.mp4"))
    assert [len(video.pixels()), len(replace(video, frames=2).pixels())] == [4, 2]


def test_content_is_of_the_bytes_and_read_once(tmp_path: Path, source: DecodedVideos) -> None:
    data = write_video(tmp_path / "a.mp4").read_bytes()
    (tmp_path / "b.mp4").write_bytes(data)
    write_video(tmp_path / "c.mp4", frames=30)
    whole, part, same, other = (
        source.open(ask(name, start_s))
        for name, start_s in (("a.mp4", None), ("a.mp4", 1.0), ("b.mp4", None), ("c.mp4", 0.0))
    )
    assert whole.content == part.content == same.content == hashlib.sha256(data).hexdigest()
    assert other.content != whole.content
    (tmp_path / "a.mp4").unlink()
    assert whole.content == same.content
    gone = source.open(ask(write_video(tmp_path / "d.mp4").name))
    (tmp_path / "d.mp4").unlink()
    with pytest.raises(QuestionError, match="no such file") as caught:
        _ = gone.content
    assert caught.value.outcome is Outcome.video_unreadable


def test_a_bad_video_is_tried_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "text.mp4").write_text("no")
    source = DecodedVideos(str(tmp_path), 4, 20)
    assert unreadable(source, ask("text.mp4"))
    monkeypatch.setattr(sys, "executable", "/nowhere")
    assert unreadable(source, ask("text.mp4"))
    source.close()


@pytest.mark.parametrize(("times", "status"), [(1, 9), (1, 15), (2, 9)])
def test_a_process_that_somebody_kills_is_no_damage_unless_it_dies_again(
    times: int, status: int, tmp_path: Path, source: DecodedVideos, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_video(tmp_path / "v.mp4")
    script = f"""
import os, runpy, sys
from pathlib import Path
deaths = Path({str(tmp_path / "deaths")!r})
deaths.touch()
if len(deaths.read_text()) < {times}:
    {GREET}
    sys.stdin.buffer.read(4)
    deaths.write_text(deaths.read_text() + "x")
    os.kill(os.getpid(), {status})
runpy.run_path({str(launch._WORKER)!r}, run_name="__main__")
"""
    (tmp_path / "worker.py").write_text(script)
    monkeypatch.setattr(launch, "_WORKER", tmp_path / "worker.py")
    if times == 1:
        assert len(source.open(ask("v.mp4")).pixels()) == 4
    else:
        assert unreadable(source, ask("v.mp4")) == "v.mp4: the decoder crashed on it (status -9)"
