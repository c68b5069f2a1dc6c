"""What is read from a judge's reply, and what is not."""

from __future__ import annotations

import time

import pytest

from aotd.evaluate.judge_replies import LONGEST, ReadJudgement, read_judgement

VERDICTS: list[tuple[str, ReadJudgement | None]] = [
    ('{"correct": "yes", "score": 4}', (True, 4)),
    ('{"correct": "no", "score": 0}', (False, 0)),
    ('{"score": 1, "correct": "no"}', (False, 1)),
    ("{'correct': 'yes', 'score': 5}", (True, 5)),
    ("{'correct': True, 'score': 5}", (True, 5)),
    ('{"correct": false, "score": 2}', (False, 2)),
    ('{"correct": "True", "score": 3}', (True, 3)),
    ('{"Correct": "YES", "Score": 4}', (True, 4)),
    ('{"correct": "Yes.", "score": 4}', (True, 4)),
    ("{correct: yes, score: 4}", (True, 4)),
    ('{"correct": "yes", "score": 4,}', (True, 4)),
    ('{"correct": "yes", "score": 4.0}', (True, 4)),
    ('{"correct": "yes", "score": "4"}', (True, 4)),
    ('{"correct": "yes", "score": "4/5"}', (True, 4)),
    ('{"correct": "yes", "score": 4/5}', (True, 4)),
    ('{"correct": "yes", "score": 4 / 5}', (True, 4)),
    ('{"correct": "yes", "score": "4 out of 5"}', (True, 4)),
    ('{\n  "correct": "yes",\n  "score": 4\n}', (True, 4)),
    ('```json\n{"correct": "yes", "score": 4}\n```', (True, 4)),
    ('Here is my judgement:\n{"correct": "no", "score": 1}\nI hope that helps.', (False, 1)),
    ('<think>{"correct": "no"} or yes?</think>{"correct": "yes", "score": 4}', None),  # engines cut it: two verdicts
    ('{"correct": "no", "score": 1, "reason": "it isn\'t red"}', (False, 1)),
    ('{"correct": "no", "score": 1, "reason": "it says \\"red\\", not blue"}', (False, 1)),
    ('{"correct": "no", "score": 1, "reason": "a list, of: things}"}', (False, 1)),
    ('{"correct": "yes", "score": 4} {"correct": "yes", "score": 4.0}', (True, 4)),
    # Two readings.
    ('{"correct": "yes", "score": 4} or {"correct": "no", "score": 1}', None),
    ('{"correct": "yes", "score": 4} {"correct": "yes", "score": 3}', None),
    ('{"correct": "yes", "correct": "no", "score": 3}', None),
    ('{"correct": "yes", "score": 3, "score": 4}', None),
    ('{"correct": "yes", "score": 4, "Correct": "yes"}', None),
    # What it says cannot be.
    ('{"correct": "yes", "score": 0}', None),
    ('{"correct": "no", "score": 5}', None),
    ('{"correct": "yes", "score": 6}', None),
    ('{"correct": "yes", "score": -1}', None),
    ('{"correct": "yes", "score": 3.5}', None),
    ('{"correct": "yes", "score": "4/10"}', None),
    ('{"correct": "yes", "score": "45"}', None),
    ('{"correct": "yes", "score": "high"}', None),
    ('{"correct": "yes", "score": null}', None),
    ('{"correct": "yes", "score": true}', None),
    ('{"correct": "yes", "score": NaN}', None),
    ('{"correct": "partly", "score": 3}', None),
    ('{"correct": "yes or no", "score": 3}', None),
    ('{"correct": 1, "score": 3}', None),
    ('{"correct": "", "score": 3}', None),
    # Not the object that was asked for, or not all of it.
    ('{"correct": "yes"}', None),
    ('{"score": 4}', None),
    ('{"correct": "yes"} {"score": 4}', None),
    ('{"correct": "yes", "score": 4', None),
    ('"correct": "yes", "score": 4', None),
    ('[{"correct": "yes", "score": [4]}]', None),
    ('{"result": {"correct": "yes", "score": 4}}', None),
    ("Yes, 4.", None),
    ("yes", None),
    ("", None),
    ("{}", None),
    ('{ I think } {"correct": "yes", "score": 4}', None),
    # A quotation in an object that cannot be read is not the judge's word.
    ("{'correct': 'no', 'score': 1, 'why': 'it's just {\"correct\": \"yes\", \"score\": 5} again'}", None),
    ('{"correct": "no", "score": 1, "why": ["{"correct": "yes", "score": 5}"]}', None),
]


@pytest.mark.parametrize(("reply", "read"), VERDICTS)
def test_read_judgement_with_verdict(reply: str, read: ReadJudgement | None) -> None:
    assert read_judgement(reply, verdict=True) == read


@pytest.mark.parametrize(
    ("reply", "read"),
    [
        ('{"score": 3}', (None, 3)),
        ("{'score': '3/5'}", (None, 3)),
        ('Detail: {"score": 0}', (None, 0)),
        ('{"correct": "maybe", "score": 5}', (None, 5)),
        ('{"score": 7}', None),
        ('{"score": 3} {"score": 2}', None),
        ('{"marks": 3}', None),
        ("3", None),
    ],
)
def test_read_judgement_without_verdict(reply: str, read: ReadJudgement | None) -> None:
    assert read_judgement(reply, verdict=False) == read


@pytest.mark.parametrize("start", ["{", "{a:", '{"', "{a:1", "{a:1 ", '{"\\', "{a:1,"])
@pytest.mark.parametrize("rest", [" ", "\\", '"', "1", "{", "a:1,", "/ "])
def test_read_judgement_takes_linear_time(start: str, rest: str) -> None:
    began = time.monotonic()
    assert read_judgement((start + rest * LONGEST)[:LONGEST], verdict=True) is None
    assert time.monotonic() - began < 2


def test_read_judgement_refuses_too_long_replies() -> None:
    assert read_judgement('{"correct": "yes", "score": 4}' + " " * LONGEST, verdict=True) is None
