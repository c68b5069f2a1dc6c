"""`aotd status`: what is done, running, failed and left, from files alone."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from aotd.cli.main import main
from aotd.commands.status import units
from aotd.records import Program, Question
from aotd.store.run import Run
from aotd.store.shards import ShardId, deal, shards
from aotd.store.stage import Stage
from aotd.store.state import Doing, State, recorded, state_path
from tests.sample_run import program, question

ROOT = Path(__file__).parents[2]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Forty questions that are loaded and dealt to three shards, of which the first is decomposed."""
    run = tmp_path / "run"
    with recorded(Run(run), "load"), Stage(run, "load", Question).open({}) as out:
        for number in range(40):
            out.write(question(f"q{number}"))
    for shard in shards(3):
        deal(Run(run), shard)
    decompose(run, 1)
    return run


def keys(run: Path, number: int) -> list[str]:
    return list(Stage(ShardId(3, number).run(Run(run)).folder, "load", Question).ids())


def decompose(run: Path, number: int, count: int | None = None) -> None:
    """Do so many questions of a shard."""
    folder = ShardId(3, number).run(Run(run)).folder
    with recorded(Run(folder), "decompose"), Stage(folder, "decompose", Program).open({}) as out:
        for key in keys(run, number)[:count]:
            out.write(program(key))


def say(run: Path, number: int, **known: object) -> None:
    """Write the state of a shard's decompose."""
    path = state_path(ShardId(3, number).run(Run(run)), "decompose")
    path.parent.mkdir(exist_ok=True)
    path.write_text(State.model_validate({"doing": "running", "started_s": time.time(), **known}).model_dump_json())


@pytest.fixture
def printed(run: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def printed(*more: str) -> str:
        capsys.readouterr()
        assert main(["status", str(run), *more]) == 0
        return capsys.readouterr().out

    return printed


def row(text: str, verb: str) -> list[str]:
    return next(line.split() for line in text.splitlines() if line.split()[:1] == [verb])


def test_status_counts_shards_by_verb(run: Path, printed: Callable[..., str]) -> None:
    decompose(run, 2, 3)
    say(run, 2, started_s=time.time() - 30, host="far", job="7_2", begun_with=1)
    text = printed()
    assert text.startswith(f"{run}: 3 shards")
    assert row(text, "load") == ["load", "1", "40", "of", "40"]
    first, second, third = (len(keys(run, number)) for number in (1, 2, 3))
    known = [str(first + 3), "of", str(first + second + third)]
    assert row(text, "decompose")[:7] == ["decompose", "1", "1", "1", *known]
    assert re.match(r"0\.0\d+ in \d+(\.\d)? (s|min|h), ", " ".join(row(text, "decompose")[7:]))
    assert row(text, "execute") == ["execute", "3"]
    assert len(text.splitlines()) < 16


def test_status_end_follows_slowest_shard(run: Path) -> None:
    from aotd.commands.status import _end

    for number in (2, 3):
        decompose(run, number, 5)
    say(run, 2, started_s=time.time() - 10, host="far")  # half a question a second
    say(run, 3, started_s=time.time() - 100, host="far")
    here = [unit for unit in units(Run(run), 3) if unit.verb == "decompose"]
    left = len(keys(run, 3)) - 5
    assert _end(here, 40).startswith(f"in {20 * left} s" if 20 * left < 120 else f"in {20 * left / 60:.0f} min")


def test_status_names_failed_shard_with_log(run: Path, printed: Callable[..., str]) -> None:
    decompose(run, 3, 2)
    say(run, 3, doing="failed", host="node7", job="12_3", log="/logs/x.log", error="\x1b[31mno room", ended_s=1e9)
    text = printed()
    assert row(text, "decompose")[:4] == ["decompose", "1", "1", "1"]
    (line,) = [line for line in text.splitlines() if "shard" in line and "node7" in line]
    assert line.startswith("decompose, shard 3/3 failed at Sun 09 Sep")
    assert line.endswith("(node7, job 12_3): \N{REPLACEMENT CHARACTER}[31mno room; log: /logs/x.log")


def test_status_reports_silence(run: Path, printed: Callable[..., str]) -> None:
    decompose(run, 2, 2)
    say(run, 2, host="far", pid=1, started_s=time.time() - 5000)
    assert "not heard of" not in printed()
    for path in (ShardId(3, 2).run(Run(run)).folder / "decompose").iterdir():
        os.utime(path, (time.time() - 840,) * 2)
    assert "decompose, shard 2/3: not heard of for 14 min (far, process 1)" in printed()
    say(run, 2, host="far", pid=1)  # begun a moment ago: it may be loading weights
    assert "not heard of" not in printed()


def test_status_detects_dead_process(run: Path, printed: Callable[..., str]) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    say(run, 2, host=platform.node(), pid=gone.pid)
    text = printed()
    assert f"decompose, shard 2/3 has gone without a word ({platform.node()}, process {gone.pid}): " in text
    assert row(text, "decompose")[:4] == ["decompose", "1", "1", "1"]
    assert " in " not in text  # it has no rate
    assert "decompose\t2\tgone\t" in printed("--tsv")
    say(run, 2, host=platform.node(), pid=os.getpid())
    assert "has gone" not in printed()


def test_status_tsv_lines(run: Path, printed: Callable[..., str], tmp_path: Path) -> None:
    decompose(run, 2, 3)
    say(run, 2, doing="stopped")
    first, second, third = (len(keys(run, number)) for number in (1, 2, 3))
    lines = printed("--tsv").splitlines()
    assert lines[:5] == [
        "load\t-\tdone\t40\t40",
        f"decompose\t1\tdone\t{first}\t{first}",
        f"decompose\t2\tstopped\t3\t{second}",
        f"decompose\t3\twaiting\t0\t{third}",
        f"execute\t1\twaiting\t0\t{first}",
    ]
    assert lines[-4:] == [f"{verb}\t-\twaiting\t-\t-" for verb in ("gather", "distill", "evaluate", "report")]
    assert len(lines) == 1 + 4 * 3 + 4
    assert len(printed("2", "--tsv").splitlines()) == 1 + 4 * 2 + 4
    shutil.rmtree(run)
    assert [line.split("\t")[2] for line in printed("2", "--tsv").splitlines()] == ["waiting"] * 13


def test_status_without_shards_or_state(run: Path, printed: Callable[..., str]) -> None:
    shutil.rmtree(run / "shards")
    with recorded(Run(run), "decompose"), Stage(run, "decompose", Program).open({}) as out:
        for number in range(40):
            out.write(program(f"q{number}"))
    text = printed()
    assert text.startswith(f"{run}: no shards")
    assert row(text, "decompose") == ["decompose", "1", "40", "of", "40"]
    assert "gather" not in text
    shutil.rmtree(run / "state")
    assert row(printed(), "decompose") == ["decompose", "1", "40", "of", "40"]
    path = run / "decompose" / "records.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:9]))
    found = {unit.verb: unit for unit in units(Run(run))}
    assert (found["decompose"].doing, found["decompose"].lines) == (Doing.stopped.value, 9)
    assert found["execute"].of is None


@pytest.mark.parametrize(
    ("more", "said"),
    [([], "status takes a run's folder"), (["RUN", "x"], "'x' is no number of shards"), (["nowhere"], "is not a run")],
)
def test_status_wrong_usage_is_one_line(
    more: list[str], said: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", *(str(run) if word == "RUN" else word for word in more)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert "usage: aotd status RUN [SHARDS] [--tsv | --json]" in line


def test_status_imports_no_torch(run: Path) -> None:
    code = (
        f"import sys; from aotd.cli.main import main; main(['status', {str(run)!r}]); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, stdout=subprocess.DEVNULL, timeout=60)
