"""Read a judge's reply.

    {"correct": "yes", "score": 4}      ```json {'correct': 'No', 'score': '2/5'} ```      Here it is: {"score": 3.0}

The judge was asked for one object. Prose and fences around it are ignored, and never searched for a verdict. A
reply that can be understood in two ways is not read.
"""

from __future__ import annotations

import re

LONGEST = 100_000
"""Characters of a reply that is looked at; a longer one is not read."""
_STRING = r'"(?:[^"\\]|\\.)*"|' r"'(?:[^'\\]|\\.)*'"
_PAIR = re.compile(rf"\s*({_STRING}|\w+)\s*:\s*({_STRING}|[\w.+-]+(?:\s*/\s*\d+)?)\s*(,\s*}}|,|}})", re.DOTALL)
"""A name, its value, and the comma or the brace behind it; values are flat."""
_SCORE = re.compile(r"([0-5])(?:\.0+)?(?:\s*(?:/|out of)\s*5(?:\.0+)?)?")
_VERDICTS = {"yes": True, "true": True, "no": False, "false": False}

ReadJudgement = tuple[bool | None, int]
"""Verdict, where one was asked for, and score, 0 to 5."""


def read_judgement(reply: str, verdict: bool) -> ReadJudgement | None:
    """The judge's score, and its verdict where it was asked for one. None for a reply that cannot be read.

    Among those: no object; a brace that begins something else; an object with only one of the two, with one
    twice, with a value out of range; objects that differ; "yes" with a score of 0, or "no" with one of 5.

    >>> read_judgement('Sure: {"correct": "yes", "score": "4/5"}', verdict=True)
    (True, 4)
    >>> read_judgement('{"score": 6}', verdict=False), read_judgement("Yes, 4.", verdict=True)
    (None, None)
    """
    objects = _objects(reply) if len(reply) <= LONGEST else []
    readings = [_reading(pairs, verdict) for pairs in objects]
    return readings[0] if readings and len(set(readings)) == 1 else None


def _objects(text: str) -> list[list[tuple[str, str]]]:
    """The objects in a text as (name, value) pairs; none at all where one cannot be read to its end.

    A brace inside such a one may be a quotation, and must not be taken for the judge's own words.
    """
    objects = []
    at = text.find("{")
    while at >= 0:
        pairs, end = [], ","
        at += 1
        while end == ",":
            hit = _PAIR.match(text, at)
            if hit is None:
                return []
            pairs.append((_bare(hit[1]).casefold(), _bare(hit[2])))
            at, end = hit.end(), hit[3]
        objects.append(pairs)
        at = text.find("{", at)
    return objects


def _bare(text: str) -> str:
    return text[1:-1] if text[0] in "\"'" else text


def _reading(pairs: list[tuple[str, str]], verdict: bool) -> ReadJudgement | None:
    scores = [value for name, value in pairs if name == "score"]
    verdicts = [value for name, value in pairs if name == "correct"]
    score = _SCORE.fullmatch(scores[0].strip()) if len(scores) == 1 else None
    if score is None:
        return None
    marks = int(score[1])
    if not verdict:
        return None, marks
    correct = _VERDICTS.get(verdicts[0].strip(" .!").casefold()) if len(verdicts) == 1 else None
    return None if correct is None or marks == (0 if correct else 5) else (correct, marks)
