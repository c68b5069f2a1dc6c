"""Reading at some moments: the same frames and the same errors as where every frame is decoded, with less decoding."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aotd.video import gop, reader
from aotd.video.clip import frame_times
from aotd.video.gop import Held, OddError, Role
from aotd.video.reader import Reader, UnreadableError, read_facts, sampled
from tests.video.clips import turn, write_moving, write_video

X264 = {"preset": "veryfast"}
UNEVEN = [0.0, *np.cumsum(np.random.default_rng(5).uniform(0.01, 0.15, 119)).round(3).tolist()]


def _x264(**options: str) -> dict[str, str]:
    return {**X264, **options}


LAYOUTS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "groups of 30": ("a.mp4", "libx264", {"options": _x264(g="30")}),
    "groups of 250": ("a.mp4", "libx264", {"options": _x264(g="250"), "frames": 300}),
    "groups of 30 in Matroska": ("a.mkv", "libx264", {"options": _x264(g="30")}),
    "no B-frames": ("a.mp4", "libx264", {"options": _x264(g="30", bf="0")}),
    "8 B-frames": ("a.mp4", "libx264", {"options": _x264(g="60", bf="8", **{"b-pyramid": "strict"})}),
    "B-frames from none": ("a.mp4", "libx264", {"options": _x264(g="60", bf="3", **{"b-pyramid": "none"})}),
    "open groups": ("a.mp4", "libx264", {"options": _x264(**{"x264-params": "open-gop=1:keyint=20:scenecut=0"})}),
    "open groups, H.265": ("a.mp4", "libx265", {"options": {"preset": "ultrafast",
        "x265-params": "open-gop=1:keyint=20:scenecut=0:bframes=4:log-level=none:pools=none"}}),
    "closed groups, H.265": ("a.mkv", "libx265", {"options": {"preset": "ultrafast",
        "x265-params": "open-gop=0:keyint=20:scenecut=0:bframes=3:log-level=none:pools=none"}}),
    "settings in each group": ("a.mkv", "libx264", {"options": _x264(g="25", **{"x264-params": "repeat-headers=1"})}),
    "several slices": ("a.mp4", "libx264", {"options": _x264(g="25", slices="4")}),
    "every frame alone": ("a.mp4", "libx264", {"options": _x264(g="1")}),
    "one key frame": ("a.mp4", "libx264", {"options": _x264(g="9999", sc_threshold="0")}),
    "refreshed bit by bit": ("a.mp4", "libx264", {"options": _x264(g="30", **{"intra-refresh": "1"})}),
    "uneven times": ("a.mp4", "libx264", {"options": _x264(g="25"), "times": UNEVEN}),
    "fragments": ("a.mp4", "libx264", {"options": _x264(g="25"), "muxing": {"movflags": "frag_keyframe+empty_moov"}}),
    "MPEG-4 with B-frames": ("a.mp4", "mpeg4", {"options": {"g": "12", "bf": "2"}}),
    "MPEG-4": ("a.mkv", "mpeg4", {"options": {"g": "12"}}),
    "VP9": ("a.webm", "libvpx-vp9", {"options": {"g": "30", "deadline": "realtime", "cpu-used": "8"}}),
    "VP8": ("a.webm", "libvpx", {"options": {"g": "30", "deadline": "realtime", "cpu-used": "8"}}),
}  # fmt: skip
"""What is regular: name of the file, encoder, and how it is written."""
WHOLE: dict[str, tuple[str, str, dict[str, Any]]] = {
    "AVI": ("a.avi", "mpeg4", {"options": {"g": "12", "bf": "2"}}),
    "MPEG-TS": ("a.ts", "libx264", {"options": _x264(g="25")}),
    "interlaced": ("a.mp4", "libx264", {"options": _x264(g="25", flags="+ildct+ilme")}),
    "MPEG-2": ("a.mkv", "mpeg2video", {"options": {"g": "12", "bf": "2"}}),
    "pictures that are not shown": ("a.webm", "libvpx", {"options":
        {"g": "60", "deadline": "good", "cpu-used": "5", "auto-alt-ref": "1", "lag-in-frames": "16", "b": "100k"}}),
    "pictures that are not shown, VP9": ("a.webm", "libvpx-vp9", {"options":
        {"g": "60", "deadline": "good", "cpu-used": "8", "auto-alt-ref": "1", "lag-in-frames": "16", "b": "100k"}}),
    "AV1": ("a.mkv", "libsvtav1", {"options": {"g": "30", "preset": "12", "svtav1-params": "lp=1"}}),
}  # fmt: skip
"""What may be decoded whole."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The file of a layout, written once."""
    files: dict[str, Path] = {}

    def get(layout: str) -> Path:
        if layout not in files:
            name, codec, how = {**LAYOUTS, **WHOLE}[layout]
            try:
                av.codec.Codec(codec, "w")
            except av.codec.codec.UnknownCodecError:
                pytest.skip(f"there is no encoder {codec}")
            files[layout] = write_moving(tmp_path_factory.mktemp("layout") / name, codec, **how)
        return files[layout]

    return get


def read(path: Path, times: list[float]) -> np.ndarray | str:
    """What is read at some moments, a frame for each; the error where there is one."""
    found: list[np.ndarray] = []
    with path.open("rb", buffering=0) as file:
        try:
            for first, copies, pixels in sampled(file, times):
                assert first == len(found)
                found += [pixels] * copies
        except UnreadableError as error:
            return str(error)
    assert len(found) == len(times)
    return np.stack(found)


def plainly(path: Path) -> tuple[list[float], list[np.ndarray]]:
    """When each frame is first shown, and the frame."""
    with av.open(str(path)) as container:
        start_s = (container.start_time or 0) / av.time_base
        container.streams.video[0].thread_count = 1
        times, pixels = [], []
        for frame in container.decode(video=0):
            stamp = frame.pts if frame.pts is not None else frame.dts
            times.append(float(stamp * frame.time_base) - start_s)
            pixels.append(np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90))
    return times, pixels


written = cache(plainly)
"""The same of a file that stays as it was written."""


def at(times: list[float], frames: list[np.ndarray], moments: list[float]) -> np.ndarray:
    return np.stack([frames[max(int(np.searchsorted(times, moment, side="right")) - 1, 0)] for moment in moments])


def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by the number of packets that are decoded, group by group; it is an error to decode the whole."""
    counts: list[int] = []

    def counted(group: gop.Group, wanted: Any) -> list[Held]:
        needed = gop.needed(group, wanted)
        counts.append(len(needed))
        return needed

    def never(*_: Any) -> Iterator[Any]:
        raise AssertionError("the video was decoded whole")

    monkeypatch.setattr(reader, "needed", counted)
    monkeypatch.setattr(reader, "_from_all", never)
    return counts


@pytest.mark.parametrize("layout", LAYOUTS)
def test_frames_of_a_regular_video_are_those_of_a_plain_reader(
    layout: str, made: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = made(layout)
    times, frames = written(path)
    counts = decoded(monkeypatch)
    drawn = random.Random(layout)
    end_s = times[-1] + 0.04
    moments = [frame_times(0, end_s, count) for count in (1, 4, 32, 200)] + [list(times), [0.0], [end_s]]
    moments += [sorted(drawn.uniform(0, end_s) for _ in range(drawn.randint(1, 6))) for _ in range(20)]
    for asked in moments:
        found = read(path, asked)
        assert not isinstance(found, str), found
        assert np.array_equal(found, at(times, frames, asked))
    assert counts


@pytest.mark.parametrize("layout", WHOLE)
def test_so_are_those_of_any_other(layout: str, made: Callable[[str], Path]) -> None:
    path = made(layout)
    times, frames = written(path)
    for asked in (frame_times(0, times[-1], 32), frame_times(times[-1] / 2, times[-1], 3)):
        assert np.array_equal(read(path, asked), at(times, frames, asked))


@pytest.mark.parametrize("layout", ["groups of 30", "open groups, H.265", "uneven times", "VP9", "8 B-frames"])
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_so_they_are_at_any_moments(layout: str, made: Callable[[str], Path], data: st.DataObject) -> None:
    path = made(layout)
    times, frames = written(path)
    edges = st.sampled_from([*times, *(time_s - 1e-9 for time_s in times[1:])])
    moments = sorted(data.draw(st.lists(edges | st.floats(0, times[-1] + 0.04), min_size=1, max_size=40)))
    assert np.array_equal(read(path, moments), at(times, frames, moments))


def test_little_is_decoded_where_little_is_wanted(made: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    path = made("groups of 30")
    counts = decoded(monkeypatch)
    read(path, [2.41])  # the first frame of the third group
    assert counts == [1]
    counts.clear()
    read(path, frame_times(0, 4.8, 120))
    assert sum(counts) == 120, "all are wanted"
    counts.clear()
    read(path, frame_times(0, 4.8, 4))
    assert sum(counts) < 60, "of 120 frames"


@pytest.mark.parametrize("layout", ["groups of 30", "MPEG-4 with B-frames"])
@pytest.mark.parametrize("quarter", [1, 3])
def test_a_turned_video_is_turned(
    layout: str, quarter: int, made: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "turned.mp4"
    path.write_bytes(made(layout).read_bytes())
    turn(path, quarter)
    times, frames = plainly(path)
    decoded(monkeypatch)
    moments = frame_times(0, times[-1], 7)
    found = read(path, moments)
    assert np.array_equal(found, at(times, frames, moments))
    assert found.shape[1:] == (96, 64, 3)


def test_what_an_edit_list_leaves_out_is_not_shown(made: Callable[[str], Path], tmp_path: Path) -> None:
    data = bytearray(made("groups of 30").read_bytes())
    at_entry = data.index(b"elst") + 12  # version and flags, how many, then duration, time in the media, rate
    begin = int.from_bytes(data[at_entry + 4 : at_entry + 8], "big")
    with av.open(str(made("groups of 30"))) as container:
        ticks = int(1 / container.streams.video[0].time_base)
    data[at_entry + 4 : at_entry + 8] = (begin + ticks // 2).to_bytes(4, "big")
    (tmp_path / "later.mp4").write_bytes(data)
    with av.open(str(tmp_path / "later.mp4")) as container:
        assert any(packet.is_discard for packet in container.demux(video=0) if packet.size)
    with (tmp_path / "later.mp4").open("rb") as file:
        facts = read_facts(file, every_frame=True)
    times, frames = plainly(tmp_path / "later.mp4")
    moments = frame_times(0, facts.duration_s, 16)
    assert np.array_equal(read(tmp_path / "later.mp4", moments), at(times, frames, moments))


@pytest.mark.parametrize("layout", ["groups of 30", "open groups", "open groups, H.265", "VP9"])
def test_damage_shows_what_decoding_the_whole_shows_or_is_not_seen(
    layout: str, made: Callable[[str], Path], tmp_path: Path
) -> None:
    """Each damaged packet in turn; where what is left out is damaged, frames may be those of the sound file."""
    sound = made(layout)
    times, frames = plainly(sound)
    moments = frame_times(0, times[-1], 40)
    wanted = at(times, frames, moments)
    seen = 0
    packets = places(sound)
    for number in range(0, len(packets), 7):
        first, size = packets[number]
        data = bytearray(sound.read_bytes())
        data[first + size // 2 : first + size] = random.Random(number).randbytes(size - size // 2)
        hurt = tmp_path / sound.name
        hurt.write_bytes(data)
        found, whole = read(hurt, moments), _whole(hurt, moments)
        if isinstance(found, str):
            assert found == whole
            continue
        for at_moment, frame in enumerate(found):
            assert any(np.array_equal(frame, other[at_moment]) for other in (wanted, whole))
        seen += not np.array_equal(found, wanted)
    assert seen


def test_damage_in_a_group_of_which_nothing_is_wanted_is_not_seen(made: Callable[[str], Path], tmp_path: Path) -> None:
    sound = made("groups of 30")
    data = bytearray(sound.read_bytes())
    for first, size in places(sound)[31:59]:
        data[first + 8 : first + size] = bytes(size - 8)
    hurt = tmp_path / "a.mp4"
    hurt.write_bytes(data)
    assert np.array_equal(read(hurt, [0.5, 3.0, 4.0]), read(sound, [0.5, 3.0, 4.0]))
    assert np.array_equal(read(hurt, [0.5, 1.9, 4.0]), _whole(hurt, [0.5, 1.9, 4.0]))
    with hurt.open("rb") as file:
        assert read_facts(file, every_frame=True).damaged, "the probe of a whole file says so"


def places(path: Path) -> list[tuple[int, int]]:
    """Where in the file each packet of the video lies, and how long it is."""
    with av.open(str(path)) as container:
        return [
            (packet.pos + (9 if path.suffix == ".webm" else 0), packet.size)
            for packet in container.demux(video=0)
            if packet.size
        ]


def _whole(path: Path, moments: list[float]) -> np.ndarray | str:
    found: list[np.ndarray] = []
    with path.open("rb", buffering=0) as file:
        try:
            with Reader(file) as opened:
                for _, copies, pixels in reader._from_all(opened, moments, 0):
                    found += [pixels] * copies
        except UnreadableError as error:
            return str(error)
    return np.stack(found)


def test_after_something_odd_the_rest_comes_from_the_whole(
    made: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = made("groups of 30")
    times, frames = plainly(path)
    moments = sorted([*frame_times(0, 4.8, 16), 1.0, 1.001, 1.002])
    for count in range(1, 5):
        left = [count]

        def needed(group: gop.Group, wanted: Any, left: list[int] = left) -> list[Held]:
            left[0] -= 1
            if not left[0]:
                raise OddError("now")
            return gop.needed(group, wanted)

        monkeypatch.setattr(reader, "needed", needed)
        assert np.array_equal(read(path, moments), at(times, frames, moments))
        assert left[0] <= 0


@pytest.mark.parametrize("name", ["a.mp4", "a.avi"])
def test_a_moment_behind_the_end_is_an_error(name: str, tmp_path: Path) -> None:
    path = write_video(tmp_path / name)
    assert not isinstance(read(path, [0.5, 2.4]), str)
    assert read(path, [0.5, 2.6]) == "ends at 2.00 s; the frame at 2.60 s is missing"


@pytest.mark.parametrize("name", ["a.ts", "a.mpg"])
def test_files_joined_end_to_end_are_shown_from_end_to_end(name: str, tmp_path: Path) -> None:
    """A broadcast or a disc may begin its clock anew in the middle, too."""
    data = write_video(tmp_path / name, frames=20, fps=25, codec="mpeg2video").read_bytes()
    (tmp_path / name).write_bytes(3 * data)
    with (tmp_path / name).open("rb") as file:
        facts = read_facts(file, every_frame=True)
    assert (facts.decoded, facts.duration_s, facts.cut) == (60, pytest.approx(2.4), False)
    found = read(tmp_path / name, frame_times(0, 2.4, 60))
    assert not isinstance(found, str)
    assert [round((float(frame[30:, 30:].mean()) - 20) / 10) for frame in found] == 3 * [*range(20)]


def test_a_stream_that_comes_up_in_the_middle_does_no_harm(tmp_path: Path) -> None:
    """Sound may begin late in a stream without a header; PyAV then fails behind the last packet."""

    class Late:
        def __init__(self, container: Any) -> None:
            self.container = container

        def __getattr__(self, name: str) -> Any:
            return getattr(self.container, name)

        def demux(self) -> Iterator[Any]:
            yield from self.container.demux()
            raise IndexError

    path = write_video(tmp_path / "a.mpg", codec="mpeg2video", fps=25)
    with path.open("rb", buffering=0) as file, Reader(file) as opened:
        opened.container = Late(opened.container)
        assert len(list(opened.frames())) == 20
        assert (opened.damaged, opened.cut()) == (0, False)


class Packet:
    """As much of a packet as groups are told by."""

    def __init__(self, size: int = 10) -> None:
        self.size = size


def held(text: str) -> Iterator[Held]:
    """`I0 P3 b1`: I starts, b is free, behind them the time; `I0!` brings settings of its own."""
    for word in text.split():
        number = int(word[1:].rstrip("!"))
        role = Role(word[0] == "I", word[0] == "b", b"new" if word.endswith("!") else b"")
        yield Held(Packet(), number, float(number), role)


def told(text: str) -> list[tuple[str, str, float]]:
    """Each group: its packets, what it shows, until when."""
    return [
        (" ".join(str(one.pts) for one in g.packets), " ".join(str(one.pts) for one in g.shown), g.until_s)
        for g in gop.groups(held(text))
    ]


def test_groups_end_where_the_next_is_shown() -> None:
    end = float("inf")
    assert told("I0 P3 b1 b2") == [("0 3 1 2", "0 1 2 3", end)]
    assert told("I0 P1 I2 P3") == [("0 1 2", "0 1", 2.0), ("2 3", "2 3", end)]
    assert told("I0 P1 I4 b2 b3 P5") == [("0 1 4 2 3", "0 1 2 3", 4.0), ("4 5", "4 5", end)]
    assert told("I0 I1 I2") == [("0 1", "0", 1.0), ("1 2", "1", 2.0), ("2", "2", end)]
    assert told("I0 P1 I4 b2 b3") == [("0 1 4 2 3", "0 1 2 3", 4.0), ("4", "4", end)]
    assert told("") == []


@pytest.mark.parametrize(
    "text", ["P0 I1", "I0 P1 P1", "I0 P5 I4", "I0 P3 I5 b2 P6", "I2 b1", "I0 I4 P5 b3", "I0 P1! I2", "I0 I1!", "I0! I1"]
)
def test_what_does_not_fit_is_odd(text: str) -> None:
    with pytest.raises(OddError):
        told(text)


def test_a_group_that_takes_too_much_memory_is_odd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gop, "MOST_HELD", 45)
    assert len(told("I0 P1 P2 I3 P4 P5 I6 P7 P8 I9")) == 4
    with pytest.raises(OddError, match="larger"):
        told("I0 P1 P2 P3 P4")


@given(codec=st.sampled_from(sorted(gop._CODECS)), data=st.binary(min_size=1, max_size=60))
def test_any_bytes_are_a_packet_or_odd(codec: str, data: bytes) -> None:
    reading = gop.reading(codec, b"\1" + bytes(3) + b"\xff" + bytes(16) + b"\x0f" + bytes(3))
    assert reading
    try:
        role = reading(data)
    except OddError:
        return
    assert isinstance(role.starts, bool)
    assert isinstance(role.free, bool)
    assert not (role.starts and role.free)
