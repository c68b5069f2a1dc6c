"""The cache gives back what was put in, or nothing; whatever happened to its files."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aotd.errors import UserError
from aotd.store.cache import Cache, CacheConfig, key, load_cache
from aotd.store.run import Run

PAGE = "ab12.findings"


def page(folder: Path) -> Path:
    return folder / "ab" / PAGE


def test_cache_shares_values_between_processes(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 1.0)
    assert cache.get(PAGE, "k") is None
    cache.put(PAGE, "k", '["ünï \\ud800"]')
    assert cache.get(PAGE, "k") == Cache(tmp_path, 1.0).get(PAGE, "k") == '["ünï \\ud800"]'
    assert Cache(tmp_path, 1.0).get(PAGE, "other") is None
    assert Cache(tmp_path, 1.0).get("ab13.findings", "k") is None


def test_cache_without_folder_stays_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cache = Cache()
    cache.put(PAGE, "k", "1")
    assert cache.get(PAGE, "k") == "1"
    assert not list(tmp_path.iterdir())


def test_cache_folder_defaults_to_beside_the_run(tmp_path: Path) -> None:
    run = str(tmp_path / "runs" / "mine")
    load_cache(CacheConfig(), Run(Path(run))).put(PAGE, "k", "1")
    assert page(tmp_path / "runs" / "cache").is_file()
    load_cache(CacheConfig(folder=str(tmp_path / "shared")), Run(Path(run))).put(PAGE, "k", "1")
    assert page(tmp_path / "shared").is_file()
    load_cache(CacheConfig(folder=str(tmp_path / "none"), gb=0), Run(Path(run))).put(PAGE, "k", "1")
    assert not (tmp_path / "none").exists()
    with pytest.raises(UserError, match=r"cache\.gb=-1"):
        load_cache(CacheConfig(gb=-1), Run(Path(run)))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_cache_skips_torn_and_damaged_lines(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("cache")
    values = {f"k{number}": f'"{"x" * number}"' for number in range(4)}
    for name, value in values.items():
        Cache(folder, 1.0).put(PAGE, name, value)
    whole = page(folder).read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    if data.draw(st.booleans()):
        page(folder).write_bytes(whole[:cut])
    else:
        at = min(cut, len(whole) - 1)
        page(folder).write_bytes(whole[:at] + bytes([data.draw(st.integers(0, 255))]) + whole[at + 1 :])
    found = {name: Cache(folder, 1.0).get(PAGE, name) for name in values}
    assert all(found[name] in (None, value) for name, value in values.items())
    Cache(folder, 1.0).put(PAGE, "new", "1")
    again = Cache(folder, 1.0)
    assert again.get(PAGE, "new") == "1"
    assert {name: again.get(PAGE, name) for name in values} == found, "nothing is lost by what is put in behind it"


def test_cache_page_survives_concurrent_processes(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from aotd.store.cache import Cache\n"
        "cache = Cache(Path(sys.argv[1]), 1.0)\n"
        f"for number in range(200): cache.put({PAGE!r}, f'{{sys.argv[2]}}-{{number}}', 'x' * 3000)\n"
    )
    started = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), name]) for name in "abc"]
    assert [process.wait() for process in started] == [0, 0, 0]
    cache = Cache(tmp_path, 1.0)
    assert all(cache.get(PAGE, f"{name}-{number}") == "x" * 3000 for name in "abc" for number in range(200))


def test_cache_is_thread_safe(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 1.0)

    def use(number: int) -> bool:
        name = str(number % 50)
        cache.put(PAGE, name, name)
        return cache.get(PAGE, name) == name

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(use, range(400)))
    assert page(tmp_path).read_bytes().count(b"\n") == 100, "each is written once"


def test_cache_evicts_least_recently_used_page(tmp_path: Path) -> None:
    names = [f"{number:02d}.findings" for number in range(10)]
    cache = Cache(tmp_path, 1.0)
    for number, name in enumerate(names):
        cache.put(name, "k", "x" * 10_000)
        os.utime(tmp_path / name[:2] / name, (1000.0 + number, 1000.0 + number))
    assert Cache(tmp_path, 1.0).get(names[0], "k"), "read: it counts as used"
    small = Cache(tmp_path, 55_000 / 2**30)
    small.put("ff.findings", "k", "1")
    left = sorted(path.name for path in tmp_path.rglob("*.findings"))
    assert left == [names[0], *names[7:], "ff.findings"]
    assert small.get(names[5], "k") is None


def test_cache_bounds_its_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aotd.store.cache._HELD_BYTES", 50_000)
    cache = Cache(tmp_path, 1.0)
    for number in range(20):
        cache.put(f"{number:02d}.findings", "k", "x" * 10_000)
    assert len(cache._pages) == 5
    assert cache.get("00.findings", "k") == "x" * 10_000, "from the disk"
    monkeypatch.setattr("aotd.store.cache._HELD", 2)
    assert cache.get("01.findings", "k") == "x" * 10_000
    assert len(cache._pages) == 2


def test_cache_reports_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(UserError, match=r"ab12\.findings: No space left on device: make room"):
        Cache(tmp_path, 1.0).put(PAGE, "k", "1")


def test_cache_reports_impossible_folder_on_load(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file" / "cache", Path("/proc/none"), Path("a\0b")):
        with pytest.raises(UserError, match=r"cache\.folder="):
            load_cache(CacheConfig(folder=str(folder)), Run(tmp_path / "run"))
    (tmp_path / "ab").write_text("")
    with pytest.raises(UserError, match=r"cache\.gb=0"):
        Cache(tmp_path, 1.0).put(PAGE, "k", "1")


def test_cache_key_distinguishes_parts() -> None:
    assert key("ab", "c") != key("a", "bc") != key(["a", "bc"])
    assert key(1.0, None, [1, 2]) == key(1.0, None, (1, 2))
    assert len(key("\ud800")) == 32
