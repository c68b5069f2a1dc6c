from __future__ import annotations

import json
from pathlib import Path

import pytest

from aotd.cli.main import main
from aotd.config.command_line import read_settings
from aotd.records import Program, Ranking
from aotd.store.stage import Stage

SIZES = ["dataset.playroom.train_videos=8", "dataset.playroom.val_videos=0", "dataset.playroom.test_videos=0"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    for verb in ("load", "decompose"):
        assert main([verb, f"run={folder}/run", f"dataset.root={folder}/videos", *SIZES]) == 0
    return folder


def arguments(world: Path, *more: str) -> list[str]:
    return [
        "select",
        f"run={world}/run",
        f"dataset.root={world}/videos",
        *SIZES,
        "select.items=3",
        "select.split=train",
        *more,
    ]


def rankings(world: Path) -> list[Ranking]:
    return [Ranking.model_validate(one) for one in json.loads((world / "run/select/rankings.json").read_text())]


def spoiled(world: Path, run: Path, option: int = 0) -> Path:
    """A run whose author answers with one option, whatever is asked."""
    with Stage(run, "decompose", Program).open({"author": "first"}) as out:
        for program in Stage(world / "run", "decompose", Program).records():
            code = f"def execute_command(video_clip, query, possible_answers):\n    return possible_answers[{option}]\n"
            out.write(program.model_copy(update={"code": code}))
    return run


@pytest.mark.slow
def test_every_sub_task_is_ranked_and_the_winners_are_a_config(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = spoiled(world, tmp_path / "first")
    assert main(arguments(world, f"select.decomposition=[{first},{world}/run]")) == 0
    found = rankings(world)
    by_task: dict[str, list[Ranking]] = {}
    for one in found:
        by_task.setdefault(one.subtask, []).append(one)
    assert list(by_task) == ["decomposition", "detection", "grounding", "action", "answering"]
    for subtask, ranked in by_task.items():
        means = [one.score.mean for one in ranked]
        assert means == sorted(means, reverse=True)
        assert [one.score.n for one in ranked] == [3] * len(ranked)
        if subtask != "decomposition":
            assert {one.candidate for one in ranked} == {"playroom", "trivial", "mock"}
    assert by_task["decomposition"][0].candidate == "run"
    assert by_task["decomposition"][0].score.mean == 1.0, "the annotated programs are right where all tools are"
    assert by_task["detection"][0].candidate == by_task["action"][0].candidate == "playroom"
    assert all(one.recall is not None for one in by_task["grounding"])
    assert next(one for one in by_task["grounding"] if one.candidate == "trivial").recall.mean == 1.0  # type: ignore[union-attr]
    assert "playroom" in capsys.readouterr().out
    config = read_settings("execute", [f"configs={world}/run/select", "specialists=winners"])
    assert config.specialists.grounding.name == by_task["grounding"][0].candidate


def test_why_a_candidate_failed_is_said(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = spoiled(world, tmp_path / "broken", 99)
    none = [f"select.{name}=[]" for name in ("detection", "grounding", "action", "answering")]
    assert main(arguments(world, *none, f"select.decomposition=[{broken}]")) == 0
    said = capsys.readouterr().err
    assert "decomposition broken: 3 of 3 items failed and score 0, such as " in said
    assert ": line 2: IndexError: " in said


def test_what_was_measured_is_not_measured_again(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    only = [f"select.{name}=[]" for name in ("grounding", "action", "answering")]
    assert main(arguments(world, *only, "select.detection=[{name: mock}]")) == 0
    asked: list[int] = []

    def measure(subtask: object, config: object, root: str, items: list[object]) -> list[object]:
        asked.append(len(items))
        return []

    monkeypatch.setattr("aotd.select.job.measure", measure)
    assert main(arguments(world, *only, "select.detection=[{name: mock}]")) == 0
    assert asked == [0]
    path = world / "run/select/detection/mock/records.jsonl"
    path.write_bytes(path.read_bytes()[:-5])
    assert main(arguments(world, *only, "select.detection=[{name: mock}]")) == 0
    assert asked == [0, 1], "the torn line is asked again"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["select.split=dev"], "select.split=dev: "),
        (["select.decomposition=[runs/none]"], "run=runs/none is not there: begin with `aotd load run=runs/none …`"),
        (["select.detection=[{name: owl}]"], "'owl' is none of playroom, captions"),
        ([f"select.{name}=[]" for name in ("detection", "grounding", "action", "answering")], "no candidate is named"),
        (["configs=nowhere"], "configs=nowhere: there is no such folder"),
    ],
)
def test_mistakes_are_one_line(
    world: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(arguments(world, *words)) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("aotd: ")
    assert said in error


def test_a_benchmark_without_key_frames_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    questions = tmp_path / "mine.jsonl"
    questions.write_text('{"video": "a.mp4", "question": "What?"}\n')
    mine = [f"run={tmp_path}/run", "dataset=files", f"dataset.questions={questions}", f"dataset.root={tmp_path}"]
    assert main(["load", *mine, "specialists=mock"]) == 0
    assert main(["select", *mine, "select.split=test"]) == 2
    assert "dataset=files has no annotated key frames" in capsys.readouterr().err
