"""How long a file may take: as long as it makes progress, on a machine as slow as it may be; and no longer."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from aotd.video import decode, launch
from aotd.video.decode import DamagedError, Decoder
from tests.video.test_decode import GREET, shot
from tests.video.test_liars import FACTS, LIAR

DEADLINE_S = 1.0


@pytest.fixture
def standing_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Decoder]]:
    """Gives a decoder whose process runs these lines."""
    made: list[Decoder] = []

    def begin(lines: str) -> Decoder:
        (tmp_path / "worker.py").write_text(lines)
        monkeypatch.setattr(launch, "_WORKER", tmp_path / "worker.py")
        made.append(Decoder(DEADLINE_S))
        made[-1].begin()
        return made[-1]

    yield begin
    for decoder in made:
        decoder.close()


def says(lines: str) -> str:
    return LIAR.format(facts=json.dumps(FACTS), greet=GREET, says=lines)


SLOW = f"""
import runpy, time
from aotd.video import reader
demux = reader.Reader.demux
def slowly(self):
    for packet in demux(self):
        until = time.monotonic() + 0.06
        while time.monotonic() < until:  # the walls know no sleep
            pass
        yield packet
reader.Reader.demux = slowly
runpy.run_path({str(launch._WORKER)!r}, run_name="__main__")
"""


def test_one_that_is_slow_is_waited_for(root: Path, standing_in: Callable[[str], Decoder]) -> None:
    decoder = standing_in(SLOW)
    started = time.monotonic()
    facts = decoder.facts(root.resolve() / "a.mp4", every_frame=True)
    assert (facts.decoded, facts.cut) == (20, False)
    assert time.monotonic() - started > 1.2 * DEADLINE_S
    assert shot(decoder.frames(root.resolve() / "a.mp4", [0.05, 0.15], 64, 48)) == [0, 1]


def test_so_is_one_that_only_says_that_it_works(root: Path, standing_in: Callable[[str], Decoder]) -> None:
    decoder = standing_in(
        says(
            "asked()\nfor n in range(1, 8): time.sleep(0.3); say({'progress': 100 * n})\nsay({'facts': FACTS}); asked()"
        )
    )
    assert decoder.facts(root.resolve() / "a.mp4").decoded == 20


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ("say({'progress': 9}); time.sleep(60)", "decoding made no progress for 1 s"),
        ("say({'progress': 9}); raw(b'\\0\\0')\nwhile True: time.sleep(0.1)", "decoding made no progress for 1 s"),
        ("raw(b'\\0\\x0f\\0\\0')\nwhile True: raw(b' '); time.sleep(0.1)", "decoding made no progress for 1 s"),
        ("while True: say({'progress': 9})", "more packets than the file can hold"),
        ("for n in range(9, 0, -1): say({'progress': n})\ntime.sleep(60)", "more packets than the file can hold"),
        ("n = 1\nwhile True: say({'progress': n}); n += 1000", "more packets than the file can hold"),
        ("say({'progress': 2**80}); time.sleep(60)", "more packets than the file can hold"),
        ("say({'progress': 0}); time.sleep(60)", "nonsense"),
        ("say({'progress': 1, 'facts': FACTS}); time.sleep(60)", "nonsense"),
        ("say({'progress': '1'}); time.sleep(60)", "nonsense"),
    ],
)  # fmt: skip
def test_one_that_hangs_or_works_without_end_is_ended(
    lines: str, reason: str, root: Path, standing_in: Callable[[str], Decoder]
) -> None:
    decoder = standing_in(says(f"asked()\n{lines}"))
    started = time.monotonic()
    with pytest.raises(DamagedError, match=reason):
        decoder.facts(root.resolve() / "a.mp4")
    assert time.monotonic() - started < 20 * DEADLINE_S
    assert decoder._process is None, "it was ended"


def test_time_for_which_this_process_is_stopped_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scheduler, or Ctrl-Z, stops a job for longer than any deadline; then the answer is there."""
    clock_s, waits = [0.0], iter([(0.05, []), (3600.0, []), (0.05, []), (3600.0, [1])])

    def select(_: float) -> list[int]:
        took_s, ready = next(waits)
        clock_s[0] += took_s
        return ready

    monkeypatch.setattr(decode, "time", SimpleNamespace(monotonic=lambda: clock_s[0]))
    process: Any = SimpleNamespace(stdout=SimpleNamespace(fileno=lambda: 0))
    selector: Any = SimpleNamespace(select=select)
    decode._Reply(process, DEADLINE_S, 1)._wait(selector)
    waits = iter([(0.05, [])] * 99)
    with pytest.raises(DamagedError, match="made no progress for 1 s"):
        decode._Reply(process, DEADLINE_S, 1)._wait(selector)
    assert len(list(waits)) == 99 - 20


def test_a_process_without_a_parent_ends_by_itself_when_it_gets_nowhere() -> None:
    """Where nobody is left to kill it: by its own time of the processor."""
    from aotd.video.worker import Heartbeat

    assert threading.current_thread() is threading.main_thread()
    before = signal.getitimer(signal.ITIMER_PROF)
    with open(os.devnull, "wb") as out:  # noqa: PTH123
        heartbeat = Heartbeat(out, 55.0)
        assert 59 < signal.getitimer(signal.ITIMER_PROF)[0] <= 61
        heartbeat()
        heartbeat.stop()
    assert signal.getitimer(signal.ITIMER_PROF)[0] == before[0] == 0
