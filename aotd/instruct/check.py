"""What an instruction must be to be kept; the first thing that is wrong with it is its outcome.

In this order: no chat tokens and no question twice (`instruction_form`), no word that speaks of a text
(`instruction_words`), the length, no copied run, answers that answer, nothing that the caption does not hold, and a
question that asks for reasons where there must be one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from aotd.datasets.captions import VideoCaption
from aotd.errors import QuestionError
from aotd.instruct import InstructConfig
from aotd.instruct.grounding import KnownWords, colours, known_words, strange_words
from aotd.instruct.words import phrases, plain_words, words_of
from aotd.prompts import inert
from aotd.records import DialogueTurn, InstructionKind, Outcome

LONGEST_CAPTION = 8000
"""Characters; the longest captions of videos have some two thousand."""
FEWEST_TURNS, MOST_TURNS = 2, 12
"""Of a conversation."""
MOST_QUESTION_WORDS, MOST_ANSWER_WORDS = 60, 250
FEWEST_REASON_WORDS = 20
"""Of the answer of `reasoning`, which is to be given in detail."""
_ORDER = re.compile(
    r"\b(?:ignore|disregard|forget|override|bypass)\b.{0,40}\b(?:above|previous|prior|earlier|instructions?|rules?|prompts?|everything|orders?)\b"
    r"|\b(?:system|assistant|user|human|developer|gpt|ai)\s*:"
    r"|\b(?:answer|reply|respond|output)\b\s*(?:only\b|with\b|in json|exactly|yes\b|no\b|:)"
    r"|\b(?:write|print|output|say)\b\s*(?:`|:|the following|exactly|the word)"
    r"|\byou are (?:now|free|an? (?:ai|assistant|model|chatbot))\b|\byou must (?:answer|reply|write|say|output)\b"
    r"|\b(?:language model|new instructions?|system prompt)\b|\b(?:all|any) other (?:questions?|captions?|rows?)\b"
    r"|```|\{\s*\"|<\||\[/?INST\]|</?\s*\w+\s*>",
    re.IGNORECASE | re.DOTALL,
)
"""What speaks to a model. A caption tells of a video."""
_REASON_ASKED = re.compile(
    r"\b(?:why|reasons?|purpose|explain|lessons?|infer|conclude|suggests?|imply|implies|reveals?|how come)\b"
    r"|\bwhat (?:might|could|would|may|should|will|if|makes?|made|allows?|helps?|caused?|led)\b"
    r"|\bwhat (?:do|does|did|can) .{0,80}\b(?:say|tell|show|mean|teach|learn)\b"
    r"|\bhow (?:can|could|might|would|should|do we|does this|did this|is it possible)\b"
    r"|\bin what way\b|\bwhat is the difference\b",
    re.IGNORECASE,
)
_HOW = re.compile(r"\bhow (?!many|much|long|old|often|far|tall|big|fast|high|large|heavy|wide|deep)\w+", re.IGNORECASE)
_REASON_GIVEN = re.compile(
    r"\b(?:because|since|so|therefore|thus|hence|if|due to|thanks to|in order to|which (?:means|shows|makes|suggests)"
    r"|suggests?|shows?|wants? to|wanted to|would|could|should|might|may|seems?|probably|likely|perhaps)\b",
    re.IGNORECASE,
)
_HOW_MANY = re.compile(r"\bhow many\b|\bwhat number\b", re.IGNORECASE)
_WHICH_COLOUR = re.compile(r"\b(?:what|which) (?:is the )?colou?rs?\b", re.IGNORECASE)


def unusable(caption: VideoCaption) -> str | None:
    """Why nothing can be made of a caption; None where it can."""
    if not caption.caption:
        return "the caption is empty"
    if len(caption.caption) > LONGEST_CAPTION or len(caption.title) > LONGEST_CAPTION:
        return f"the caption or the title is longer than {LONGEST_CAPTION} characters"
    for text in (caption.title, caption.caption):
        if (found := _ORDER.search(text)) is not None:
            return f"it speaks to a model: {found[0][:60]!r}"
    return None


def fault(
    kind: InstructionKind, turns: Sequence[DialogueTurn], caption: VideoCaption, settings: InstructConfig
) -> QuestionError | None:
    """The first thing that is wrong with an instruction; None where nothing is."""
    known = known_words(caption)
    texts = [text for turn in turns for text in (turn.question, turn.answer)]
    # The question for a description is ours.
    told = [turns[0].answer] if kind is InstructionKind.detail else texts
    return (
        _form(kind, turns)
        or _words(told)
        or _length(kind, turns, settings)
        or _copied(told, caption, settings.copied_words)
        or _unanswered(turns)
        or _ungrounded(kind, turns, known)
        or _simple(kind, turns)
    )


def asks_reasons(turn: DialogueTurn) -> bool:
    """Whether a question asks for reasons and its answer gives some.

    Judged by words: "why", "what might", "how could" and their like, or another "how" that asks for no quantity and has
    an answer of twelve words; and an answer with "because", "so", "wants to" and their like, or of twelve words.
    """
    long = len(plain_words(turn.answer)) >= 12
    asked = bool(_REASON_ASKED.search(turn.question)) or (long and bool(_HOW.search(turn.question)))
    return asked and (long or bool(_REASON_GIVEN.search(turn.answer)))


def longest_run(text: str, caption: VideoCaption) -> int:
    """How many words in a row a text shares with a caption or its title, at most."""
    longest, found = 0, plain_words(text)
    for other in (caption.title, caption.caption):
        while longest < len(found) and _shares(found, plain_words(other), longest + 1):
            longest += 1
    return longest


def _form(kind: InstructionKind, turns: Sequence[DialogueTurn]) -> QuestionError | None:
    texts = [text for turn in turns for text in (turn.question, turn.answer)]
    wrong = ""
    if not all(text.strip() for text in texts):
        wrong = "a text is empty"
    elif odd := next((text for text in texts if inert(text) != text or _MARKUP.search(text)), ""):
        wrong = f"a text holds marks of a chat, of code or of a page, or what cannot be seen: {odd[:60]!r}"
    elif len({turn.question.casefold() for turn in turns}) < len(turns):
        wrong = "a question comes twice"
    elif kind is InstructionKind.conversation and not FEWEST_TURNS <= len(turns) <= MOST_TURNS:
        wrong = f"{len(turns)} questions, and a conversation has {FEWEST_TURNS} to {MOST_TURNS}"
    elif kind is not InstructionKind.conversation and len(turns) != 1:
        wrong = f"{len(turns)} questions, and {kind.value} has one"
    return QuestionError(Outcome.instruction_form, wrong) if wrong else None


_MARKUP = re.compile(r"```|[{}<>]|\bhttps?://|\bwww\.|\\n")


def _words(texts: Sequence[str]) -> QuestionError | None:
    for text in texts:
        for found in (phrases("forbidden").search(text), _ORDER.search(text)):
            if found is not None:
                return QuestionError(Outcome.instruction_words, f"it speaks of a text or to a model: {found[0][:60]!r}")
    return None


def _length(kind: InstructionKind, turns: Sequence[DialogueTurn], settings: InstructConfig) -> QuestionError | None:
    def wrong(count: int, what: str, fewest: int, most: int) -> QuestionError | None:
        if fewest <= count <= most:
            return None
        return QuestionError(Outcome.instruction_length, f"{what} of {count} words, and {fewest} to {most} are wanted")

    if kind is InstructionKind.detail:
        count = len(plain_words(turns[0].answer))
        return wrong(count, "a description", settings.detail_min_words, settings.detail_max_words)
    fewest = FEWEST_REASON_WORDS if kind is InstructionKind.reasoning else 1
    for turn in turns:
        found = wrong(len(plain_words(turn.question)), "a question", 2, MOST_QUESTION_WORDS)
        found = found or wrong(len(plain_words(turn.answer)), "an answer", fewest, MOST_ANSWER_WORDS)
        if found is not None:
            return found
    return None


def _copied(texts: Sequence[str], caption: VideoCaption, run: int) -> QuestionError | None:
    for text in texts:
        for other in (caption.title, caption.caption):
            if shared := _shares(plain_words(text), plain_words(other), run):
                return QuestionError(Outcome.instruction_copied, f"{run} words in a row are copied: {shared!r}")
    return None


def _shares(words: Sequence[str], others: Sequence[str], run: int) -> str:
    """A run of so many words that is in both; empty where there is none."""
    runs = {tuple(others[at : at + run]) for at in range(len(others) - run + 1)}
    return next(
        (" ".join(words[at : at + run]) for at in range(len(words) - run + 1) if tuple(words[at : at + run]) in runs),
        "",
    )


def _unanswered(turns: Sequence[DialogueTurn]) -> QuestionError | None:
    for turn in turns:
        wrong = ""
        if (found := phrases("unknown").search(turn.answer)) is not None:
            wrong = f"an answer says that it is none: {found[0]!r}"
        elif _HOW_MANY.search(turn.question) and not any(word.is_number for word in words_of(turn.answer)):
            wrong = f"it is asked how many, and the answer has no number: {turn.question[:60]!r}"
        elif _WHICH_COLOUR.search(turn.question) and colours().isdisjoint(word.stem for word in words_of(turn.answer)):
            wrong = f"a colour is asked for, and the answer has none: {turn.question[:60]!r}"
        if wrong:
            return QuestionError(Outcome.instruction_unanswerable, wrong)
    return None


def _ungrounded(kind: InstructionKind, turns: Sequence[DialogueTurn], known: KnownWords) -> QuestionError | None:
    for turn in turns:
        reasons = kind is InstructionKind.reasoning or (kind is InstructionKind.conversation and asks_reasons(turn))
        told = (turn.answer,) if kind is InstructionKind.detail else (turn.question, turn.answer)
        for text in told:
            if strange := strange_words(text, known, reasons=reasons):
                named = ", ".join(dict.fromkeys(word[:30] for word in strange[:6]))
                return QuestionError(Outcome.instruction_ungrounded, f"the caption does not hold: {named}")
    return None


def _simple(kind: InstructionKind, turns: Sequence[DialogueTurn]) -> QuestionError | None:
    if kind is InstructionKind.detail or any(asks_reasons(turn) for turn in turns):
        return None
    return QuestionError(Outcome.instruction_simple, "no question asks for reasons")
