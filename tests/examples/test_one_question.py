"""`examples/one_question.py` asks the agent about a video file."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from aotd.cli.main import main
from aotd.store.run import Run

EXAMPLE = Path(__file__).parents[2] / "examples" / "one_question.py"
WORLD = [f"dataset.playroom.{split}_videos={count}" for split, count in (("train", 4), ("val", 0), ("test", 0))]


def test_agent_gives_a_chain_of_thought(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example = runpy.run_path(str(EXAMPLE))
    root = tmp_path / "videos"
    words = [f"run={tmp_path / 'run'}", f"dataset.root={root}", "dataset.playroom.difficulty=easy", *WORLD]
    assert main(["load", "experiment=demo", *words]) == 0
    question = next(one for one in Run(tmp_path / "run").questions.stream() if one.options and one.video)
    capsys.readouterr()
    asked = [str(root / str(question.video)), question.question, *question.options]
    assert example["main"]([*asked, "mode=answer"]) == 0
    assert capsys.readouterr().out.strip() in question.options
    assert example["main"](asked) == 0
    assert "So the answer is" in capsys.readouterr().out


def test_mistake_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example = runpy.run_path(str(EXAMPLE))
    assert example["main"](["nowhere.mp4", "What?", "yes", "no"]) == 2
    assert capsys.readouterr().err == "there is no video nowhere.mp4\n"
