"""Nobody is inside while one is alone, and nobody waits for ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from aotd.models.load_lock import ReadersWriterLock

SECONDS = 20.0


def side_by_side(*tasks: Callable[[], None]) -> None:
    threads = [threading.Thread(target=task, daemon=True) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert not any(thread.is_alive() for thread in threads), "somebody waits for ever"


def test_several_ask_at_once_and_loading_waits_for_them() -> None:
    lock = ReadersWriterLock()
    both = threading.Barrier(2, timeout=SECONDS)
    done: list[str] = []

    def ask(name: str) -> None:
        with lock.read():
            both.wait()  # each waits inside until the other is inside too
            time.sleep(0.05)
            done.append(name)

    def load() -> None:
        while both.n_waiting == 0 and not done:
            time.sleep(0.001)
        with lock.write():
            assert len(done) in (0, 2), "one of them was inside"
            done.append("loaded")

    side_by_side(lambda: ask("a"), lambda: ask("b"), load)
    assert sorted(done) == ["a", "b", "loaded"]


def test_who_asks_loads_meanwhile_and_loads_are_one_after_the_other() -> None:
    """As a run begins: each lane's first call loads, and some load twice."""
    lock = ReadersWriterLock()
    inside: list[str] = []
    most: list[int] = []

    def lane(loads: int) -> None:
        for _ in range(20):
            with lock.read():
                for _ in range(loads):
                    with lock.write():
                        inside.append("x")
                        most.append(len(inside))
                        time.sleep(0.001)
                        inside.pop()
                assert not inside, "weights are loaded while a model is asked"

    side_by_side(*[lambda loads=loads: lane(loads) for loads in (0, 1, 2, 1)])  # type: ignore[misc]
    assert set(most) == {1}


def test_a_load_that_fails_lets_the_others_go_on() -> None:
    lock = ReadersWriterLock()
    with lock.read(), pytest.raises(RuntimeError), lock.write():
        raise RuntimeError
    with pytest.raises(RuntimeError), lock.write():
        raise RuntimeError

    def ask() -> None:
        with lock.read(), lock.write():
            pass

    side_by_side(ask)


def test_many_go_together_and_one_alone() -> None:
    lock, inside, most = ReadersWriterLock(), [], []  # type: ignore[var-annotated]

    def go(alone: bool) -> None:
        for _ in range(30):
            with lock.write() if alone else lock.read():
                inside.append(alone)
                most.append((len(inside), any(inside)))
                time.sleep(0.0005)
                inside.remove(alone)

    threads = [threading.Thread(target=go, args=(number < 2,), daemon=True) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
        assert not thread.is_alive()
    assert max(count for count, alone in most if not alone) > 1
    assert max(count for count, alone in most if alone) == 1
