"""Perception Test (Pătrăucean et al., NeurIPS 2023): its multiple-choice questions.

`mc_question_train.json`, `mc_question_valid.json` and `mc_question_test.json` are each one JSON object, a video's
questions under its id (shortened):

    {"video_1234": {"metadata": {"frame_rate": 29.97, …}, "mc_question": [
        {"id": 0, "question": "Where is …?", "options": ["…", "…", "…"], "answer_id": 2,
         "area": "Physics", "reasoning": "Predictive", "tag": ["…"]}]}}

The hub's parquet (lmms-lab/PerceptionTest_Val, folder `mc_question_val`) has a row for each question instead:

    {"video_name": "video_1234", "question": "Where is …?", "question_id": "0", "options": ["…", "…", "…"],
     "answer_id": "2", "area": "Physics", "reasoning": "Predictive", "tag": ["…"]}

The files of all annotations have the same fields among others and are read as well. The test split has no answers.
Some videos of the other splits go on until they show the answer; `dataset.cuts` (`cut_frame_mapping_valid.json`,
video -> frame) ends each at its frame, which is turned into seconds by the video's frame rate. The fields are
those of the README of github.com/google-deepmind/perception_test; the shape of the cuts is that which others' readers
expect.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import AliasChoices, Field

from aotd.datasets.base import Benchmark, DatasetConfig, LoadedQuestions, collection
from aotd.datasets.json_files import json_object
from aotd.datasets.reader import (
    AnnotationEntry,
    ReadEntry,
    checked,
    collect,
    given_file,
    numbered,
    question_of,
    questions_files,
    read_rows,
)
from aotd.datasets.video_files import VideoIndex
from aotd.errors import UserError

TYPE_FIELDS = ("area", "reasoning")


class PerceptionQuestion(AnnotationEntry):
    id: str = Field(validation_alias=AliasChoices("id", "question_id"))
    question: str
    options: list[str]
    answer_id: int | None = None
    area: str = "choice"
    reasoning: str = "choice"


class PerceptionMetadata(AnnotationEntry):
    frame_rate: float | None = Field(default=None, gt=0)


class PerceptionVideo(AnnotationEntry):
    video_name: str
    mc_question: list[PerceptionQuestion]
    metadata: PerceptionMetadata = PerceptionMetadata()


class PerceptionCuts(AnnotationEntry):
    frames: dict[str, int]


def read(config: DatasetConfig) -> LoadedQuestions:
    """The questions of `config.questions`.

    Raises:
        UserError: a file is not there, or an entry is malformed; names the file, the entry and what is wrong.
    """
    paths = questions_files(config, "Perception Test's JSON (mc_question_valid.json)")
    videos = VideoIndex(config.root)
    return collect(_read_entries(paths, config, videos), config.limit, videos.notes)


def _videos(path: Path) -> Iterator[tuple[str, PerceptionVideo]]:
    for where, row in read_rows(path, "Perception Test's file", "video_name"):
        if isinstance(row, dict) and "options" in row:  # the hub's row for one question
            row = {"video_name": row.get("video_name"), "mc_question": [row]}
        yield where, checked(PerceptionVideo, row, where)


def _read_entries(paths: Sequence[Path], config: DatasetConfig, videos: VideoIndex) -> Iterator[ReadEntry]:
    field = config.type_by or TYPE_FIELDS[0]
    cuts = _cuts(config.cuts) if config.cuts else {}
    for where, entry in (placed for path in paths for placed in _videos(path)):
        name = entry.video_name
        end_s = _end(cuts[name], entry.metadata.frame_rate, where) if name in cuts else None
        video = videos.stem(where, name, folders=("", "videos"))
        for annotated in entry.mc_question:
            place = f"{where}, question {annotated.id}"
            question = question_of(
                config,
                question_id=f"perceptiontest_{name}_{annotated.id}",
                video_id=name,
                video=video,
                question=annotated.question,
                type=str(getattr(annotated, field)),
                options=annotated.options,
                answer=numbered(annotated.options, annotated.answer_id, place),
                end_s=end_s,
            )
            yield ReadEntry(place, name, question)


def _cuts(name: str) -> dict[str, int]:
    path = given_file("dataset.cuts", name, "Perception Test's file (cut_frame_mapping_valid.json), or leave it empty")
    frames = json_object(path, "the file of cuts")
    return checked(PerceptionCuts, {"frames": frames}, str(path)).frames


def _end(frame: int, rate: float | None, where: str) -> float:
    if rate is None:
        raise UserError(f"{where}: has no metadata.frame_rate, without which dataset.cuts is no time: leave that empty")
    return frame / rate


BENCHMARK = Benchmark(read=read, origin=collection("perceptiontest"), type_fields=TYPE_FIELDS, extra_files=("cuts",))
