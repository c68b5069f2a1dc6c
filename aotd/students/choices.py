"""A student's answer to multiple choice, by the rule of `student.choice_reply`: a letter, or an option's own words.

A letter is generated. Words are weighed: each option is scored as a reply behind the prompt of a short answer, and the
likeliest is the answer. So nothing has to be read, and a student that knows no letters can choose. Which letter is the
likeliest where letters are asked for is weighed beside.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aotd.errors import UserError
from aotd.llm.base import Reply
from aotd.prompts.student import prompt, suffix
from aotd.records import Mode, Question
from aotd.store.run import Run
from aotd.students import ChoiceReply

if TYPE_CHECKING:
    from aotd.video_llms.base import VideoFeatures, VideoLLM


@dataclass(frozen=True)
class WeighedChoice:
    """The option that a student finds likeliest."""

    reply: Reply
    """Its words. Its tokens are those of all options, because each was computed."""
    letter: str
    """The likeliest letter behind the prompt that asks for one."""


def wants_letter(question: Question, choice_reply: ChoiceReply) -> bool:
    """Tell whether the answer to a question is to be an option's letter."""
    return bool(question.options) and choice_reply is ChoiceReply.letter


def answer(student: VideoLLM, question: Question, features: VideoFeatures, choice_reply: ChoiceReply) -> Reply:
    """Answer one question."""
    from aotd.video_llms.base import ANSWER_TOKENS, PromptInput

    if question.options and choice_reply is ChoiceReply.words:
        return weigh(student, [(question, features)])[0].reply
    asked = PromptInput(prompt(question), wants_letter(question, choice_reply), features)
    return student.replies([asked], Mode.answer, ANSWER_TOKENS)[0]


def weigh(student: VideoLLM, asked: Sequence[tuple[Question, VideoFeatures]]) -> list[WeighedChoice]:
    """Choose of each question the option with the highest mean log-probability of its tokens, the end token included.

    The mean is what training makes larger (`aotd.distill.loss`), and does not prefer short options as the sum would.
    Of equal ones the first is chosen. Questions with the same features share their computation.

    Args:
        asked: questions with options, all with a video or all without.
    """
    rows, replies = [], []
    for question, features in asked:
        for letter in (False, True):
            rows.append(student.prompt_row(features, prompt(question) + suffix(letter, Mode.answer)))
            replies.append(string.ascii_uppercase[: len(question.options)] if letter else question.options)
    scores = student.log_probs(rows, replies)
    chosen = []
    for number, (question, _) in enumerate(asked):
        row, (words, letters) = rows[2 * number], scores[2 * number : 2 * number + 2]
        reply = Reply(
            text=question.options[words.index(max(words))],
            finished=True,
            prompt_tokens=len(row.prefix.tokens) + len(row.texts[0]),
            reply_tokens=_count(student, question.options),
        )
        chosen.append(WeighedChoice(reply, string.ascii_uppercase[letters.index(max(letters))]))
    return chosen


def _count(student: VideoLLM, replies: Sequence[str]) -> int:
    """Count tokens as those of generated replies are counted: without the end tokens."""
    return sum(len(student.encode_reply(reply)) - 1 for reply in replies)


def trained_to_reply(run: Run, arm: str) -> ChoiceReply | None:
    """Return the rule that an arm of a run was distilled with; None where its manifest does not say it."""
    examples = run.examples(arm)
    settings = examples.manifest().get("settings") if examples.exists else None
    student = settings.get("student") if isinstance(settings, dict) else None
    if not isinstance(student, dict):
        return None
    trained = student.get("choice_reply", ChoiceReply.letter.value)
    return next((rule for rule in ChoiceReply if rule.value == trained), None)


def check_trained_to_reply(run: Run, arm: str, choice_reply: ChoiceReply) -> None:
    """Check that an arm of a run was distilled with the rule by which it is to be asked.

    Raises:
        UserError: with the other one.
    """
    trained = trained_to_reply(run, arm)
    if trained is not None and trained is not choice_reply:
        raise UserError(
            f"student.choice_reply={choice_reply.value}: arm {arm} of {run} was distilled with {trained.value}: "
            f"set student.choice_reply={trained.value}, or distill into another run"
        )
