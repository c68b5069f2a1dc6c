"""CLEVRER (Yi et al., ICLR 2020): questions about colliding things in rendered videos.

`train.json`, `validation.json` and `test.json` are lists of videos such as (shortened)

    {"scene_index": 12, "video_filename": "video_00012.mp4", "questions": [
        {"question_id": 0, "question_type": "descriptive", "question": "What shape is …?", "answer": "sphere"},
        {"question_id": 9, "question_type": "predictive", "question": "Which event will happen next?", "choices": [
            {"choice_id": 0, "choice": "The cube collides with the sphere", "answer": "correct"},
            {"choice_id": 1, "choice": "The cylinder enters", "answer": "wrong"}]}]}

A descriptive question is open-ended. The others (explanatory, predictive, counterfactual) have choices of which
any number, also none, is right, so no option can be *the* answer. Each choice becomes a question by itself, to be
answered with yes or no: nothing is left out, and accuracy on them is what CLEVRER calls accuracy per option.
The test split has no answers. The videos unpack in a folder for each thousand
(`video_train/video_00000-01000/video_00012.mp4`). Shape and folders are those of clevrer.csail.mit.edu.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from aotd.datasets.base import Benchmark, DatasetConfig, LoadedQuestions, collection
from aotd.datasets.reader import (
    AnnotationEntry,
    ReadEntry,
    collect,
    list_entries,
    question_of,
    questions_files,
)
from aotd.datasets.video_files import VideoIndex

ANSWERS = {"correct": "yes", "wrong": "no"}


class ClevrerChoice(AnnotationEntry):
    choice_id: int
    choice: str
    answer: Literal["correct", "wrong"] | None = None


class ClevrerQuestion(AnnotationEntry):
    question_id: int
    question_type: Literal["descriptive", "explanatory", "predictive", "counterfactual"]
    question: str
    answer: str | None = None
    choices: tuple[ClevrerChoice, ...] = ()


class ClevrerScene(AnnotationEntry):
    scene_index: int
    video_filename: str
    questions: list[ClevrerQuestion]


def read(config: DatasetConfig) -> LoadedQuestions:
    """The questions of `config.questions`: one for each descriptive question, and one for each choice of the others.

    Raises:
        UserError: the file is not there, or an entry is malformed; names the file, the entry and what is wrong.
    """
    paths = questions_files(config, "CLEVRER's JSON (train.json or validation.json)")
    videos = VideoIndex(config.root)
    return collect(_read_entries(paths, config, videos), config.limit, videos.notes)


def _read_entries(paths: Sequence[Path], config: DatasetConfig, videos: VideoIndex) -> Iterator[ReadEntry]:
    for where, scene in (placed for path in paths for placed in list_entries(path, ClevrerScene, "CLEVRER's file")):
        name = scene.video_filename
        video = videos.file(where, name)
        for entry in scene.questions:
            stem = f"clevrer_{scene.scene_index}_{entry.question_id}"
            place = f"{where}, question {entry.question_id}"
            if entry.question_type == "descriptive":
                question = question_of(
                    config,
                    question_id=stem,
                    video_id=name.removesuffix(".mp4"),
                    video=video,
                    question=entry.question,
                    type=entry.question_type,
                    answer=entry.answer,
                )
                yield ReadEntry(place, name, question)
                continue
            if not entry.choices:
                yield ReadEntry(place, name, "it has no choices")
            for choice in entry.choices:
                question = question_of(
                    config,
                    question_id=f"{stem}_{choice.choice_id}",
                    video_id=name.removesuffix(".mp4"),
                    video=video,
                    question=f'{entry.question.strip()} Is this a right answer: "{choice.choice.strip()}"?',
                    type=entry.question_type,
                    options=("yes", "no"),
                    answer=None if choice.answer is None else ANSWERS[choice.answer],
                )
                yield ReadEntry(f"{place}, choice {choice.choice_id}", name, question)


BENCHMARK = Benchmark(read=read, origin=collection("clevrer"))
