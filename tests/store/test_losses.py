"""A stage whose first questions are all lost to one cause stops, and asks them anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from aotd.errors import UserError
from aotd.records import Check, Cost, Dropped, Judgement, Outcome, Program, Record, Verdict
from aotd.store.losses import FIRST, FirstLosses
from aotd.store.run import Run
from aotd.store.stage import Stage

SETTINGS = {"max_tokens": 9}


def refused(number: int, reason: str = "", outcome: Outcome = Outcome.model_refused) -> Dropped:
    reason = reason or f"the context has 2048 tokens, and the prompt {2600 + number} (request-{number:04x})"
    return Dropped(question_id=f"q{number}", outcome=outcome, reason=reason)


def program(number: int) -> Program:
    return Program(question_id=f"q{number}", code="pass", author="llm", attempts=1)


def write(stage: Stage[Program], records: list[Program | Dropped]) -> None:
    with stage.open(SETTINGS) as out:
        for record in records:
            out.write(record, Cost(question_id=record.question_id, seconds=1.0))


def test_first_questions_that_are_lost_to_one_cause_stop_the_verb(tmp_path: Path) -> None:
    stage = Run(tmp_path).programs
    with pytest.raises(UserError, match=r"^decompose: the first 20 questions all ended alike .*2048 tokens") as caught:
        write(stage, [refused(number) for number in range(FIRST + 5)])
    assert "\n" not in str(caught.value)
    assert "run the same command again" in str(caught.value)
    assert not stage.exists


def test_stopped_verb_asks_them_anew_with_other_settings_too(tmp_path: Path) -> None:
    stage = Run(tmp_path).programs
    with pytest.raises(UserError):
        write(stage, [refused(number) for number in range(FIRST)])
    with stage.open({"max_tokens": 512}) as out:
        assert out.done == set()
        for number in range(FIRST):
            out.write(program(number))
    assert (stage.count(), stage.count_dropped()) == (FIRST, 0)
    assert stage.find("q7") == program(7)


def test_fewer_questions_are_left_as_they_are(tmp_path: Path) -> None:
    stage = Run(tmp_path).programs
    write(stage, [refused(number) for number in range(FIRST - 1)])
    assert stage.count_dropped() == FIRST - 1


@pytest.mark.parametrize("at", [0, 1, FIRST - 1])
def test_one_question_that_is_not_lost_lets_the_verb_go_on(tmp_path: Path, at: int) -> None:
    stage = Run(tmp_path).programs
    write(stage, [program(number) if number == at else refused(number) for number in range(2 * FIRST)])
    assert stage.count_dropped() == 2 * FIRST - 1


@pytest.mark.parametrize(
    "other",
    [
        refused(3, "another reason"),
        refused(3, outcome=Outcome.program_invalid),
        refused(3, outcome=Outcome.wrong_answer),
    ],
)
def test_another_cause_lets_the_verb_go_on(tmp_path: Path, other: Dropped) -> None:
    stage = Run(tmp_path).programs
    write(stage, [other if number == 3 else refused(number) for number in range(2 * FIRST)])
    assert stage.count_dropped() == 2 * FIRST


@pytest.mark.parametrize(
    "outcome", [Outcome.wrong_answer, Outcome.no_answer, Outcome.video_unreadable, Outcome.unlabelled]
)
def test_what_the_questions_themselves_end_in_is_no_such_cause(tmp_path: Path, outcome: Outcome) -> None:
    stage = Run(tmp_path).traces
    with stage.open(SETTINGS) as out:
        for number in range(2 * FIRST):
            out.write(refused(number, outcome=outcome))
    assert stage.count_dropped() == 2 * FIRST


def test_losses_of_several_starts_count_together(tmp_path: Path) -> None:
    stage = Run(tmp_path).programs
    write(stage, [refused(number) for number in range(FIRST - 5)])
    with pytest.raises(UserError, match="the first 20 questions"):
        write(stage, [refused(number) for number in range(FIRST - 5, FIRST + 5)])
    assert stage.count_dropped() == 0 if stage.exists else True


def test_setting_lets_a_run_go_on(tmp_path: Path) -> None:
    stage = Run(tmp_path, first_losses=0).programs
    write(stage, [refused(number) for number in range(2 * FIRST)])
    assert stage.count_dropped() == 2 * FIRST
    stage = Run(tmp_path).programs  # and stays so
    write(stage, [refused(number) for number in range(2 * FIRST, 3 * FIRST)])
    assert stage.count_dropped() == 3 * FIRST


def test_same_text_about_many_videos_is_one_question(tmp_path: Path) -> None:
    with Run(tmp_path).programs.open(SETTINGS) as out:
        for number in range(2 * FIRST):
            out.write(refused(number), again=number > 0)
    assert Run(tmp_path).programs.count_dropped() == 2 * FIRST


def lines_of(records: list[Record]) -> list[bytes]:
    return [record.model_dump_json(exclude_defaults=True).encode() for record in records]


def test_verdicts_and_judgements_that_no_judge_made_count() -> None:
    passed, none = Check(passed=True, reason="red"), Check(passed=False, reason="judge gave no judgement: filtered")
    verdicts = [
        Verdict(question_id=f"q{number}", outcome=Outcome.model_refused, answer=passed, faithful=passed, coherent=none)
        for number in range(3)
    ]
    found = [FirstLosses(3, lines_of(verdicts[:2])).add(line) for line in lines_of(verdicts[2:])]
    assert found == ["model_refused: judge gave no judgement: filtered"]
    unread = [Judgement(question_id=f"q{number}", text="filtered", tries=1) for number in range(3)]
    watch = FirstLosses(3, lines_of(unread[:2]))
    assert watch.add(lines_of(unread)[2]) == "the judge's reply cannot be read: filtered"
    read = Judgement(question_id="q", text="{…}", tries=1, score=3)
    assert FirstLosses(1, []).add(lines_of([read])[0]) is None


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b"5", b'{"outcome":[]}', b'{"outcome":{}}', b"[" * 100_000])
def test_damaged_line_is_none_of_them(line: bytes) -> None:
    watch = FirstLosses(1, [line])
    assert watch.add(lines_of([refused(1)])[0]) is None
