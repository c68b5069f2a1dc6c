"""What each kind of arm says to the held-out questions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from aotd.config.tree import Config
from aotd.errors import QuestionError
from aotd.evaluate.baselines import GUESSERS, guess
from aotd.evaluate.likeness import guess_by_likeness
from aotd.records import Cost, Dropped, Mode, Outcome, Program, Question, Thought, Trace
from aotd.runtime.meter import Meter, total
from aotd.store.stage import Stage
from aotd.students.features import FeatureCache

if TYPE_CHECKING:
    from aotd.video_llms.base import VideoFeatures, VideoLLM

BLIND_ARMS = (*GUESSERS, "likeness")
"""The arms that see no video: they answer and have no reasons."""

Reply = str | Dropped
"""What was said, or why nothing could be said."""


def of_guesser(name: str, config: Config, asked: Sequence[Question]) -> Iterator[Reply]:
    """One of `BLIND_ARMS`."""
    if name == "likeness":
        from aotd.specialists.embedder import load_embedder

        yield from guess_by_likeness(asked, load_embedder(config.specialists.embedder))
        return
    train = [q for q in Stage(Path(config.run), "load", Question).records() if q.split == config.evaluate.train_split]
    yield from guess(name, train, asked)


def of_agent(config: Config, asked: Sequence[Question], mode: Mode) -> Iterator[Reply]:
    """The agent: what its programs answered, and the thoughts made of their traces."""
    run, ids = Path(config.run), {question.question_id for question in asked}
    if mode is Mode.answer:
        said = {key: trace.answer for key, trace in Stage(run, "execute", Trace).records_of(ids).items()}
        verbs: list[Stage[Program] | Stage[Trace]] = [Stage(run, "decompose", Program), Stage(run, "execute", Trace)]
        dropped = {line.question_id: line for stage in verbs for line in stage.dropped()}
    else:
        thoughts = Stage(run, "convert", Thought)
        said = {key: thought.text for key, thought in thoughts.records_of(ids).items()}
        dropped = {line.question_id: line for line in thoughts.dropped()}
    for question in asked:
        key = question.question_id
        missing = Dropped(question_id=key, outcome=Outcome.no_answer, reason="the agent did not come to an answer")
        yield said[key] if key in said else dropped.get(key, missing)


def of_student(
    student: VideoLLM,
    views: FeatureCache,
    config: Config,
    asked: Sequence[Question],
    mode: Mode,
    done: set[str],
    costs: dict[str, Cost],
) -> Iterator[Reply | None]:
    """A distilled student, asked in batches; None for a question that is already done.

    Batches are cut from all questions, so that a reply never depends on where a run was interrupted.

    Args:
        costs: where the cost of each question is put before its reply is handed out. The first question about a
            video pays for looking at it, whenever that was done: arms share what their towers have seen.
    """
    from aotd.prompts.student import prompt
    from aotd.video_llms.base import ANSWER_TOKENS, PromptInput

    longest = ANSWER_TOKENS if mode is Mode.answer else config.evaluate.max_rationale_tokens
    seen: set[str] = set()
    for first in range(0, len(asked), config.evaluate.batch):
        batch = asked[first : first + config.evaluate.batch]
        if all(question.question_id in done for question in batch):
            seen |= {views.key(question) for question in batch}
            yield from [None] * len(batch)
            continue
        for question in batch:  # one view is written while the next is made
            with suppress(QuestionError):  # said below
                views.ensure(question)
        unread: dict[str, Dropped] = {}
        rows = []
        looks = {}
        for question in batch:
            key = question.question_id
            try:
                view, looks[key] = _look(views, question, paid=views.key(question) in seen)
                rows.append(PromptInput(prompt(question), bool(question.options), view))
            except QuestionError as error:
                unread[key] = Dropped(question_id=key, outcome=error.outcome, reason=str(error))
            seen.add(views.key(question))
        with Meter() as meter:
            replies = student.replies(rows, mode, longest) if rows else []
        said = iter(replies)
        for question in batch:
            key = question.question_id
            if key in unread:
                yield unread[key]
                continue
            reply = next(said)
            costs[key] = total([looks[key], meter.cost(key, batch=len(rows), replies=[reply])])
            yield reply.text


def _look(views: FeatureCache, question: Question, paid: bool) -> tuple[VideoFeatures, Cost]:
    """The view of a question's video, and what it takes to have it: to make it, unless that is `paid`, and to read it.

    Raises:
        QuestionError: `video_unreadable`.
    """
    with Meter() as meter:
        view = views.features(question)
    read = meter.cost(question.question_id)
    if paid:
        return view, read
    made = views.seconds(question)  # the view says it, whenever that was
    more = {"reused": 1} if made is None else {"seconds": read.seconds + made}
    return view, read.model_copy(update=more)
