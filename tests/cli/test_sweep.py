"""A sweep does each point in a run of its own, takes what they share from the run, and begins none if one is wrong."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from aotd.cli import sweep as sweeps
from aotd.cli.main import main
from aotd.config.command_line import read_settings
from aotd.records import Thought, Trace, Verdict
from aotd.runtime.signals import Stopped
from aotd.store.ledger import ledger
from aotd.store.run import Run
from aotd.store.stage import Stage
from aotd.view.provenance import provenance
from tests.sample_run import question, sample_run

ROOT = Path(__file__).resolve().parents[2]
SHARED = ["load", "decompose", "execute"]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run up to `execute`; the working directory is the folder that holds it."""
    monkeypatch.chdir(tmp_path)
    whole = sample_run(tmp_path / "whole")
    for verb in SHARED:
        shutil.copytree(whole / verb, tmp_path / "runs" / "a" / verb)
    shutil.rmtree(whole)
    return Path("runs/a")


def fails(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(words) == 2
    said = capsys.readouterr().err
    assert said.startswith("aotd: ")
    assert said.count("\n") == 1
    return said


def thoughts(run: Path) -> dict[str, str]:
    return {one.question_id: one.text for one in Stage(run, "convert", Thought).records()}


def everything(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file() and path.parent.name != "state")
    return {str(path): path.read_bytes() for path in paths}


def test_sweep_points_share_common_verbs(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = everything(run)
    assert main(["convert", "-m", f"run={run}", "convert.boxes=1,2"]) == 0
    points = [run / "sweep" / f"convert.boxes={count}" for count in (1, 2)]
    assert capsys.readouterr().out.split() == [str(point) for point in points]
    for count, point in zip((1, 2), points, strict=True):
        assert {path.name for path in point.iterdir()} == {*SHARED, "convert", "state"}
        for verb in SHARED:
            assert str((point / verb).readlink()) == f"../../{verb}"
        assert Stage(point, "convert", Thought).manifest()["settings"]["boxes"] == count
        assert ledger(Run(point)).counts()
    assert thoughts(points[0]).keys() == thoughts(points[1]).keys()
    one, two = (sum(text.count(" in frame ") for text in thoughts(point).values()) for point in points)
    assert one < two
    after = everything(run)
    assert {path: after[path] for path in before} == before, "a sweep changed the run it shares with"
    assert {path.name for path in Path().iterdir()} == {"runs"}, "something was littered"


def test_sweep_continues_with_another_verb(run: Path) -> None:
    words = ["-m", f"run={run}", "convert.boxes=1,2"]
    assert main(["convert", *words]) == 0
    before = everything(run)
    assert main(["convert", *words]) == 0
    assert {path for path in everything(run).items() ^ before.items() if "/jobs/" not in path[0]} == set()
    assert main(["verify", *words]) == 0
    for count in (1, 2):
        assert Stage(run / "sweep" / f"convert.boxes={count}", "verify", Verdict).count() > 0
    assert not (run / "verify").exists()


def test_sweep_refuses_shards(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = fails(capsys, "convert", "-m", f"run={run}", "shard.number=1,2", "shard.of=2")
    assert "leave shard.number and shard.of out" in said
    assert not (run / "shards").exists()


def test_sweep_of_run_does_unshared_verbs(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    verbs = f"verbs=[{','.join([*SHARED, 'convert', 'verify'])}]"
    assert main(["run", "-m", f"run={run}", "convert.boxes=1,2", verbs]) == 0
    assert "load ─" not in capsys.readouterr().err
    for count in (1, 2):
        assert (run / "sweep" / f"convert.boxes={count}" / "verify" / "records.jsonl").is_file()
    shutil.rmtree(run / "execute")
    said = fails(capsys, "run", "-m", f"run={run}", "convert.boxes=3,4", verbs)
    assert f"{run}/execute is not there" in said
    assert "verbs=[execute]" in said


def test_sweep_of_two_settings_is_their_product(run: Path) -> None:
    assert main(["convert", "-m", f"run={run}", "convert.boxes=range(1,3)", "convert.max_tokens=8,9"]) == 0
    assert {path.name for path in (run / "sweep").iterdir()} - {"jobs"} == {
        f"convert.boxes={boxes},convert.max_tokens={tokens}" for boxes in (1, 2) for tokens in (8, 9)
    }


def test_sweep_prints_scores_of_points(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "a"
    sample_run(run, [question(key, split) for key, split in zip("abcdefgt", ["train"] * 4 + ["test"] * 4, strict=True)])
    words = [f"run={run}", "evaluate.arms=[blind]", "evaluate.resamples=10", "evaluate.reading=strict,lenient"]
    assert main(["evaluate", "-m", *words]) == 0
    table = capsys.readouterr().out.rpartition("accuracy in %")[2]
    for reading in ("strict", "lenient"):
        assert f"evaluate.reading={reading} blind" in table
        point = run / "sweep" / f"evaluate.reading={reading}"
        assert (point / "verify").is_symlink()
        assert {fact.folder for fact in provenance(Run(point))} >= {"load", "verify", "evaluate/blind/answer"}


def test_sweep_names_failed_point_and_does_others(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", "-m", f"run={run}", "convert.writer=llm,template"]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("aotd: 1 of 2 points failed: convert.writer=llm: ")
    assert "add llm=transformers" in said
    assert thoughts(run / "sweep" / "convert.writer=template")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["convert", "convert.boxes=1"], "nothing to sweep over"),
        (["convert", "run=b,c", "convert.boxes=1"], "nothing to sweep over"),
        (["convert", "convert.boxs=1,2"], "did you mean convert.boxes?"),
        (["convert", "convert.boxes=1,x"], "convert.boxes: 'x' is no whole number"),
        (["convert", "convert.boxes=1,2", "llm=none,vlm"], "there is no llm=vlm: did you mean llm=vllm?"),
        (["convert", "convert.boxes=1,1"], "convert.boxes=1 is there twice"),
        (["convert", "convert.boxes=range(0,100000)"], "a sweep has 1 to 1000 points"),
        (["convert", "convert.boxes=range(0,100)", "seed=range(0,100)"], "a sweep has 1 to 1000 points"),
        (["convert", "convert.boxes=range(3,3)"], "a sweep has 1 to 1000 points"),
        (["convert", "convert.boxes=interval(0,1)"], "write the values"),
        (["convert", "llm.model=a,,b"], "llm.model=a,,b: a value is empty"),
        (["convert", "llm.model='a,b'"], "nothing to sweep over"),
        (["run", "verbs=load,execute"], "verbs: it is a list: write verbs=[load]"),
        (["convert", "llm=glob(*)"], "write the names out"),
        (["execute", "convert.boxes=1,2"], "execute comes before convert"),
        (["convert", "tracking.tracker=none,wandb"], "the points differ in tracking, on which no result depends"),
        (["ask", "seed=1,2"], "ask is no step of the flow"),
        (["convert", "+a=1,2"], "no setting a "),
        (["convert", "seed=1,2", "llm.batch=${oc.env:A_SECRET}"], "oc.env"),
        (["convert", "llm.batch=1,${oc.env:A_SECRET}"], "oc.env"),
        (
            ["convert", "convert.boxes=1,2", "hydra/launcher=submitit_slrm"],
            "did you mean hydra/launcher=submitit_slurm?",
        ),
        (["convert", "convert.boxes=1,2", "hydra/launcher=basic,submitit_local"], "there is no hydra/launcher=basic,"),
        (["convert", "convert.boxes=1,2", "hydra.launcher.partition=x"], "hydra/launcher=basic has no setting"),
        (["convert", "convert.boxes=1,2", "hydra.launcher._target_=os.system"], "no setting hydra.launcher._target_"),
        (["convert", "convert.boxes=1,2", "+hydra.launcher.a={_target_: os.abort}"], "no setting +hydra.launcher.a"),
        (["convert", "convert.boxes=1,2", "+hydra.launcher.a={b: [{_target_: os.abort}]}"], "no setting +hydra.l"),
        (["convert", "convert.boxes=1,2", "hydra.launcher.name.x=1"], "no setting hydra.launcher.name.x"),
        (["convert", "convert.boxes=1,2", "hydra.launcher.submitit_folder=/x"], "no setting hydra.launcher.submitit"),
        (["convert", "convert.boxes=1,2", "hydra.launcher={_target_: os.abort}"], "no setting hydra.launcher"),
        (["convert", "convert.boxes=1,2", "hydra.searchpath=[pkg://os]"], "no setting hydra.searchpath"),
        (["convert", "convert.boxes=1,2", "hydra.sweep.dir=/x"], "no setting hydra.sweep.dir"),
        (["convert", "convert.boxes=1,2", "hydra/sweeper=basic"], "no setting hydra/sweeper"),
        (["convert", "convert.boxes=1,2", "~hydra/launcher=basic"], "no setting ~hydra/launcher"),
        (["convert", "convert.boxes=1,2", "++hydra.launcher.name=x"], "no setting ++hydra.launcher.name"),
    ],
)
def test_sweep_mistake_begins_no_point(
    run: Path, words: list[str], says: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_SECRET", "hunter2")
    verb, *settings = words
    said = fails(capsys, verb, "-m", f"run={run}", *settings)
    assert says in said
    assert "hunter2" not in said
    assert not (run / "sweep").exists()
    assert {path.name for path in Path().iterdir()} == {"runs"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("hydra:\n  launcher:\n    _target_: os.abort", "no setting hydra"),
        ("defaults:\n  - override /hydra/launcher: submitit_local", "hydra"),
        ("verbs: &a [*a]", "no aliases"),
        ("llm:\n  model: ${oc.env:A_SECRET}", "oc.env"),
        ("llm:\n  _target_: os.abort", "_target_"),
        ("convert:\n  boxs: 1", "did you mean convert.boxes?"),
    ],
)
def test_sweep_refuses_hostile_config(
    run: Path, text: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_SECRET", "hunter2")
    (tmp_path / "own" / "experiment").mkdir(parents=True)
    (tmp_path / "own" / "experiment" / "theirs.yaml").write_text(f"# @package _global_\n{text}\n")
    said = fails(capsys, "convert", "-m", f"run={run}", "configs=own", "experiment=theirs", "convert.boxes=1,2")
    assert says in said
    assert "hunter2" not in said
    assert not (run / "sweep").exists()


def test_launcher_not_installed_names_extra(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "hydra_plugins.hydra_submitit_launcher.config", None)
    words = [f"run={run}", "convert.boxes=1,2", "hydra/launcher=submitit_local"]
    assert "pip install 'aotd[slurm]'" in fails(capsys, "convert", "-m", *words)


def test_sweep_job_stopped_defers_to_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[str] = []
    monkeypatch.setattr(sweeps, "run_verb", lambda verb, config: os.kill(os.getpid(), signal.SIGUSR1))
    before = signal.signal(signal.SIGUSR1, lambda number, frame: heard.append("queued again"))
    try:
        with pytest.raises(Stopped):
            sweeps.SweepJob("convert", [sweeps.Point("p", read_settings("convert", []))])(SimpleNamespace(number=0))
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert heard == ["queued again"]


def test_sweep_refuses_torchrun(run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert "not for torchrun" in fails(capsys, "convert", "-m", f"run={run}", "convert.boxes=1,2")


def test_sweep_folder_names_are_plain_and_unique() -> None:
    name = sweeps._folder_name
    assert name("distill.rationale_weight=0.5") == "distill.rationale_weight=0.5"
    assert name("student.path=/a/b") != name("student.path=/a_b") != name("student.path=_a_b")
    assert "/" not in name("student.path=../../x")
    assert len(name("llm.model=" + "x" * 500)) < 130


@pytest.mark.parametrize(
    ("words", "shared"),
    [
        (["seed=1,2"], []),
        (["specialists.source=video,mock"], []),
        (["specialists/action=mock,trivial"], ["load", "select", "decompose"]),
        (["llm.seed=1,2"], ["load", "select"]),
        (["distill.rationale_weight=1,2"], ["load", "select", "decompose", "execute", "convert", "verify"]),
        (["distill.rationale_weight=1,2", "convert.boxes=1,2"], ["load", "select", "decompose", "execute"]),
        (["student=valley,onevision_small"], ["load", "select", "decompose", "execute", "convert", "verify"]),
    ],
)
def test_sweep_shares_verbs_before_swept_settings(tmp_path: Path, words: list[str], shared: list[str]) -> None:
    (tmp_path / "load").mkdir()
    points = sweeps._points("distill", [f"run={tmp_path}", *words])
    assert sweeps._shared("distill", points) == shared


def test_sweep_knows_every_part_of_settings() -> None:
    parts = set(vars(read_settings("load", [])))
    assert parts - set(sweeps.MADE_BY) == {
        "run",
        "verbs",
        "tracking",
        "ask",
        "cache",
        "export",
        "instruct",
        "grow",
        "caption",
        "shard",
        "first_losses",
    }
    assert set(sweeps.MADE_BY) <= parts


def test_sweep_job_pickles_whole_settings() -> None:
    config = replace(read_settings("convert", ["convert.boxes=7"]), run="runs/x")
    work = pickle.loads(pickle.dumps(sweeps.SweepJob("convert", [sweeps.Point("p", config)])))
    assert work.points[0].config == config


def test_sweep_points_share_cache() -> None:
    points = sweeps._points("convert", ["run=runs/a", "convert.boxes=1,2"])
    assert sweeps._placed(Path("runs/a"), points[0], []).config.cache.folder == "runs/cache"


def mock_run(folder: Path) -> Path:
    """Questions and programs, to be executed by specialists that look at nothing."""
    run = folder / "runs" / "a"
    sample_run(folder / "whole")
    for verb in ("load", "decompose"):
        shutil.copytree(folder / "whole" / verb, run / verb)
    return run


def launched(run: Path, launcher: str, *more: str) -> subprocess.CompletedProcess[str]:
    words = [f"run={run}", "specialists=mock", "execute.limits.calls=20,30", "execute.workers=1", *more]
    return subprocess.run(
        [sys.executable, "-m", "aotd", "execute", "-m", *words, f"hydra/launcher={launcher}"],
        cwd=run.parent.parent,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=600,
    )


def check_points(run: Path) -> None:
    counts = [Stage(run / "sweep" / f"execute.limits.calls={calls}", "execute", Trace).count() for calls in (20, 30)]
    assert counts[0] == counts[1] > 0


@pytest.mark.slow
def test_sweep_submitit_local(tmp_path: Path) -> None:
    pytest.importorskip("submitit")
    run = mock_run(tmp_path)
    done = launched(run, "submitit_local", "hydra.launcher.timeout_min=5", "hydra.launcher.cpus_per_task=1")
    assert done.returncode == 0, done.stderr
    check_points(run)
    assert len(list((run / "sweep" / "jobs").glob("*/*/*_log.out"))) == 2
    assert not (tmp_path / "outputs").exists()
    assert not (tmp_path / "multirun").exists()


@pytest.mark.slow
def test_sweep_submitit_failure_is_reported(tmp_path: Path) -> None:
    pytest.importorskip("submitit")
    run = mock_run(tmp_path)
    (run / "decompose" / "records.jsonl").write_text("{}\n")
    done = launched(run, "submitit_local", "hydra.launcher.timeout_min=5")
    assert done.returncode == 2
    assert "aotd: 2 of 2 points failed: execute.limits.calls=20: " in done.stderr


@pytest.mark.slurm
def test_sweep_submitit_slurm(tmp_path: Path) -> None:
    pytest.importorskip("submitit")
    if shutil.which("sbatch") is None:
        pytest.fail("there is no sbatch here")
    run = mock_run(tmp_path)
    limits = ["hydra.launcher.timeout_min=5", "hydra.launcher.cpus_per_task=1", "hydra.launcher.array_parallelism=1"]
    done = launched(run, "submitit_slurm", *limits)
    assert done.returncode == 0, done.stderr
    check_points(run)
    assert len(list((run / "sweep" / "jobs").glob("*/*_*/*_log.out"))) == 2, "not one array of two jobs"


@pytest.mark.parametrize(
    ("word", "values"),
    [
        ("llm.model=a,b", ["a", "b"]),
        ("llm.model=don't, it's", ["don't", "it's"]),
        ("llm.url=http://[::1]:1/v1?a=b,http://x", ["http://[::1]:1/v1?a=b", "http://x"]),
        ("dataset.root=v 1,v 2", ["v 1", "v 2"]),
        ("llm.model='a,b','c'", ["a,b", "c"]),
        ("llm.model=choice(a,b)", ["a", "b"]),
        ("evaluate.arms=[it's],[b (c),d]", [["it's"], ["b (c)", "d"]]),
        ("evaluate.external.x=a?,b!", ["a?", "b!"]),
    ],
)
def test_sweep_over_texts_separates_at_commas(word: str, values: list[object]) -> None:
    key = word.partition("=")[0]
    names = ["evaluate", "external", "x"] if "external" in key else key.split(".")
    found = []
    for point in sweeps._points("evaluate", ["run=a, b", word]):
        at: Any = point.config
        for name in names:
            at = at[name] if isinstance(at, dict) else getattr(at, name)
        found.append(at)
        assert point.config.run == "a, b"
    assert found == values
