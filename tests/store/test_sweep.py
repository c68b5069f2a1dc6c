"""Partial files of killed processes are removed, and those that another worker is writing are not."""

from __future__ import annotations

from pathlib import Path

from aotd.runtime.pools import worker_pool
from aotd.store.files import whole_file


def write(path: Path) -> None:
    with whole_file(path) as partial:
        partial.write_text("whole")


def test_worker_leaves_the_partial_file_of_another_that_began_before_it(tmp_path: Path) -> None:
    with whole_file(tmp_path / "first") as partial:
        partial.write_text("half")
        with worker_pool(1) as pool:
            pool.submit(write, tmp_path / "second").result()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "second"]
