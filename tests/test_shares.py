"""The clocks of benchmarks/shares.py: each moment belongs to one kind, and what is timed is there."""

from __future__ import annotations

import importlib
import importlib._bootstrap as bootstrap
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import shares
from benchmarks.shares import DECODING, ENTRIES, IMPORTS, MODELS, OUTSIDE, Clock, timed, timed_stream


class Time:
    """A clock that goes when it is told to."""

    now = 0.0

    def go(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    made = Time()
    monkeypatch.setattr(shares, "_age_s", lambda: 0.0)
    monkeypatch.setattr(shares.time, "perf_counter", lambda: made.now)
    return made


def test_time_belongs_to_the_innermost_kind(time: Time) -> None:
    clock = Clock(None)
    decode = timed(clock, lambda: time.go(3), DECODING)

    def find() -> None:
        time.go(5)
        decode()
        time.go(7)

    time.go(1)
    clock.verb("execute")
    timed(clock, find, MODELS)()
    time.go(11)
    clock.end()
    assert clock.seconds == {"start": {OUTSIDE: 1}, "execute": {MODELS: 12, DECODING: 3, OUTSIDE: 11}}


def test_what_fails_takes_its_time_and_no_more(time: Time) -> None:
    clock = Clock(None)

    def fail() -> None:
        time.go(2)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        timed(clock, fail, MODELS)()
    time.go(3)
    clock.end()
    assert clock.seconds == {"start": {MODELS: 2, OUTSIDE: 3}}


def test_what_is_done_with_a_streams_pieces_is_not_the_streams(time: Time) -> None:
    clock = Clock(None)

    def replies() -> Iterator[int]:
        for number in range(3):
            time.go(10)
            yield number
        time.go(1)

    for _ in timed_stream(clock, replies, MODELS)():
        time.go(2)
    clock.end()
    assert clock.seconds == {"start": {MODELS: 31, OUTSIDE: 6}}


def test_another_thread_is_not_timed(time: Time) -> None:
    clock = Clock(None)
    helper = threading.Thread(target=timed(clock, lambda: time.go(4), MODELS))
    helper.start()
    helper.join()
    clock.end()
    assert clock.seconds == {"start": {OUTSIDE: 4}}


def test_loading_a_module_is_timed_and_so_are_its_entries(
    time: Time, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "new_here.py").write_text("class Model:\n    def say(self, go):\n        go(5)\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(bootstrap, "_find_and_load", bootstrap._find_and_load)
    monkeypatch.setattr(shares, "ENTRIES", {"new_here": [("Model", "say", MODELS)]})
    clock = Clock(None)
    shares.time_imports(clock)
    module = importlib.import_module("new_here")
    module.Model().say(time.go)
    clock.end()
    sys.modules.pop("new_here")
    assert clock.seconds == {"start": {OUTSIDE: 0, IMPORTS: 0, MODELS: 5}}


@pytest.mark.parametrize("module", [name for name in ENTRIES if name.startswith("aotd")])
def test_what_is_timed_is_there(module: str) -> None:
    found = importlib.import_module(module)
    for within, function, _ in ENTRIES[module]:
        owner = getattr(found, within) if within else found
        assert callable(getattr(owner, function))


def test_a_users_own_run_is_told_nothing_of_the_demo(tmp_path: Path) -> None:
    words = shares.settings(tmp_path, False, ["dataset=star", "dataset.root=data/star"])
    assert not [word for word in words if "experiment" in word or "playroom" in word]
    assert "dataset.root=data/star" in words
