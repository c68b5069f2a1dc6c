"""Processes that share out a verb's work. They leave signals to the process that started them, and end with it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from multiprocessing.context import SpawnContext
from typing import Any

from aotd.runtime.gc import all_stays
from aotd.runtime.signals import SIGNALS

_started_s = time.time()


def started_s() -> float:
    """When this process began, in seconds since 1970; in a worker, when the process began that shares out the work."""
    return _started_s


def cores() -> int:
    """The number of cores that this process may use, which may be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def spawning() -> SpawnContext:
    """The context that starts new processes. Forking is unsafe, since the parent may have threads (a bar, torch)."""
    # Python's resource tracker ignores the other signals that are sent to a whole job. It removes the semaphores of a
    # run that was stopped, and need not warn of them.
    quiet = "ignore:resource_tracker:UserWarning"
    sys.warnoptions.append(quiet)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    resource_tracker.ensure_running()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])
    sys.warnoptions.remove(quiet)
    return multiprocessing.get_context("spawn")


@contextmanager
def worker_pool(count: int, start: Callable[..., object] | None = None, *given: Any) -> Iterator[ProcessPoolExecutor]:
    """A pool of `count` spawned processes. An error that leaves the block kills them.

    Args:
        start: called with `given` in each process before its first task.
    """
    pool = ProcessPoolExecutor(count, spawning(), initializer=_begin, initargs=(_started_s, start, given))
    if sys.version_info < (3, 12, 1):
        # There, a process that is started while the pool clears up after one that has died breaks that off. So all are
        # started before the pool looks whether any has died.
        vars(pool)["_safe_to_dynamically_spawn_children"] = False
    try:
        yield pool
    except BaseException:
        for child in multiprocessing.active_children():
            child.kill()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _begin(began_s: float, start: Callable[..., object] | None, given: tuple[Any, ...]) -> None:
    global _started_s
    _started_s = began_s
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def leave_with_parent() -> None:
        wait([parent.sentinel])
        os._exit(1)

    # A parent that is killed outright cannot stop its workers, so they watch it and end by themselves.
    threading.Thread(target=leave_with_parent, daemon=True).start()
    all_stays()
    if start is not None:
        start(*given)
