"""caption: describe the videos of a dataset second by second.

    aotd caption run=runs/mine dataset=files dataset.questions=mine.jsonl \\
        dataset.root=videos specialists/answering=llava_next_video
    aotd run run=runs/mine_told dataset=files dataset.questions=mine.jsonl \\
        specialists=captions specialists.captions=runs/mine/caption/captions.json

Reads the dataset's own files (with dataset=clips, every file of the folder)
and writes <run>/caption/captions.json, {video: {second: caption}}, which is
what specialists=captions reads. Any
answering specialist that looks at pixels will do. Each stretch of
caption.every_s seconds is described once, from one frame of each second, and
the caption stands for every second of it; a last part of less than a second
has none. Stopped and started again, it goes on with the next video; one that
cannot be read is named in <run>/caption/dropped.jsonl.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from aotd.config.tree import CaptionConfig
from aotd.datasets.base import DatasetConfig
from aotd.datasets.benchmarks import CLIPS, read
from aotd.errors import QuestionError, UserError
from aotd.load.clips import files_below
from aotd.records import Dropped, Question, Record
from aotd.runtime.output import say
from aotd.runtime.progress import progress
from aotd.specialists import SourceName, SpecialistsConfig
from aotd.specialists.load import SOURCES, load_specialist
from aotd.specialists.prompted import Prompted
from aotd.specialists.protocols import Answerer, Source
from aotd.specialists.remote import Remote
from aotd.store.files import write_atomically
from aotd.store.run import Run
from aotd.store.stage import Stage
from aotd.video.clip import Clip
from aotd.video.source import DecodedVideo

_AT_ONCE_BYTES = 1 << 30
"""Frames that are in memory at once; longer videos are worked through in parts."""
_SLACK_S = 0.05
"""A second that lacks no more than this is whole."""


class Captioned(Record):
    """A video's captions. `question_id` is the video's id."""

    captions: tuple[str, ...]
    """Of its seconds 0, 1, 2, …"""


def job(run: Run, *, caption: CaptionConfig, dataset: DatasetConfig, specialists: SpecialistsConfig) -> None:
    """Write the captions of every video of the dataset.

    Raises:
        UserError: specialists.source is not video, the dataset or the answering specialist's model is not there.
    """
    every = caption.every_s
    if every < 1:
        raise UserError(f"caption.every_s={every} must be 1 or more")
    if specialists.source is not SourceName.video:
        raise UserError("caption needs specialists.source=video: it describes what is seen in video files")
    videos = _videos(dataset)
    source = SOURCES[specialists.source](specialists, dataset.root)
    captioner = load_specialist("answering", specialists, dataset.root)
    stage = Stage(run.folder, "caption", Captioned)
    models = {"source": source.model, "answering": captioner.model}
    with stage.open({"every_s": every}, models=models) as out:
        todo = [video for video in videos if video.question_id not in out.done]
        for video in progress("caption", todo):
            out.write(_captioned(video, source, captioner, every))
    found, path = stage.records(), stage.folder / "captions.json"
    told = {one.question_id: {str(second): text for second, text in enumerate(one.captions)} for one in found}
    write_atomically(path, json.dumps(told, indent=1, ensure_ascii=False) + "\n")
    seconds, broken = sum(len(one.captions) for one in found), len(stage.dropped())
    say(f"{path}: {len(found)} videos, {seconds} seconds; {broken} videos cannot be read")


def _videos(dataset: DatasetConfig) -> list[Question]:
    """One stand-in question for each video of the dataset, about the whole of it."""
    if dataset.name == CLIPS:
        named = {name: name for name in files_below(dataset.root, dataset.limit)}
    else:
        questions = read(dataset).questions
        named = {question.video_id: question.video for question in questions if question.video is not None}
    return [
        Question(question_id=video_id, dataset="", split="", video_id=video_id, video=video, question="?", type="")
        for video_id, video in named.items()
    ]


def _captioned(question: Question, source: Source, captioner: Answerer, every: int) -> Captioned | Dropped:
    try:
        video = source.open(question)
        assert isinstance(video, DecodedVideo)
        seconds = max(int(video.end_s + _SLACK_S), 1)
        together = max(_AT_ONCE_BYTES // (3 * video.width * video.height) // every, 1) * every
        captions: list[str] = []
        for first in range(0, seconds, together):
            last = min(first + together, seconds)
            part = replace(
                video, start_s=float(first), end_s=min(float(last), video.end_s), frames=last - first
            )  # one frame of each second
            captions += _described(Clip.whole(part), captioner, every)
    except QuestionError as error:
        return Dropped(question_id=question.question_id, outcome=error.outcome, reason=error.reason)
    return Captioned(question_id=question.question_id, captions=tuple(captions))


def _described(clip: Clip, captioner: Answerer, every: int) -> list[str]:
    """The caption of each frame of a clip that has one frame of each second."""
    stretches = [clip.span(first, first + every) for first in range(0, len(clip.numbers), every)]
    texts: Sequence[str]
    if isinstance(captioner, Prompted | Remote):
        texts = captioner.summarise_all([(stretch, "") for stretch in stretches])
    else:
        texts = [captioner.summarise(stretch, "") for stretch in stretches]
    return [" ".join(text.split()) for text, stretch in zip(texts, stretches, strict=True) for _ in stretch.numbers]
