"""Processes that share out a verb's work. They leave signals to the process that started them, and end with it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import wait
from typing import Any

from aotd.stop import SIGNALS


@contextmanager
def worker_pool(count: int, start: Callable[..., object] | None = None, *given: Any) -> Iterator[ProcessPoolExecutor]:
    """`count` processes, spawned. An error that leaves the block ends them at once, whatever they are doing.

    Args:
        start: called with `given` in each process before its first task.
    """
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(count, context, initializer=_begin, initargs=(start, given))
    try:
        yield pool
    except BaseException:
        for child in multiprocessing.active_children():
            child.kill()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _begin(start: Callable[..., object] | None, given: tuple[Any, ...]) -> None:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def leave_with_parent() -> None:
        wait([parent.sentinel])
        os._exit(1)

    # A parent that is killed outright cannot stop its workers; they notice and go by themselves.
    threading.Thread(target=leave_with_parent, daemon=True).start()
    if start is not None:
        start(*given)
