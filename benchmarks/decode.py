"""What reading 32 frames of a video costs: our reader beside decord and two plain ways with PyAV.

    pip install "aotd[bench]"
    python -m benchmarks.decode

Clips of 15 to 60 s are made in a temporary folder: things that move over a texture that moves too, with the noise of a
sensor, as x264 (`veryfast`) writes them in seven layouts. Each way reads the frames shown at the same 32 moments, in
one thread, in turn with the others, in one process; what is counted is that process's CPU time, user and system, over
opening the file, decoding and making one array `[32, height, width, 3]` of RGB (the least of the rounds). Ours is
`aotd.video.reader.sampled`, what the decoding process runs; starting it and the pipe out of it are not counted.

All ways convert colours with FFmpeg's swscale and its default, bilinear, so that pixels can be compared. decord is
asked for the frames by their numbers in the order in which they are shown. Where groups are open it counts wrongly
after a seek: it shows frames up to three later than those asked for. So the last word on which frame is which has the
pass over the whole file, and a layout on which decord differs from that is named.

The last line is JSON: `cpu_ratio`, decord's CPU time over ours, summed over the layouts; the least and the mean of the
layouts; `identical`, whether ours are the whole pass's pixels on every layout, and decord's on every one but those
under `decord_differs` (layout -> how many of its frames are not the whole pass's). It ends with status 1 where they
are not.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from aotd.errors import UserError
from aotd.video.clip import Pixels, frame_times
from aotd.video.reader import read_facts, sampled

FRAMES = 32
CLOCK = 1000
"""Ticks a second."""


@dataclass(frozen=True)
class Layout:
    """How a clip is written."""

    frames: int
    size: tuple[int, int] = (480, 360)
    uneven: bool = False
    """Frames are shown for 10 to 120 ms in place of 33."""
    options: dict[str, str] = field(default_factory=dict)
    """Of the encoder."""


LAYOUTS = {
    "groups of 30": Layout(1800, options={"g": "30"}),
    "groups of 250": Layout(1800, options={"g": "250"}),
    "8 B-frames": Layout(900, options={"g": "120", "bf": "8"}),
    "no B-frames": Layout(900, options={"g": "60", "bf": "0"}),
    "open groups": Layout(900, options={"x264-params": "open-gop=1:keyint=60"}),
    "uneven times": Layout(900, uneven=True, options={"g": "120"}),
    "720p": Layout(900, (1280, 720), options={"g": "250"}),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    ways: dict[str, Callable[[Path, list[float], list[int]], Pixels]] = {
        "ours": lambda path, moments, numbers: ours(path, moments),
        "decord": decord_way(),
        "PyAV, whole": lambda path, moments, numbers: whole(path, numbers),
        "PyAV, seeks": lambda path, moments, numbers: seeks(path, numbers),
    }
    av.logging.set_level(av.logging.PANIC)
    costs: dict[str, dict[str, float]] = {}
    differs: dict[str, dict[str, int]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, layout in LAYOUTS.items():
            path = Path(folder) / "clip.mp4"
            write(path, layout)
            with path.open("rb", buffering=0) as file:
                moments = frame_times(0, read_facts(file, every_frame=False).duration_s, FRAMES)
            starts = shown(path)
            numbers = [bisect_right(starts, moment) - 1 for moment in moments]
            times: dict[str, list[float]] = {way: [] for way in ways}
            found: dict[str, Pixels] = {}
            for _ in range(rounds):  # in turn, so that a machine that slows down slows all
                for way, read in ways.items():
                    started = time.process_time()
                    found[way] = read(path, moments, numbers)
                    times[way].append(time.process_time() - started)
            costs[name] = {way: min(values) for way, values in times.items()}
            differs[name] = {way: unlike(pixels, found["PyAV, whole"]) for way, pixels in found.items()}
            print_row(name, costs[name], differs[name])
    found_out = summary(costs, differs)
    print(json.dumps(found_out))
    return 0 if found_out["identical"] else 1


def summary(costs: dict[str, dict[str, float]], differs: dict[str, dict[str, int]]) -> dict[str, Any]:
    ratios = {name: round(cost["decord"] / cost["ours"], 2) for name, cost in costs.items()}
    total = {way: sum(cost[way] for cost in costs.values()) for way in ("ours", "decord")}
    return {
        "cpu_ratio": round(total["decord"] / total["ours"], 2),
        "least_ratio": min(ratios.values()),
        "mean_ratio": round(statistics.geometric_mean(ratios.values()), 2),
        "ratios": ratios,
        "identical": not any(found["ours"] for found in differs.values()),
        "decord_differs": {name: found["decord"] for name, found in differs.items() if found["decord"]},
    }


def print_row(name: str, cost: dict[str, float], differs: dict[str, int]) -> None:
    """CPU seconds of each way; how many times ours, and how many frames differ from those of the whole pass."""
    cells = [
        f"{way} {seconds:.3f} s" + (f" (x{seconds / cost['ours']:.2f})" if way != "ours" else "") + wrong(differs[way])
        for way, seconds in cost.items()
    ]
    print(f"{name:<14} {' | '.join(cells)}", flush=True)


def wrong(count: int) -> str:
    return f" [{count} frames differ]" if count else ""


def unlike(pixels: Pixels, others: Pixels) -> int:
    """How many frames differ."""
    assert pixels.shape == others.shape
    return sum(not np.array_equal(one, other) for one, other in zip(pixels, others, strict=True))


def ours(path: Path, moments: list[float]) -> Pixels:
    with path.open("rb", buffering=0) as file:
        return gathered(len(moments), ((pixels, copies) for _, copies, pixels in sampled(file, moments)))


def gathered(count: int, frames: Iterable[tuple[Pixels, int]]) -> Pixels:
    """So many frames, some several times, in one array: each is put in its place as it comes."""
    found: Pixels | None = None
    at = 0
    for pixels, copies in frames:
        if found is None:
            found = np.empty((count, *pixels.shape), np.uint8)
        found[at : at + copies] = pixels
        at += copies
    assert found is not None
    assert at == count
    return found


def decord_way() -> Callable[[Path, list[float], list[int]], Pixels]:
    """
    Raises:
        UserError: decord is not installed.
    """
    try:
        import decord
    except ImportError:
        raise UserError('decord is not installed: pip install "aotd[bench]"') from None
    decord.logging.set_level(decord.logging.QUIET)

    def read(path: Path, moments: list[float], numbers: list[int]) -> Pixels:
        reader = decord.VideoReader(str(path), ctx=decord.cpu(0), num_threads=1)
        pixels: Pixels = reader.get_batch(numbers).asnumpy()
        return pixels

    return read


def whole(path: Path, numbers: Sequence[int]) -> Pixels:
    """Every frame decoded, those that are wanted converted."""
    wanted = Counter(numbers)

    def frames() -> Iterator[tuple[Pixels, int]]:
        with av.open(str(path)) as container:
            container.streams.video[0].codec_context.thread_count = 1
            for number, frame in enumerate(container.decode(video=0)):
                if number in wanted:
                    yield frame.to_ndarray(format="rgb24", threads=1), wanted[number]
                if number == numbers[-1]:
                    return

    return gathered(len(numbers), frames())


def seeks(path: Path, numbers: Sequence[int]) -> Pixels:
    """A seek to the key frame before each wanted frame, and decoding up to it."""
    stamps = shown_ticks(path)

    def frames() -> Iterator[tuple[Pixels, int]]:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1
            for number in numbers:
                container.seek(stamps[number], stream=stream)
                frame = next(frame for frame in container.decode(stream) if frame.pts >= stamps[number])
                yield frame.to_ndarray(format="rgb24", threads=1), 1

    return gathered(len(numbers), frames())


def shown_ticks(path: Path) -> list[int]:
    """When each frame is shown, in the stream's ticks, in that order."""
    with av.open(str(path)) as container:
        return sorted(packet.pts for packet in container.demux(video=0) if packet.size)


def shown(path: Path) -> list[float]:
    """The same in seconds from the container's start."""
    with av.open(str(path)) as container:
        base, start_s = container.streams.video[0].time_base, (container.start_time or 0) / av.time_base
    return [float(ticks * base) - start_s for ticks in shown_ticks(path)]


def write(path: Path, layout: Layout) -> None:
    """A clip in some layout; the same every time."""
    rng = np.random.default_rng(1)
    steps = rng.uniform(0.01, 0.12, layout.frames) if layout.uneven else np.full(layout.frames, 1 / 30)
    ticks = np.round(np.cumsum(steps) * CLOCK).astype(int) - round(float(steps[0]) * CLOCK)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"preset": "veryfast", **layout.options})
        stream.width, stream.height = layout.size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, CLOCK)
        for number, picture in enumerate(scene(layout.frames, *layout.size)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = int(ticks[number]), Fraction(1, CLOCK)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def scene(frames: int, width: int, height: int) -> Iterator[Pixels]:
    """A camera that pans over patches of colour, six things that move in front of them, and the sensor's noise."""
    rng = np.random.default_rng(2)
    ground = np.kron(rng.integers(40, 200, (height // 16 + 8, width // 16 + 60, 3)), np.ones((16, 16, 1))).astype(
        np.uint8
    )
    noise = rng.normal(0, 4, (8, height, width, 1)).astype(np.int16)
    things = [(rng.integers(20, 80, 2), rng.random(4), rng.integers(0, 255, 3)) for _ in range(6)]
    for number in range(frames):
        top, left = int(30 + 30 * np.sin(number / 40)), number // 2 % (ground.shape[1] - width)
        picture = ground[top : top + height, left : left + width].copy()
        for (high, wide), (a, b, c, d), colour in things:
            x = int((width - wide) * (0.5 + 0.5 * np.sin(number * (0.01 + 0.03 * a) + 6 * b)))
            y = int((height - high) * (0.5 + 0.5 * np.cos(number * (0.01 + 0.03 * c) + 6 * d)))
            picture[y : y + high, x : x + wide] = colour
        yield np.clip(picture + noise[rng.integers(8)], 0, 255).astype(np.uint8)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
