"""Perception Test (Pătrăucean et al., NeurIPS 2023): its multiple-choice questions.

`mc_question_train.json`, `mc_question_valid.json` and `mc_question_test.json` are each one JSON object, a video's
questions under its id (shortened):

    {"video_1234": {"metadata": {"frame_rate": 29.97, …}, "mc_question": [
        {"id": 0, "question": "Where is …?", "options": ["…", "…", "…"], "answer_id": 2,
         "area": "Physics", "reasoning": "Predictive", "tag": ["…"]}]}}

The files of all annotations have the same fields among others and are read as well. The test split has no answers.
Some videos of the other splits go on until they show the answer; `dataset.cuts` (`cut_frame_mapping_valid.json`,
video -> frame) ends each at its frame, which is turned into seconds by the video's frame rate. The fields are
those of the README of github.com/google-deepmind/perception_test; the shape of the cuts is that which others' readers
expect.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from aotd.datasets.base import DatasetConfig, Loaded, type_field
from aotd.datasets.reader import Entry, Found, Videos, checked, collect, given_file, json_object, numbered, question_of
from aotd.errors import UserError


class _Question(Entry):
    id: str
    question: str
    options: list[str]
    answer_id: int | None = None
    area: str = "choice"
    reasoning: str = "choice"


class _Metadata(Entry):
    frame_rate: float | None = Field(default=None, gt=0)


class _Video(Entry):
    mc_question: list[_Question]
    metadata: _Metadata = _Metadata()


class _Cuts(Entry):
    frames: dict[str, int]


def read(config: DatasetConfig) -> Loaded:
    """The questions of `config.questions`.

    Raises:
        UserError: a file is not there, or an entry is malformed; names the file, the entry and what is wrong.
    """
    path = given_file("dataset.questions", config.questions, "Perception Test's JSON (mc_question_valid.json)")
    return collect(_found(path, config), config.limit)


def _found(path: Path, config: DatasetConfig) -> Iterator[Found]:
    videos = Videos(config.root)
    field = type_field(config)
    cuts = _cuts(config.cuts) if config.cuts else {}
    for name, row in json_object(path, "Perception Test's file").items():
        where = f"{path}: entry {name!r}"
        entry = checked(_Video, row, where)
        end_s = _end(cuts[name], entry.metadata.frame_rate, where) if name in cuts else None
        video = videos.find(where, f"{name}.mp4", f"videos/{name}.mp4")
        for asked in entry.mc_question:
            place = f"{where}, question {asked.id}"
            question = question_of(
                config,
                question_id=f"perceptiontest_{name}_{asked.id}",
                video_id=name,
                video=video,
                question=asked.question,
                type=str(getattr(asked, field)),
                options=asked.options,
                answer=numbered(asked.options, asked.answer_id, place),
                end_s=end_s,
            )
            yield Found(place, name, question)


def _cuts(name: str) -> dict[str, int]:
    path = given_file("dataset.cuts", name, "Perception Test's file (cut_frame_mapping_valid.json), or leave it empty")
    frames = json_object(path, "the file of cuts")
    return checked(_Cuts, {"frames": frames}, str(path)).frames


def _end(frame: int, rate: float | None, where: str) -> float:
    if rate is None:
        raise UserError(f"{where}: has no metadata.frame_rate, without which dataset.cuts is no time: leave that empty")
    return frame / rate
