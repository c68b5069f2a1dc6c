"""Processes that share out work: they are there before the first of them can die."""

from __future__ import annotations

import multiprocessing
import os
import sys

import pytest

from aotd.runtime.pools import worker_pool


@pytest.mark.skipif(sys.version_info >= (3, 12, 1), reason="the pool waits there until a process has been started")
def test_worker_pool_starts_all_processes_at_once() -> None:
    with worker_pool(2) as pool:
        done = pool.submit(os.getpid)
        assert len(multiprocessing.active_children()) == 2
        assert done.result() in {child.pid for child in multiprocessing.active_children()}
