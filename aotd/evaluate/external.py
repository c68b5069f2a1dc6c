"""Replies that come from outside the run, in a file.

It is JSON lines, one reply each, `mode` being `answer` where it is left out:

    {"question_id": "t017_3", "text": "B"}
    {"question_id": "t017_3", "text": "The cup is … So the answer is the cup.", "mode": "rationale"}
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from aotd.errors import UserError
from aotd.llm.reasoning import split_reasoning
from aotd.records import Dropped, Mode, Outcome, Prediction, Question
from aotd.store.stage import Stage
from aotd.store.untrusted import is_file, lines

ReplyFile = Mapping[Mode, Mapping[str, str]]
"""Suffix -> question id -> reply."""


class _ReplyLine(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    question_id: str
    text: str
    mode: Mode = Mode.answer


def read_replies(path: Path, known: Collection[str]) -> ReplyFile:
    """The replies in a file; a question may be left out, and is then a missing prediction.

    Raises:
        UserError: no such file, a line that is no reply, a question that is not asked here, or one that has two.
    """
    if not is_file(path):
        raise UserError(f"evaluate.external: {path} is not there; give a file of JSON lines or a student's folder")
    replies: dict[Mode, dict[str, str]] = {}
    for number, text in lines(path):
        if not text.strip():
            continue
        where = f"evaluate.external: {path}:{number}"
        try:
            line = _ReplyLine.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"]) or "line"
            raise UserError(
                f'{where}: no reply ({field}: {first["msg"]}); write {{"question_id": …, "text": …}}'
            ) from None
        of_mode = replies.setdefault(line.mode, {})
        if line.question_id not in known:
            raise UserError(
                f"{where}: question {line.question_id!r} is not among those asked; delete the line or load it"
            )
        if line.question_id in of_mode:
            raise UserError(f"{where}: a second {line.mode.value} to question {line.question_id!r}; delete one of them")
        of_mode[line.question_id] = line.text
    if not replies:
        raise UserError(f"evaluate.external: {path} holds no reply")
    return replies


def file_replies(replies: ReplyFile, questions: Sequence[Question], mode: Mode) -> list[str | Dropped]:
    """The reply to each question, or that there is none."""
    texts = replies.get(mode, {})
    return [_said(question.question_id, texts.get(question.question_id)) for question in questions]


def _said(question_id: str, text: str | None) -> str | Dropped:
    """What the model said in a reply, without its reasoning."""
    if text is None:
        return Dropped(question_id=question_id, outcome=Outcome.no_answer, reason="the file holds no reply to it")
    split = split_reasoning(text)
    if split.closed:
        return split.text
    reason = "the reply in the file never ends its reasoning, and says nothing"
    return Dropped(question_id=question_id, outcome=Outcome.nothing_said, reason=reason)


def check_ids(stage: Stage[Prediction], known: Collection[str]) -> None:
    """
    Raises:
        UserError: a prediction, or what was dropped, is about a question that is not known, or there is a second one.
    """
    earlier: set[str] = set()
    for line in (*stage.records(), *stage.dropped()):
        if line.question_id not in known:
            raise UserError(f"{stage.folder}: a prediction for {line.question_id!r}, which the run has not loaded")
        if line.question_id in earlier:
            raise UserError(f"{stage.folder}: two predictions for {line.question_id!r}; delete one of the lines")
        earlier.add(line.question_id)
