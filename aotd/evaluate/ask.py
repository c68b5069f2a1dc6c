"""The replies of each kind of arm to the held-out questions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from aotd.errors import QuestionError
from aotd.evaluate.baselines import GUESSERS, guess, guess_by_likeness
from aotd.records import Cost, Dropped, Mode, Outcome, Question
from aotd.runtime.meter import Meter, total
from aotd.store.run import Run
from aotd.students import ChoiceReply
from aotd.students.choices import WeighedChoice, wants_letter, weigh
from aotd.students.features import FeatureCache

if TYPE_CHECKING:
    from aotd.evaluate import EvaluateConfig
    from aotd.video_llms.base import VideoFeatures, VideoLLM

BLIND_ARMS = (*GUESSERS, "likeness")
"""The arms that see no video: they answer and have no reasons."""


ArmReply = str | WeighedChoice | Dropped
"""The text of a reply, or why there is none."""


def guesser_replies(
    arm: str, run: Run, train_split: str, embedder: str, questions: Sequence[Question]
) -> Iterator[ArmReply]:
    """The answers of one of `BLIND_ARMS`.

    Args:
        train_split: the split that it learns from.
        embedder: checkpoint of the sentence-embedding model that `likeness` compares with.
    """
    if arm == "likeness":
        from aotd.specialists.embedder import load_embedder

        yield from guess_by_likeness(questions, load_embedder(embedder))
        return
    train = [question for question in run.questions.records() if question.split == train_split]
    yield from guess(arm, train, questions)


def agent_replies(run: Run, questions: Sequence[Question], mode: Mode) -> Iterator[ArmReply]:
    """The agent's answers, which its programs gave, or the thoughts that were made of their traces."""
    ids = {question.question_id for question in questions}
    if mode is Mode.answer:
        replies = {key: trace.answer for key, trace in run.traces.records_of(ids).items()}
        dropped = {line.question_id: line for stage in (run.programs, run.traces) for line in stage.dropped()}
    else:
        replies = {key: thought.text for key, thought in run.thoughts.records_of(ids).items()}
        dropped = {line.question_id: line for line in run.thoughts.dropped()}
    for question in questions:
        key = question.question_id
        missing = Dropped(question_id=key, outcome=Outcome.no_answer, reason="the agent did not come to an answer")
        yield replies[key] if key in replies else dropped.get(key, missing)


def student_replies(
    student: VideoLLM,
    features: FeatureCache,
    settings: EvaluateConfig,
    choice_reply: ChoiceReply,
    questions: Sequence[Question],
    mode: Mode,
    done: set[str],
    costs: dict[str, Cost],
) -> Iterator[ArmReply | None]:
    """The replies of a distilled student, which is asked in batches; None for a question that is already done.

    Batches are cut from all questions, so that a reply never depends on where a run was interrupted.

    Args:
        costs: receives the cost of each question before its reply is handed out. The first question about a video
            pays for its features, whenever they were made, since arms share them.
    """
    paid: set[str] = set()
    for first in range(0, len(questions), settings.batch):
        batch = questions[first : first + settings.batch]
        if all(question.question_id in done for question in batch):
            paid |= {features.key(question) for question in batch}
            yield from [None] * len(batch)
            continue
        for question in batch:  # the features of one video are written while those of the next are made
            with suppress(QuestionError):  # raised again below, where it is recorded
                features.ensure(question)
        unreadable: dict[str, Dropped] = {}
        generated: list[_Asked] = []
        weighed: list[_Asked] = []
        video_costs = {}
        for question in batch:
            key = question.question_id
            try:
                video, video_costs[key] = _read_features(features, question, paid=features.key(question) in paid)
                by_words = mode is Mode.answer and question.options and choice_reply is ChoiceReply.words
                (weighed if by_words else generated).append((question, video))
            except QuestionError as error:
                unreadable[key] = Dropped(question_id=key, outcome=error.outcome, reason=str(error))
            paid.add(features.key(question))
        replies = _generate(student, generated, choice_reply, mode, settings.max_rationale_tokens)
        replies |= _weigh(student, weighed)
        for question in batch:
            key = question.question_id
            if key in unreadable:
                yield unreadable[key]
                continue
            reply, cost = replies[key]
            costs[key] = total([video_costs[key], cost])
            yield reply


_Asked = tuple[Question, "VideoFeatures"]


def _generate(
    student: VideoLLM, asked: Sequence[_Asked], choice_reply: ChoiceReply, mode: Mode, max_rationale_tokens: int
) -> dict[str, tuple[ArmReply, Cost]]:
    """The replies that a student writes to a batch of questions, each with its cost."""
    from aotd.prompts.student import prompt
    from aotd.video_llms.base import ANSWER_TOKENS, PromptInput

    longest = ANSWER_TOKENS if mode is Mode.answer else max_rationale_tokens
    room = "evaluate.max_rationale_tokens" if mode is Mode.rationale else "the limit of an answer"
    inputs = [PromptInput(prompt(question), wants_letter(question, choice_reply), video) for question, video in asked]
    with Meter() as meter:
        batch_replies = student.replies(inputs, mode, longest) if inputs else []
    replies: dict[str, tuple[ArmReply, Cost]] = {}
    for (question, _), reply in zip(asked, batch_replies, strict=True):
        key = question.question_id
        silence = f"the student: {reply.silence(room)}" if reply.silent else ""
        said = Dropped(question_id=key, outcome=Outcome.nothing_said, reason=silence) if silence else reply.text
        replies[key] = said, meter.cost(key, batch=len(inputs), replies=[reply])
    return replies


def _weigh(student: VideoLLM, asked: Sequence[_Asked]) -> dict[str, tuple[ArmReply, Cost]]:
    """The options that a student finds likeliest, each with its cost."""
    with Meter() as meter:
        choices = weigh(student, asked) if asked else []
    keys = [question.question_id for question, _ in asked]
    return {
        key: (choice, meter.cost(key, batch=len(asked), replies=[choice.reply]))
        for key, choice in zip(keys, choices, strict=True)
    }


def _read_features(features: FeatureCache, question: Question, paid: bool) -> tuple[VideoFeatures, Cost]:
    """The features of a question's video, and their cost: to read them and, unless that is `paid`, to make them.

    Raises:
        QuestionError: `video_unreadable`.
    """
    with Meter() as meter:
        video = features.features(question)
    read = meter.cost(question.question_id)
    if paid:
        return video, read
    made = features.seconds(question)  # the file tells it, whenever it was made
    more = {"reused": 1} if made is None else {"seconds": read.seconds + made}
    return video, read.model_copy(update=more)
