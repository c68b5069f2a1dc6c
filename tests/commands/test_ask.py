"""One question to one video: what it says, and what it says when it cannot."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import aotd
from aotd.commands.ask import job
from aotd.config.tree import AskConfig, Config
from aotd.distill import ArmConfig
from aotd.errors import UserError
from aotd.students import ChoiceReply
from tests.corners import corner_config, corners, one_thread, run
from tests.jobs import do

__all__ = ["corners", "one_thread", "run"]


def asking(run: Path, **ask: object) -> Config:
    made = corner_config(run)
    arms = {"instruct": made.distill.arms["instruct"]}
    given: dict[str, object] = {"video": str(run / "2"), "question": "Which side is bright?"}
    given |= {"options": ["left", "right"], "by": "instruct", **ask}
    return replace(made, distill=replace(made.distill, arms=arms), ask=AskConfig(**given))  # type: ignore[arg-type]


def test_ask_student_answers(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "2").write_text("stands for a video")
    config = asking(run)
    do("distill", replace(config, distill=replace(config.distill, epochs=30, learning_rate=5e-3)))
    capsys.readouterr()
    job(config)
    assert capsys.readouterr().out == "A: left\n"
    job(asking(run, mode="rationale"))
    assert capsys.readouterr().out


def test_ask_student_answers_in_words(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "2").write_text("stands for a video")
    config = asking(run)
    words = replace(config, student=replace(config.student, choice_reply=ChoiceReply.words))
    do("distill", replace(words, distill=replace(config.distill, max_steps=1)))
    capsys.readouterr()
    job(words)
    said = capsys.readouterr().out
    assert said in ("left\n", "right\n")
    job(config)  # the run says how its student was trained
    assert capsys.readouterr().out == said


def test_ask_shows_no_video_to_a_student_that_was_trained_without(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (run / "2").write_text("stands for a video")
    config = asking(run)
    unsighted = ArmConfig(rationales=False, require=[], video=False)
    do("distill", replace(config, distill=replace(config.distill, arms={"instruct": unsighted}, max_steps=1)))
    monkeypatch.setattr("aotd.students.valley.student.ValleyStudent.encode_video", None)
    job(config)
    assert capsys.readouterr().out


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        ({"video": ""}, "needs a video"),
        ({"video": "nowhere.mp4"}, "there is no video nowhere.mp4"),
        ({"question": " "}, "needs a video and a question"),
        ({"mode": "poem"}, "mode=poem: one of answer, rationale"),
        ({"by": "bob"}, "by=bob: there is no such arm"),
        ({"options": ["a", "a"]}, "two options are the same"),
    ],
)
def test_ask_mistakes_are_one_line(run: Path, ask: dict[str, object], says: str) -> None:
    (run / "2").write_text("stands for a video")
    with pytest.raises(UserError, match=says):
        job(asking(run, **ask))


def test_ask_non_video_is_one_line(tmp_path: Path) -> None:
    video = tmp_path / "notes.mp4"
    video.write_text("not a video")
    words = [sys.executable, "-m", "aotd", "ask", f"video={video}", "question=What is it?", "by=agent"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=Path(aotd.__file__).parent.parent)
    assert done.returncode == 2
    assert done.stderr.startswith("aotd: video_unreadable: notes.mp4")
    assert done.stderr.count("\n") == 1
