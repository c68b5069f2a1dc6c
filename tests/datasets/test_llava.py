"""Dialogues in LLaVA's form, in the shape of Valley's appendix B."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aotd.datasets.base import DatasetConfig
from aotd.datasets.benchmarks import read
from aotd.datasets.llava import read_dialogues
from aotd.errors import UserError
from aotd.records import InstructionKind

FIRST = {
    "id": "jukin_1285059", "v_id": "1285059", "video": "jukinmedia_v_1285059.mp4", "source": "jukinmedia",
    "conversations": [
        {"from": "human", "value": "<video>\nHow do the performers do their trick?"},
        {"from": "gpt", "value": "They jump and flip."},
    ],
}  # fmt: skip
SECOND = {
    "id": "25116338", "video": "037551_037600/25116338.mp4", "conversations": [
        {"from": "human", "value": "Describe the following video concisely.\n<video>"},
        {"from": "gpt", "value": "A girl at a computer."},
        {"from": "human", "value": "What is behind her?"},
        {"from": "gpt", "value": "A wall."},
    ],
}  # fmt: skip
IMAGE = {
    "id": 7, "image": "coco/7.jpg", "conversations": [
        {"from": "human", "value": "What is it?\n<image>"}, {"from": "gpt", "value": "A cup, 3 < 4."},
    ],
}  # fmt: skip


def config(folder: Path, entries: Any, **more: Any) -> DatasetConfig:
    path = folder / "conversations.json"
    path.write_text(json.dumps(entries))
    return DatasetConfig(name="llava", questions=str(path), split="train", root=str(folder), **more)


def changed(*values: str, speakers: tuple[str, ...] = ("human", "gpt")) -> dict[str, Any]:
    """An entry with other messages."""
    said = [{"from": speakers[number % 2], "value": value} for number, value in enumerate(values)]
    return {**FIRST, "conversations": said}


def test_each_turn_is_an_open_question(tmp_path: Path) -> None:
    questions = list(read(config(tmp_path, [FIRST, SECOND, IMAGE])).questions)
    assert [(one.question_id, one.video_id, one.video, one.question, one.answer) for one in questions] == [
        *[("llava_1_1", "1285059", "jukinmedia_v_1285059.mp4", "How do the performers do their trick?",
           "They jump and flip.")],
        *[("llava_2_1", "25116338", "037551_037600/25116338.mp4", "Describe the following video concisely.",
           "A girl at a computer.")],
        *[("llava_2_2", "25116338", "037551_037600/25116338.mp4", "What is behind her?", "A wall.")],
        *[("llava_3_1", "7", "coco/7.jpg", "What is it?", "A cup, 3 < 4.")],
    ]  # fmt: skip
    assert {(one.dataset, one.split, one.type, one.options) for one in questions} == {("llava", "train", "other", ())}


def test_videos_come_again_and_limit_counts_them(tmp_path: Path) -> None:
    loaded = read(config(tmp_path, [FIRST, FIRST, SECOND], limit=1))
    assert [question.question_id for question in loaded.questions] == ["llava_1_1", "llava_2_1"]


def test_own_kind_becomes_the_type(tmp_path: Path) -> None:
    (dialogue,) = read_dialogues(Path(config(tmp_path, [{**FIRST, "kind": "reasoning"}]).questions))
    assert not isinstance(dialogue.instruction, str)
    assert dialogue.instruction.kind is InstructionKind.reasoning
    (question,) = read(config(tmp_path, [{**FIRST, "kind": "reasoning"}])).questions
    assert question.type == "reasoning"


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        (changed("Who?", "He."), "the placeholder of the video is lost"),
        (changed("<video><video>\nWho?", "He."), "the placeholder of the video is there 2 times"),
        (changed("<video> Who?", "He.", "<video> Where?", "Here."), "the placeholder of the video is there 2 times"),
        (changed("<video>\n<image> Who?", "He."), "the placeholder of the video is there 2 times"),
        (changed("<video> Who?", "The <video> shows him."), "a placeholder of the video stands in an answer"),
        (changed("Who?", "He. <image>"), "a placeholder of the video stands in an answer"),
        (changed("Who?", "He.", "<video> Where?", "Here."), "the placeholder of the video stands behind the first"),
        (changed("<video> Who?"), "the last question has no answer"),
        (changed(), "nothing is said"),
        (changed("<video> Who?", "He.", speakers=("gpt", "human")), "message 1 is by 'gpt', and 'human' has the turn"),
        (changed("<video> Who?", "He.", speakers=("human", "human")), "message 2 is by 'human', and 'gpt' has"),
        (changed("<video>", "He."), "the question is empty"),
        (changed("<video> Who?", " "), "the answer is empty"),
        ({**FIRST, "video": None}, "there is no video"),
    ],
)
def test_entry_that_gives_no_question_is_named(entry: dict[str, Any], says: str, tmp_path: Path) -> None:
    loaded = read(config(tmp_path, [entry, SECOND]))
    assert len(list(loaded.questions)) == 2
    (skipped,) = loaded.skipped
    assert "conversations.json: entry 1: " in skipped
    assert says in skipped


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"id": "1", "video": "a.mp4"}, "conversations: Field required"),
        ({**FIRST, "conversations": [{"from": "human"}]}, r"conversations\.0\.value: Field required"),
        ({**FIRST, "conversations": "hello"}, "conversations: Input should be a valid list"),
    ],
)
def test_entry_of_another_shape_is_an_error(entry: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"entry 1: {says}"):
        read(config(tmp_path, [entry]))
