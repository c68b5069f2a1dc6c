"""The author `llm`: what it is asked, and how its reply is read."""

from __future__ import annotations

import json

import pytest

from aotd.datasets.captions import VideoCaption
from aotd.errors import QuestionError
from aotd.instruct import InstructConfig
from aotd.instruct.check import fault
from aotd.instruct.llm import PROMPTS, prompt, read_reply, request
from aotd.instruct.words import lines, plain_words
from aotd.prompts import one_line, source
from aotd.records import DialogueTurn, InstructionKind, Outcome
from tests.hostile_texts import HOSTILE

CAPTION = VideoCaption("v", "v.mp4", "A Dog", "A dog barks.", "mine")
PAIR = {"question": "Who barks?", "answer": "The dog does."}
TURN = DialogueTurn(**PAIR)
LINE = json.dumps(PAIR)


@pytest.mark.parametrize("kind", PROMPTS)
@pytest.mark.parametrize("name", HOSTILE)
def test_caption_stays_between_its_marks(kind: InstructionKind, name: str) -> None:
    text = HOSTILE[name][:9000]
    asked = prompt(VideoCaption("v", "v.mp4", text, text, "mine"), kind, InstructConfig())
    assert asked.count("<lines>") == asked.count("</lines>") == asked.count("<title>") == asked.count("</title>") == 2
    assert asked.endswith(f"<lines>\n{one_line(text)}\n</lines>\n{source(PROMPTS[kind]).splitlines()[-1]}")
    asked.encode()


@pytest.mark.parametrize("kind", PROMPTS)
def test_example_in_a_prompt_passes_the_check(kind: InstructionKind) -> None:
    text = source(PROMPTS[kind])
    title, told, rest = (
        text.split("<title>\n")[1].replace("</title>\n<lines>\n", "\0").replace("</lines>\n", "\0").split("\0")
    )
    caption = VideoCaption("v", "v.mp4", title.strip(), " ".join(told.split()), "mine")
    turns = read_reply(rest.partition(":\n")[2].strip(), kind, "Describe the video.")
    assert not isinstance(turns, QuestionError)
    assert fault(kind, turns, caption, InstructConfig()) is None


def test_prompt_of_a_description_says_how_long() -> None:
    asked = prompt(CAPTION, InstructionKind.detail, InstructConfig(detail_min_words=33, detail_max_words=44))
    assert "33 to 44 words" in asked


@pytest.mark.parametrize(
    "reply",
    [
        f"{LINE}\n{LINE}",
        f"```json\n{LINE}\n{LINE}\n```",
        json.dumps([PAIR, PAIR]),
        json.dumps([PAIR, PAIR], indent=2),
        f"{json.dumps(PAIR, indent=1)},\n\n{LINE}\n",
    ],
)
def test_pairs_are_read_from_json_in_every_form(reply: str) -> None:
    assert read_reply(reply, InstructionKind.conversation, "") == (TURN, TURN)


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "```\n```",
        LINE[:-1],
        f"Sure:\n{LINE}",
        f"{LINE}\nI hope it helps.",
        LINE.replace('"', "'"),
        json.dumps({"question": "Who?"}),
        json.dumps({**PAIR, "more": 1}),
        json.dumps({**PAIR, "answer": 7}),
        json.dumps(["Who?"]),
        "7",
        "[" * 100_000,
        '{"question": NaN, "answer": "x"}',
    ],
)
def test_reply_that_is_no_json_of_pairs_is_refused(reply: str) -> None:
    for kind in (InstructionKind.conversation, InstructionKind.reasoning):
        wrong = read_reply(reply, kind, "")
        assert isinstance(wrong, QuestionError)
        assert wrong.outcome is Outcome.instruction_form


def test_description_is_plain_text() -> None:
    turns = read_reply('```\n"A dog\nbarks."\n```', InstructionKind.detail, "Tell me.")
    assert turns == (DialogueTurn(question="Tell me.", answer="A dog barks."),)
    wrong = read_reply(LINE, InstructionKind.detail, "Tell me.")
    assert isinstance(wrong, QuestionError)


def test_request_is_one_of_ours_and_the_same_every_time() -> None:
    asked = {request(VideoCaption(str(n), "", "", "", ""), 0) for n in range(100)}
    assert asked == set(lines("requests"))
    assert request(CAPTION, 0) == request(CAPTION, 0)
    assert all(len(plain_words(one)) >= 5 for one in asked)
