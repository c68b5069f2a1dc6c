"""Processes that share out work, of which one dies while the others are started."""

from __future__ import annotations

import multiprocessing
import time
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import pytest

from aotd.runtime.pools import spawning, worker_pool


def sleep_twice() -> None:
    with worker_pool(2) as pool:
        for done in [pool.submit(time.sleep, 60) for _ in range(2)]:
            done.result(timeout=30)


def test_worker_pool_survives_a_death_while_another_process_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    kind: Any = spawning().Process
    start, terminate = kind.start, kind.terminate

    def start_slowly(process: Any) -> None:
        start(process)
        for child in {*multiprocessing.active_children()} - {process}:
            child.kill()
        time.sleep(0.3)

    def terminate_slowly(process: Any) -> None:
        time.sleep(0.6)
        terminate(process)

    monkeypatch.setattr(kind, "start", start_slowly)
    monkeypatch.setattr(kind, "terminate", terminate_slowly)
    with pytest.raises(BrokenProcessPool):
        sleep_twice()
