"""The verb evaluate: every arm is asked every question, wherever it was interrupted."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aotd.config.tree import Config
from aotd.distill import ArmConfig
from aotd.errors import UserError
from aotd.evaluate import EvaluateConfig
from aotd.evaluate.shuffled import with_other_videos
from aotd.records import Dropped, Evidence, EvidenceSpan, Mode, Outcome, Prediction, Question, Trace
from aotd.scoring.tables import Scores
from aotd.store.run import Run
from aotd.store.stage import Stage
from aotd.students import ChoiceReply
from tests.corners import CORNERS, corner_config
from tests.jobs import do

ARMS = ["blind", "frequent", "agent", "aotd"]


def config(run: Path, arms: list[str], **settings: Any) -> Config:
    made = corner_config(run)
    evaluated = EvaluateConfig(arms=arms, split="train", batch=4, max_rationale_tokens=48, resamples=50, **settings)
    distilled = replace(made.distill, arms={"aotd": made.distill.arms["aotd"]}, epochs=40, learning_rate=5e-3)
    return replace(made, evaluate=evaluated, distill=distilled)


def scores(run: Path, arm: str) -> Scores:
    return Scores.model_validate_json((run / "evaluate" / arm / "scores.json").read_text())


def predictions(run: Path, arm: str, mode: str) -> list[Prediction]:
    return Stage(run, f"evaluate/{arm}/{mode}", Prediction).records()


@pytest.fixture
def marked(run: Path) -> Path:
    """The run with traces for all but the first question, and a true span on those of video 2."""
    questions = Stage(run, "load", Question).records()
    evidence = Evidence(spans=(EvidenceSpan(start_s=0.0, end_s=4.0),))
    lines = [q.model_copy(update={"evidence": evidence} if q.video_id == "2" else {}) for q in questions]
    (run / "load" / "records.jsonl").write_text("".join(line.model_dump_json() + "\n" for line in lines))
    with Stage(run, "execute", Trace).open({}) as out:
        out.write(Dropped(question_id="0a", outcome=Outcome.tool_failed, reason="it crashed"))
        for question in questions[1:]:
            out.write(
                Trace(
                    question_id=question.question_id, frames=8, start_s=0, end_s=8, width=40, height=30, events=(),
                    answer=CORNERS[int(question.video_id) % 2],
                )
            )  # fmt: skip
    with Stage(run, "decompose", Question).open({}):
        pass
    return run


def test_job_asks_and_scores_every_arm(marked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = config(marked, ARMS)
    do("distill", settings)
    do("evaluate", settings)
    printed = capsys.readouterr()
    assert "chance on multiple choice is 50.0" in printed.out
    wrong = "of 16 have no reply and count as wrong"
    assert f"evaluate agent answer: 1 {wrong} (tool_failed 1), such as 0a: it crashed" in printed.err
    assert f"evaluate aotd answer: 2 {wrong} (video_unreadable 2), such as 7a: 7 is damaged" in printed.err
    assert "evaluate blind answer: " not in printed.err
    agent = scores(marked, "agent")
    assert agent.multiple_choice is not None
    assert (agent.multiple_choice.mean, agent.multiple_choice.n) == (7 / 8, 8)
    assert agent.open_ended is not None
    assert agent.open_ended.mean == 1
    assert agent.temporal_iou is not None
    assert (agent.temporal_iou.mean, agent.temporal_iou.n) == (0.5, 2)
    assert agent.temporal_recall is not None
    assert agent.temporal_recall.mean == 1
    assert (agent.rationales, agent.rationales_with_span, agent.rationales_with_box) == (2, 2, 0)
    assert not (marked / "evaluate" / "blind" / "rationale").exists()
    student = scores(marked, "aotd")
    # It has learned its questions by heart; those of the damaged video count as wrong.
    assert student.multiple_choice is not None
    assert student.multiple_choice.mean == 7 / 8
    assert student.rationale_accuracy is not None
    assert student.rationale_accuracy.mean == 14 / 16
    assert student.temporal_iou is not None
    assert student.temporal_iou.mean == 0.5
    left = Stage(marked, "evaluate/aotd/answer", Prediction).dropped()
    assert [drop.outcome for drop in left] == [Outcome.video_unreadable] * 2


class Killed(BaseException):
    """As if the process had been killed."""


def test_job_resumes_an_interrupted_evaluation(marked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = config(marked, ["aotd"])
    do("distill", settings)
    do("evaluate", settings)
    whole = {mode: predictions(marked, "aotd", mode) for mode in ("answer", "rationale")}
    path = marked / "evaluate" / "aotd" / "rationale" / "records.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:3]) + lines[3][:20])
    (marked / "evaluate" / "aotd" / "scores.json").unlink()
    do("evaluate", settings)
    assert {mode: predictions(marked, "aotd", mode) for mode in whole} == whole
    assert scores(marked, "aotd").rationale_accuracy is not None
    with monkeypatch.context() as patch:
        patch.setattr("aotd.students.registry.load_student", None)
        do("evaluate", settings)


@pytest.mark.parametrize(
    ("arms", "settings", "says"),
    [
        (["bob"], {}, "there is no arm 'bob'.*blind, frequent, likeness, agent"),
        (["aotd"], {}, "there is no arm 'aotd'"),
        (["frequent"], {"split": "val"}, "no question in that split"),
        (["frequent"], {"resamples": 0}, "resamples=0"),
        (["frequent"], {"rationale_questions": -1}, "rationale_questions=-1"),
        (["frequent"], {"train_root": "/nowhere"}, "train_root: /nowhere is not a folder"),
    ],
)
def test_wrong_settings_are_refused_in_one_line(
    marked: Path, arms: list[str], settings: dict[str, Any], says: str
) -> None:
    made = config(marked, arms)
    with pytest.raises(UserError, match=says):
        do("evaluate", replace(made, evaluate=replace(made.evaluate, **settings)))
    assert not (marked / "evaluate").exists()


def test_external_student_is_asked_in_its_own_folder(
    marked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    do("distill", config(marked, ["aotd"]))
    other = tmp_path / "other"
    other.mkdir()
    (marked / "load").rename(marked / "kept")
    (other / "load").symlink_to(marked / "kept")
    (marked / "load").symlink_to(marked / "kept")
    folder = marked / "distill" / "aotd"
    bare = {"theirs": str(folder), "bare": str(folder / "student")}
    made = config(other, [], external=bare)
    do("evaluate", made)
    whole, same = (scores(other, arm).multiple_choice for arm in bare)
    assert whole is not None
    assert whole.mean == 7 / 8
    assert same == whole
    # What the student of the one was trained on can be told, and it was these questions; of the other it cannot.
    assert (other / "evaluate" / "theirs" / "seen.json").is_file()
    assert not (other / "evaluate" / "bare" / "seen.json").exists()
    assert "theirs" in capsys.readouterr().out


def test_arm_without_video_is_asked_without_one(marked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = config(marked, ["unsighted"], external={"same": str(marked / "distill" / "unsighted" / "student")})
    made = replace(made, distill=replace(made.distill, arms={"unsighted": ArmConfig(video=False)}, epochs=1))
    made = replace(made, evaluate=replace(made.evaluate, max_rationale_tokens=4))
    do("distill", made)
    with monkeypatch.context() as patch:
        patch.setattr("aotd.students.valley.student.ValleyStudent.encode_video", None)
        do("evaluate", made)
    for arm in ("unsighted", "same"):
        said = {one.question_id: one.text for one in predictions(marked, arm, "answer")}
        assert len(said) == 16, "of the damaged video too"
        assert len({text for key, text in said.items() if key[1] == "a"}) == 1, "one question, one reply"
        costs = Stage(marked, f"evaluate/{arm}/answer", Prediction).costs()
        assert len({cost.prompt_tokens for key, cost in costs.items() if key[1] == "a"}) == 1
        assert all(not cost.reused for cost in costs.values())
        manifests = [Run(marked).predictions(arm, mode).manifest()["settings"] for mode in Mode]
        assert [one["video"] for one in manifests] == [False, False]


def test_shuffled_videos_are_a_control_for_students(marked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain = config(marked, ["agent", "aotd", "unsighted"], external={"theirs": str(marked / "distill" / "aotd")})
    arms = {"aotd": ArmConfig(rationales=False, require=[]), "unsighted": ArmConfig(video=False, train=False)}
    plain = replace(plain, distill=replace(plain.distill, arms=arms))
    plain = replace(plain, evaluate=replace(plain.evaluate, max_rationale_tokens=4))
    do("distill", plain)
    do("evaluate", plain)
    folder = marked / "evaluate" / "aotd"
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert "shuffled" not in capsys.readouterr().out
    assert not (folder / "shuffled").exists()
    assert not any(b'"shuffled' in data for data in before.values())

    made = replace(plain, evaluate=replace(plain.evaluate, shuffled_videos=True))
    do("evaluate", made)
    assert "shuffled-video control" in capsys.readouterr().out
    for path, data in before.items():
        assert path.name == "scores.json" or path.read_bytes() == data
    shown = {one.question_id: one for one in with_other_videos(Run(marked).questions.records(), made.seed)}
    for arm in ("aotd", "theirs"):
        said = {one.question_id: one for one in predictions(marked, arm, "shuffled/answer")}
        readable = {key for key, one in shown.items() if one.video_id != "7"}
        assert set(said) == readable
        assert all(one.parsed == CORNERS[int(shown[key].video_id) % 2] for key, one in said.items())
        assert all(one.correct == (one.parsed == CORNERS[int(key[0]) % 2]) for key, one in said.items())
        control = scores(marked, arm).shuffled
        assert control is not None
        assert control.multiple_choice is not None
        right = [said[key].correct for key in readable if key[0] != "7" and key[1] == "a"]
        assert (control.multiple_choice.other.mean, control.multiple_choice.other.n) == (sum(map(bool, right)) / 6, 6)
        assert control.multiple_choice.gain is not None
        assert control.multiple_choice.gain.mean == pytest.approx(1 - control.multiple_choice.other.mean)
    stages = [Run(marked).predictions("aotd", mode, shuffled=True) for mode in Mode]
    assert [stage.manifest()["settings"]["shuffled_by"] for stage in stages] == [made.seed] * 2
    assert [len(stage.costs()) for stage in stages] == [14, 14]
    assert not any((marked / "evaluate" / arm / "shuffled").exists() for arm in ("agent", "unsighted"))
    assert [scores(marked, arm).shuffled for arm in ("agent", "unsighted")] == [None, None]

    path = stages[0].folder / "records.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    do("evaluate", made)
    assert path.read_bytes() == whole
    with pytest.raises(UserError, match="shuffled_by"):
        do("evaluate", replace(made, seed=made.seed + 1))


def test_reasons_are_asked_of_some_questions_only(marked: Path) -> None:
    made = config(marked, ["agent", "aotd"], rationale_questions=5, shuffled_videos=True, reference="aotd")
    made = replace(made, evaluate=replace(made.evaluate, external={"theirs": str(marked / "distill" / "aotd")}))
    do("distill", made)
    do("evaluate", made)
    asked = {}
    for arm in ("agent", "aotd", "theirs"):
        stage = Run(marked).predictions(arm, Mode.rationale)
        asked[arm] = {line.question_id for line in (*stage.records(), *stage.dropped())}
        found = scores(marked, arm)
        assert found.rationale_accuracy is not None
        assert found.rationale_accuracy.n == len(asked[arm]) == 5
        assert found.multiple_choice is not None
        assert found.multiple_choice.n == 8
    assert asked["agent"] == asked["aotd"] == asked["theirs"], "the same questions of every arm"
    control = scores(marked, "aotd").shuffled
    assert control is not None
    assert control.rationale_accuracy is not None
    readable = len(asked["aotd"] - {line.question_id for line in stage.dropped()})
    assert control.rationale_accuracy.other.n <= readable
    compared = [json.loads(line) for line in (marked / "evaluate" / "comparison.jsonl").read_text().splitlines()]
    assert {row["mean"]["n"] for row in compared if row["metric"] == "answer in rationale"} == {5}
    with pytest.raises(UserError, match="rationale_questions"):
        do("evaluate", config(marked, ["aotd"], rationale_questions=6))


def in_words(made: Config) -> Config:
    return replace(made, student=replace(made.student, choice_reply=ChoiceReply.words))


def test_student_that_replies_in_words_is_asked_for_letters_beside(
    marked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = config(marked, ["frequent", "aotd"])
    do("distill", in_words(made))
    do("evaluate", in_words(made))
    assert "by letter" in capsys.readouterr().out
    student, baseline = scores(marked, "aotd"), scores(marked, "frequent")
    assert student.multiple_choice is not None
    assert student.choice_by_letter is not None
    assert student.multiple_choice == student.choice_strict == student.choice_lenient
    assert student.multiple_choice.mean == 7 / 8
    assert student.choice_by_letter.n == 8
    assert baseline.choice_by_letter is None
    said = {one.question_id: one for one in predictions(marked, "aotd", "answer")}
    assert {(one.text, one.parsed, one.rule) for key, one in said.items() if key[1] == "a"} == {
        (side, side, "option_text") for side in CORNERS
    }
    assert all((one.letter_correct is None) is (key[1] == "b") for key, one in said.items())
    assert all(one.letter_correct is None for one in predictions(marked, "aotd", "rationale"))
    costs = {cost.question_id: cost for cost in Stage(marked, "evaluate/aotd/answer", Prediction).costs().values()}
    assert (costs["2a"].batch, costs["2a"].llm_calls) == (2, 1), "two of a batch of four have options"
    assert costs["2a"].prompt_tokens
    assert costs["2a"].reply_tokens == 2 * (costs["2b"].reply_tokens or 0), "both options, each of as many tokens"
    settings = [Run(marked).predictions("aotd", mode).manifest()["settings"] for mode in Mode]
    assert [one.get("choice_reply") for one in settings] == ["words", None]
    with pytest.raises(UserError, match=r"student\.choice_reply=letter: arm aotd of .* was distilled with words: set"):
        do("evaluate", made)


def test_letters_leave_no_trace_of_words_and_are_not_mixed_with_them(marked: Path, tmp_path: Path) -> None:
    made = config(marked, ["as_begun"])
    made = replace(made, distill=replace(made.distill, arms={"as_begun": ArmConfig(rationales=False, train=False)}))
    made = replace(made, evaluate=replace(made.evaluate, max_rationale_tokens=4))
    do("distill", made)
    do("evaluate", made)
    folder = marked / "evaluate" / "as_begun"
    for name in ("scores.json", "answer/records.jsonl", "answer/manifest.json"):
        assert "letter_correct" not in (text := (folder / name).read_text())
        assert "choice_" not in text.replace("choice_strict", "").replace("choice_lenient", "")
    # A student that was saved can be asked by the other rule as an arm of others, and is not compared with itself.
    student = str(marked / "distill" / "as_begun" / "student")
    outside = replace(made, evaluate=replace(made.evaluate, arms=[], external={"saved": student}))
    do("evaluate", in_words(outside))
    assert scores(marked, "saved").choice_by_letter is not None
    with pytest.raises(UserError, match="choice_reply: words -> None"):
        do("evaluate", outside)
    compared = replace(outside.evaluate, baseline_run=str(folder))
    with pytest.raises(
        UserError, match=r"as_begun: it was asked with student\.choice_reply=letter, and saved with words"
    ):
        do("evaluate", in_words(replace(outside, evaluate=compared)))
