"""What a question costs each arm, from what the verbs and the students measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from aotd.config.tree import Config
from aotd.evaluate import EvaluateConfig
from aotd.evaluate.cost import agent_costs, mean_costs
from aotd.records import Cost, Dropped, Mode, Outcome, Prediction, Program, Question, Thought, Trace
from aotd.scoring.tables import Scores
from aotd.store.run import Run
from aotd.store.stage import Stage
from aotd.view.cost_table import cost_rows, cost_table, faster_words
from tests.corners import corner_config
from tests.jobs import do

ARMS = ("aotd", "instruct")


def question(key: str, video: str = "v") -> Question:
    return Question(question_id=key, dataset="d", split="test", video_id=video, question="What?", type="T")


def cost(key: str, seconds: float, **more: object) -> Cost:
    return Cost.model_validate({"question_id": key, "seconds": seconds, "machine": "m", **more})


def program(key: str) -> Program:
    return Program(question_id=key, code="x", author="llm", attempts=1)


def trace(key: str) -> Trace:
    return Trace(question_id=key, frames=8, start_s=0, end_s=8, width=40, height=30, events=(), answer="left")


def test_agent_costs_add_up_verbs_until_a_question_is_dropped(tmp_path: Path) -> None:
    with Stage(tmp_path, "decompose", Program).open({}) as out:
        out.write(program("a"), cost("a", 1, llm_calls=2, prompt_tokens=50))
        out.write(Dropped(question_id="b", outcome=Outcome.program_invalid, reason="no"), cost("b", 3, llm_calls=3))
        out.write(program("c"), cost("c", 1))
        out.write(program("d"))
    with Stage(tmp_path, "execute", Trace).open({}) as out:
        out.write(trace("a"), cost("a", 4, tool_calls=5, specialist_calls=4))
        out.write(trace("c"))
        out.write(trace("d"), cost("d", 4))
    with Stage(tmp_path, "convert", Thought).open({}) as out:
        out.write(Thought(question_id="a", text="t", answer="left", writer="llm"), cost("a", 2, llm_calls=1))
    asked = [question(key) for key in "abcde"]
    # `c` and `d` were not measured at one of the verbs, and `e` has not come so far.
    answers = agent_costs(Run(tmp_path), asked, Mode.answer)
    assert {key: one.seconds for key, one in answers.items()} == {"a": 5, "b": 3}
    assert (answers["a"].llm_calls, answers["a"].prompt_tokens, answers["a"].specialist_calls) == (2, 50, 4)
    reasons = agent_costs(Run(tmp_path), asked, Mode.rationale)
    assert {key: (one.seconds, one.llm_calls) for key, one in reasons.items()} == {"a": (7, 3), "b": (3, 3)}


def test_speedup_is_a_ratio_of_sums_with_an_interval_over_videos() -> None:
    asked = [question(f"{video}{number}", str(video)) for video in range(6) for number in range(4)]
    # The first question of a video pays for all of it: alone it would be 40 times, the others 1 time.
    agent = {q.question_id: cost(q.question_id, 4.0 if q.question_id[1] == "0" else 0.1) for q in asked}
    own = {q.question_id: cost(q.question_id, 0.1, batch=8) for q in asked}
    found = mean_costs(asked, {Mode.answer: own}, {Mode.answer: agent}, 200, 0)[Mode.answer]
    assert found.seconds.mean == pytest.approx(0.1)
    assert found.faster is not None
    assert found.faster.times.mean == pytest.approx(4.3 / 0.4)
    # Every video is like every other one, so that nothing is left to chance.
    assert found.faster.times.low == pytest.approx(found.faster.times.high)
    assert (found.faster.times.n, found.faster.batch, found.faster.same_machine) == (24, 8, True)


def test_speedup_takes_questions_that_both_were_measured_on() -> None:
    asked = [question(key, key) for key in "abc"]
    own = {"a": cost("a", 1), "b": cost("b", 100, reused=1), "c": cost("c", 3)}
    agent = {"a": cost("a", 2, reused=2), "c": cost("c", 6, machine="other")}
    found = mean_costs(asked, {Mode.answer: own}, {Mode.answer: agent}, 50, 0)[Mode.answer]
    assert found.seconds.n == 3
    assert found.reused == pytest.approx(1 / 3)
    assert found.faster is not None
    assert (found.faster.times.n, found.faster.times.mean) == (2, 2)
    assert (found.faster.reused, found.faster.agent_reused, found.faster.same_machine) == (0, 0.5, False)
    assert mean_costs(asked, {Mode.answer: own}, {}, 50, 0)[Mode.answer].faster is None
    assert mean_costs(asked, {Mode.answer: {}}, {Mode.answer: agent}, 50, 0) == {}


def scores(arm: str, cost: dict[Mode, object] | None) -> Scores:
    made = Scores(
        arm=arm, chance=None, multiple_choice=None, open_ended=None, by_type={}, rationale_accuracy=None,
        temporal_iou=None, temporal_recall=None, spatial_iou=None, rationales=0, rationales_with_span=0,
        rationales_with_box=0,
    )  # fmt: skip
    return made.model_copy(update={"cost": cost})


def test_mean_costs_leave_out_what_was_not_measured() -> None:
    asked = [question("a")]
    own = {"a": cost("a", 0.5, llm_calls=2, prompt_tokens=None, reply_tokens=None)}
    told = [scores("blind", None), scores("agent", dict(mean_costs(asked, {Mode.answer: own}, {}, 50, 0)))]
    assert cost_rows(told) == [
        ("agent", "answer", "1", "0.500", "2.0", "–", "–", "0.0", "0 %", "–"),
    ]
    assert cost_table(told[:1]) is None
    assert faster_words(told) == []


def test_faster_words_name_what_was_compared() -> None:
    asked = [question(key) for key in "ab"]
    slow = {key: cost(key, 2.0) for key in "ab"}
    fast = {key: cost(key, 0.02, batch=64) for key in "ab"}
    one = scores("aotd", dict(mean_costs(asked, {Mode.answer: fast}, {Mode.answer: slow}, 50, 0)))
    assert faster_words([one]) == [
        "aotd answers in 0.0200 s, the agent in 2.00 s: 100.0 times faster (100.0–100.0); mean over 2 questions, "
        "the student was asked 64 at a time, both on one machine"
    ]
    reused = slow | {"b": cost("b", 2.0, reused=1, machine="other")}
    other = scores("aotd", dict(mean_costs(asked, {Mode.rationale: slow}, {Mode.rationale: reused}, 50, 0)))
    assert faster_words([other])[0].endswith(
        "mean over 2 questions, not on one machine: compare them with care, "
        "for 50 % of them the agent's time lacks what it reused"
    )
    slower = scores("aotd", dict(mean_costs(asked, {Mode.rationale: slow}, {Mode.rationale: fast}, 50, 0)))
    assert "aotd gives its reasons in 2.00 s, the agent in 0.0200 s: 100.0 times slower" in faster_words([slower])[0]


@pytest.fixture
def trained(run: Path) -> Config:
    """A run with two students and with measured traces."""
    keys = [question.question_id for question in Stage(run, "load", Question).records()]
    with Stage(run, "decompose", Program).open({}) as programs, Stage(run, "execute", Trace).open({}) as traces:
        for key in keys:
            programs.write(program(key), cost(key, 1.0, machine=""))
            traces.write(trace(key), cost(key, 2.0, machine=""))
    made = corner_config(run)
    evaluated = EvaluateConfig(arms=[*ARMS, "agent"], split="train", batch=4, max_rationale_tokens=12, resamples=50)
    arms = {arm: made.distill.arms[arm] for arm in ARMS}
    config = replace(made, evaluate=evaluated, distill=replace(made.distill, arms=arms, epochs=1))
    do("distill", config)
    return config


def test_evaluate_measures_students_beside_the_agent(trained: Config, capsys: pytest.CaptureFixture[str]) -> None:
    do("evaluate", trained)
    run = Path(trained.run)
    printed = capsys.readouterr().out
    assert "cost per question (mean)" in printed
    assert "aotd answers in " in printed
    for arm in ARMS:
        for mode in Mode:
            stage = Stage(run, f"evaluate/{arm}/{mode.value}", Prediction)
            costs = stage.costs()
            assert set(costs) == {one.question_id for one in stage.records()}
            assert {one.llm_calls for one in costs.values()} == {1}
            # 4 tokens of the video at least, and the words of the question.
            assert all(one.prompt_tokens and one.prompt_tokens > 4 for one in costs.values())
            assert all(one.reply_tokens is not None and one.reply_tokens <= 24 for one in costs.values())
            assert sum(one.reused for one in costs.values()) == 0
        told = Scores.model_validate_json((run / "evaluate" / arm / "scores.json").read_text()).cost
        assert told is not None
        # The damaged video's two questions were not measured.
        assert {mode: one.seconds.n for mode, one in told.items()} == {Mode.answer: 14, Mode.rationale: 14}
        assert told[Mode.answer].faster is not None
        assert told[Mode.answer].faster.agent_seconds == 3
        assert told[Mode.rationale].faster is None, "convert was not measured"
    agent = Scores.model_validate_json((run / "evaluate" / "agent" / "scores.json").read_text()).cost
    assert agent is not None
    assert (set(agent), agent[Mode.answer].seconds.mean, agent[Mode.answer].seconds.n) == ({Mode.answer}, 3, 16)


def test_first_question_about_a_video_pays_for_its_features(trained: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    # Made by distill, or by the arm before: the seconds are read from the view.
    monkeypatch.setattr("aotd.students.features.FeatureCache.seconds", lambda *_: 1000.0)
    do("evaluate", trained)
    for arm in ARMS:
        for mode in Mode:
            costs = Stage(Path(trained.run), f"evaluate/{arm}/{mode.value}", Prediction).costs()
            assert {key for key, one in costs.items() if one.seconds >= 1000} == {f"{video}a" for video in range(7)}


def test_features_without_seconds_count_as_reused(trained: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aotd.students.features.FeatureCache.seconds", lambda *_: None)
    do("evaluate", trained)
    costs = Stage(Path(trained.run), "evaluate/aotd/answer", Prediction).costs()
    assert {key for key, one in costs.items() if one.reused} == {f"{video}a" for video in range(7)}


def test_resumed_evaluation_counts_costs_once(trained: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aotd.students.features.FeatureCache.seconds", lambda *_: 1000.0)
    settings = replace(trained, evaluate=replace(trained.evaluate, arms=["aotd"]))
    do("evaluate", settings)
    folder = Path(trained.run) / "evaluate" / "aotd" / "answer"
    records = (folder / "records.jsonl").read_bytes()
    path = folder / "records.jsonl"
    path.write_bytes(b"".join(records.splitlines(keepends=True)[:7]))
    do("evaluate", settings)
    assert path.read_bytes() == records
    assert len((folder / "costs.jsonl").read_bytes().splitlines()) == 14 + 7
    costs = Stage(Path(trained.run), "evaluate/aotd/answer", Prediction).costs()
    assert {key for key, one in costs.items() if one.seconds >= 1000} == {f"{video}a" for video in range(7)}
