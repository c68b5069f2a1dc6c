"""Replies from a file, and another run to be compared with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from aotd.config.tree import Config
from aotd.errors import UserError
from aotd.evaluate import EvaluateConfig, Reading
from aotd.evaluate.external import file_replies, read_replies
from aotd.records import Dropped, Mode, Outcome, Prediction, Question
from aotd.scoring.tables import Comparison, Scores
from aotd.store.stage import Stage, read_jsonl
from tests import sample_run
from tests.corners import corner_config
from tests.jobs import do


def settings(run: Path, **of_evaluate: object) -> Config:
    return replace(corner_config(run), evaluate=EvaluateConfig(**{"split": "train", "resamples": 50} | of_evaluate))  # type: ignore[arg-type]


def write_replies(path: Path, run: Path, right: int, leave_out: int = 0) -> Path:
    """Replies to the run's questions, the first `right` of them true and the last `leave_out` missing."""
    questions = Stage(run, "load", Question).records()
    lines = []
    for number, question in enumerate(questions[: len(questions) - leave_out]):
        wrong = next((option for option in question.options if option != question.answer), "nothing")
        text = question.answer if number < right else wrong
        lines.append(f'{{"question_id": "{question.question_id}", "text": "{text}"}}\n')
    path.write_text("".join(lines))
    return path


def test_replies_in_a_file_are_an_arm(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_replies(tmp_path / "theirs.jsonl", run, right=6, leave_out=2)
    do("evaluate", settings(run, arms=["frequent"], external={"theirs": str(path)}))
    assert "theirs" in capsys.readouterr().out
    scores = Scores.model_validate_json((run / "evaluate" / "theirs" / "scores.json").read_text())
    total = sum(one.n for one in (scores.multiple_choice, scores.open_ended) if one)
    assert sum(one.mean * one.n for one in (scores.multiple_choice, scores.open_ended) if one) == pytest.approx(6)
    assert total == len(Stage(run, "load", Question).records())
    assert scores.missing == 2
    assert scores.rationale_accuracy is None
    left = Stage(run, "evaluate/theirs/answer", Prediction).dropped()
    assert [(one.outcome, one.reason) for one in left] == [(Outcome.no_answer, "the file holds no reply to it")] * 2
    path.write_text(path.read_text().replace("text", "text", 1) + "\n")
    with pytest.raises(UserError, match="was made otherwise"):
        do("evaluate", settings(run, arms=[], external={"theirs": str(path)}))


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ('{"question_id": "zz", "text": "A"}', "theirs.jsonl:1: question 'zz' is not among those asked"),
        ('{"question_id": "0a", "text": "A"}\n{"question_id": "0a", "text": "B"}', "theirs.jsonl:2: a second answer"),
        ('{"question_id": "0a"}', r"theirs.jsonl:1: no reply \(text: Field required\)"),
        ('{"question_id": "0a", "text": "A", "mode": "shout"}', "theirs.jsonl:1: no reply \\(mode"),
        ("B", "theirs.jsonl:1: no reply"),
        ("", "holds no reply"),
    ],
)
def test_malformed_reply_file_is_refused_in_one_line(tmp_path: Path, lines: str, says: str) -> None:
    path = tmp_path / "theirs.jsonl"
    path.write_text(lines)
    with pytest.raises(UserError, match=says):
        read_replies(path, {"0a"})


def test_wrong_names_and_paths_are_refused_in_one_line(run: Path, tmp_path: Path) -> None:
    path = write_replies(tmp_path / "theirs.jsonl", run, right=1)
    for external, says in (
        ({"agent": str(path)}, "'agent' is the run's own arm"),
        ({"../up": str(path)}, "or no name"),
        ({"theirs": str(tmp_path / "none")}, "none is no file of replies, nor the folder of a student"),
        ({"theirs": str(tmp_path)}, "is no file of replies"),
    ):
        with pytest.raises(UserError, match=says):
            do("evaluate", settings(run, arms=[], external=external))
    for other_run in (str(tmp_path / "none"), str(run / "evaluate" / "bob")):
        with pytest.raises(UserError, match="is not a run, nor RUN/evaluate/ARM"):
            do("evaluate", settings(run, arms=["frequent"], baseline_run=other_run))
    assert not (run / "evaluate").exists()


def test_check_ids_refuses_unknown_and_repeated_predictions(run: Path, tmp_path: Path) -> None:
    do("evaluate", settings(run, arms=["frequent"]))
    path = run / "evaluate" / "frequent" / "answer" / "records.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines, lines[0]]))
    with pytest.raises(UserError, match="two predictions for '0a'"):
        do("evaluate", settings(run, arms=["frequent"]))
    path.write_text("".join([*lines, lines[0].replace('"0a"', '"9z"')]))
    with pytest.raises(UserError, match="a prediction for '9z'"):
        do("evaluate", settings(run, arms=["frequent"]))


@pytest.fixture
def two_runs(run: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Two runs about the same questions, in which the arm `them` has 4 and 10 of them right."""
    other = tmp_path / "other"
    (other / "load").mkdir(parents=True)
    for name in ("records.jsonl", "dropped.jsonl", "manifest.json"):
        (other / "load" / name).write_bytes((run / "load" / name).read_bytes())
    for folder, right in ((other, 4), (run, 10)):
        path = write_replies(tmp_path / f"{right}.jsonl", run, right)
        do("evaluate", settings(folder, arms=[], external={"them": str(path)}))
    return run, other


def test_compare_runs_pairs_questions_of_two_runs(
    two_runs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, other = two_runs
    both = {"arms": ["frequent"], "external": {"them": str(tmp_path / "10.jsonl")}}
    do("evaluate", settings(run, baseline_run=str(other), **both))
    found = read_jsonl(run / "evaluate" / "comparison.jsonl", Comparison)
    pairs = [one for one in found if one.p is not None]
    assert {(one.arm, one.reference) for one in pairs} == {("them", str(other / "evaluate" / "them"))}
    assert sum(one.gained or 0 for one in pairs) == 6
    assert sum(one.lost or 0 for one in pairs) == 0
    assert " on the same questions, in %" in capsys.readouterr().out
    # One arm of the other run, held against all of these.
    do("evaluate", settings(run, baseline_run=str(other / "evaluate" / "them"), **both))
    found = read_jsonl(run / "evaluate" / "comparison.jsonl", Comparison)
    assert {one.arm for one in found if one.p is not None} == {"them", "frequent"}


def test_compare_runs_refuses_other_questions(two_runs: tuple[Path, Path], tmp_path: Path) -> None:
    run, other = two_runs
    again = {"arms": [], "external": {"them": str(tmp_path / "10.jsonl")}, "baseline_run": str(other)}
    path = other / "load" / "records.jsonl"
    whole = path.read_text()
    path.write_text(whole.replace('"question_id":"0a"', '"question_id":"0x"'))
    with pytest.raises(UserError, match="a prediction for '0a'"):
        do("evaluate", settings(run, **again))
    path.write_text(whole.replace('"question":"', '"question":"Is it so: ', 1))
    with pytest.raises(UserError, match="question '0a' is another one in"):
        do("evaluate", settings(run, **again))
    path.write_text(whole)
    with pytest.raises(UserError, match=r"none of these arms is there \(it has them\)"):
        do("evaluate", settings(run, arms=["frequent"], baseline_run=str(other)))


def test_reading_is_one_for_all_arms_and_in_the_manifest(run: Path, tmp_path: Path) -> None:
    questions = [question for question in Stage(run, "load", Question).records() if question.options]
    path = tmp_path / "prose.jsonl"
    answers = [(q.question_id, "AB"[q.options.index(q.answer or "")]) for q in questions]
    path.write_text("".join(f'{{"question_id": "{key}", "text": "The answer is {a}."}}\n' for key, a in answers))
    found = {}
    for name, more in (("prose", {}), ("prose2", {"reading": Reading.lenient})):
        do("evaluate", settings(run, arms=[], external={name: str(path)}, **more))
        found[name] = Scores.model_validate_json((run / "evaluate" / name / "scores.json").read_text())
    assert [one.multiple_choice.mean for one in found.values() if one.multiple_choice] == [0, 1]
    assert {one.choice_lenient.mean for one in found.values() if one.choice_lenient} == {1}
    with pytest.raises(UserError, match="reading: lenient -> None"):
        do("evaluate", settings(run, arms=[], external={"prose2": str(path)}))


def test_compare_runs_refuses_another_reading(two_runs: tuple[Path, Path], tmp_path: Path) -> None:
    run, other = two_runs
    again = {"arms": [], "external": {"leniently": str(tmp_path / "10.jsonl")}, "reading": Reading.lenient}
    with pytest.raises(UserError, match=r"them: its replies were read with evaluate\.reading=strict, these leniently"):
        do("evaluate", settings(run, baseline_run=str(other / "evaluate" / "them"), **again))


def test_reasoning_in_a_file_of_replies_is_no_answer() -> None:
    asked = [sample_run.question(key) for key in ("a", "b", "c", "d")]
    replies = {Mode.answer: {"a": "<think>B?</think>A", "b": "<think>B", "c": "the <think> tag"}}
    said = file_replies(replies, asked, Mode.answer)
    assert (said[0], said[2]) == ("A", "the <think> tag")
    assert [one.outcome for one in said if isinstance(one, Dropped)] == [Outcome.nothing_said, Outcome.no_answer]
