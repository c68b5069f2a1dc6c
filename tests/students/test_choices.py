"""Multiple choice answered in words: the likeliest option."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import numpy as np
import pytest
import torch

from aotd.prompts.student import prompt, suffix
from aotd.records import Mode, Question
from aotd.students import ChoiceReply, StudentConfig, ValleySettings
from aotd.students.choices import answer, wants_letter, weigh
from aotd.students.valley.student import ValleyStudent, new_valley
from aotd.video.clip import Pixels
from aotd.video_llms.base import BatchRow, VideoFeatures, collate
from tests.conftest import BlankVideo

OPTIONS = ("the book", "the bag, and then the cup", "a door")


class Noise(BlankVideo):
    """Eight frames of noise."""

    def pixels(self) -> Pixels:
        rng = np.random.default_rng(int(self.video_id))
        return rng.integers(0, 256, (self.frames, self.height, self.width, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def student() -> ValleyStudent:
    sizes = ValleySettings(image=16, channels=16, patches=4, hidden=32, layers=2, heads=2)
    made = new_valley(StudentConfig(frames=4, valley=sizes), 8, ["Which is it?", *OPTIONS], seed=1)
    with torch.no_grad():  # from nothing all tokens are nearly as likely
        for weights in made.model.parameters():
            weights.mul_(3)
    return made


def question(options: Sequence[str] = OPTIONS) -> Question:
    return Question(
        question_id="a", dataset="d", split="train", video_id="1", question="Which is it?", type="T",
        options=tuple(options),
    )  # fmt: skip


def alone(student: ValleyStudent, asked: Question, features: VideoFeatures) -> list[float]:
    """Score each option in a sequence of its own."""
    row = student.prompt_row(features, prompt(asked) + suffix(False, Mode.answer))
    scores = []
    for option in asked.options:
        said = student.encode_reply(option)
        batch = collate([BatchRow(features, row.prefix, [[*row.texts[0], *said[:-1]]])], student.pad_token)
        places = batch.inputs["input_ids"].shape[1]
        with torch.no_grad():
            logits = student.model(**batch.inputs, at=torch.arange(places))[-len(said) :]
        each = [logits[place].log_softmax(-1)[token].item() for place, token in enumerate(said)]
        scores.append(sum(each) / len(each))
    return scores


def test_likeliest_option_is_that_of_separate_sequences(student: ValleyStudent) -> None:
    chosen = set()
    for number, options in enumerate(permutations(OPTIONS)):
        asked, features = question(options), student.encode_video(Noise(video_id=str(number)))
        scores = alone(student, asked, features)
        row = student.prompt_row(features, prompt(asked) + suffix(False, Mode.answer))
        assert student.log_probs([row], [options]) == [pytest.approx(scores, abs=1e-5)]
        reply = weigh(student, [(asked, features)])[0].reply
        assert reply.text == options[scores.index(max(scores))]
        assert answer(student, asked, features, ChoiceReply.words) == reply
        assert reply.prompt_tokens == len(row.prefix.tokens) + len(row.texts[0])
        assert reply.reply_tokens == sum(len(student.encode_reply(option)) - 1 for option in options)
        chosen.add(options.index(reply.text))
    assert len(chosen) > 1, "not always the same place"


@pytest.mark.parametrize("tokens", [1, 10_000])
def test_questions_are_weighed_together_as_alone(
    student: ValleyStudent, tokens: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aotd.video_llms.base._BATCH_TOKENS", tokens)
    videos = [student.encode_video(Noise(video_id=str(number))) for number in range(2)]
    # Of one video several, and not next to each other.
    asked = [(question(options), videos[number % 2]) for number, options in enumerate(permutations(OPTIONS))]
    asked.append((question(OPTIONS[:2]), videos[0]))
    assert weigh(student, asked) == [weigh(student, [one])[0] for one in asked]


def test_letter_beside_is_the_likeliest_one(student: ValleyStudent) -> None:
    found = set()
    for number in range(6):
        features = student.encode_video(Noise(video_id=str(number)))
        row = student.prompt_row(features, prompt(question()) + suffix(True, Mode.answer))
        scores = student.log_probs([row], ["ABC"])[0]
        letter = weigh(student, [(question(), features)])[0].letter
        assert letter == "ABC"[scores.index(max(scores))]
        found.add(letter)
    assert found <= set("ABC")


def test_likeliest_of_equal_options_is_the_first(student: ValleyStudent, monkeypatch: pytest.MonkeyPatch) -> None:
    features = student.encode_video(Noise(video_id="1"))
    monkeypatch.setattr(student, "log_probs", lambda rows, replies: [[-2.0, -1.0, -1.0], [-1.0, -1.0, -2.0]])
    (choice,) = weigh(student, [(question(), features)])
    assert (choice.reply.text, choice.letter) == (OPTIONS[1], "A")


def test_open_question_is_generated_by_either_rule(student: ValleyStudent) -> None:
    features = student.encode_video(Noise(video_id="1"))
    replies = [answer(student, question(()), features, rule) for rule in ChoiceReply]
    assert replies[0] == replies[1]
    assert not wants_letter(question(()), ChoiceReply.letter)
    assert wants_letter(question(), ChoiceReply.letter)
