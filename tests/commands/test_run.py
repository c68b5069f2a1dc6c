"""`aotd run` says beforehand what is there and what is to do, and does not begin where it could not end."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from aotd.cli.main import main
from aotd.records import Program
from aotd.store.stage import Stage

FLOW = "verbs=[load,decompose,execute,convert,verify]"
SIZES = [f"dataset.playroom.{split}_videos=4" for split in ("train", "val", "test")]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    assert main(words(folder, "a", FLOW)) == 0
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return shutil.copytree(whole, tmp_path / "runs")


def words(folder: Path, run: str, *more: str) -> list[str]:
    return ["run", f"run={folder}/{run}", f"dataset.root={folder}/videos", *SIZES, "execute.workers=1", *more]


def told(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What was said before the first verb."""
    return capsys.readouterr().err.split("load ──")[0].splitlines()


def test_plan_of_new_run_is_all_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words(tmp_path, "a", "verbs=[load,decompose]", "cache.gb=0")) == 0
    assert told(capsys) == ["load       to do", "decompose  to do"]


def test_plan_refuses_a_mixture_of_runs_that_are_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mixture = f"distill.arms.aotd.mixture=[{{run: {tmp_path}/nowhere, root: videos}}]"
    assert main(words(tmp_path, "a", "verbs=[load,distill]", mixture)) == 2
    said = capsys.readouterr().err
    assert f"distill.arms.aotd.mixture: there is no run at '{tmp_path}/nowhere': make it first" in said
    assert not (tmp_path / "a").exists()


def test_plan_of_stopped_run_counts_what_is_done(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    count = len(Stage(folder / "a", "decompose", Program).records())
    path = folder / "a" / "decompose" / "records.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-3]))
    for verb in ("execute", "convert", "verify"):
        shutil.rmtree(folder / "a" / verb)
    assert main(words(folder, "a", "verbs=[load,decompose,execute]")) == 0
    assert told(capsys) == [
        f"load       {count} there",
        f"decompose  {count - 3} there; 3 to do",
        "execute    to do",
        f"what models said before stands in {folder}/cache; they are not asked again",
    ]
    assert main(words(folder, "a", "verbs=[load,decompose,execute]")) == 0
    assert [line.split("; ")[-1] for line in told(capsys)[1:3]] == ["nothing to do"] * 2


def test_plan_refuses_changed_settings(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(folder / "a" / "verify")
    assert main(words(folder, "a", FLOW, "specialists/action=mock")) == 2
    said = capsys.readouterr()
    (line,) = said.err.strip().splitlines()
    assert f"{folder}/a/execute was made otherwise (models.action: playroom-motion-1 -> mock-1)" in line
    assert "delete what was made of it (execute, convert)" in line
    assert not said.out
    for verb in ("execute", "convert"):
        shutil.rmtree(folder / "a" / verb)
    assert main(words(folder, "a", FLOW, "specialists/action=mock")) == 0


@pytest.mark.slow
def test_run_with_changed_settings_reuses_cache(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from aotd.specialists.calls import Findings

    asked: list[str] = []
    find = Findings.find

    def counted(self, calls):  # type: ignore[no-untyped-def]
        asked.extend(f"{call.subtask} {call.method}" for call in calls)
        return find(self, calls)

    monkeypatch.setattr(Findings, "find", counted)
    assert main(words(folder, "b", FLOW)) == 0
    assert not asked
    assert main(words(folder, "c", FLOW, "specialists/answering=mock")) == 0
    assert {call.split()[0] for call in asked} >= {"answering"}
    first = list(asked)
    assert main(words(folder, "d", FLOW, "specialists/answering=mock")) == 0
    assert asked == first


@pytest.mark.slow  # a whole run in processes of its own
def test_run_needs_no_home(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "XDG_"))}
    environment |= {"HOME": f"{os.devnull}/home", "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    command = [sys.executable, "-m", "aotd", *words(tmp_path, "a", FLOW)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "a" / "verify" / "records.jsonl").stat().st_size
