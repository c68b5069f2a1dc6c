"""The benchmark of Video-ChatGPT (Maaz et al., ACL 2024): open-ended questions with answers of a sentence or several.

`generic_qa.json`, `temporal_qa.json` and `consistency_qa.json` are lists of entries such as

    {"Q": "What is the man doing?", "A": "The man is …", "video_name": "v_p1QGn0IzfW0"}
    {"Q1": "What is the man doing?", "Q2": "Which activity …?", "A": "The man is …", "video_name": "v_p1QGn0IzfW0"}

The type is the name of the file, without `_qa`. An entry of the last file asks one thing in two ways and becomes two
questions with one answer. Written from the readers of these files in github.com/mbzuai-oryx/Video-ChatGPT.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from aotd.datasets.base import Benchmark, DatasetConfig, LoadedQuestions, activitynet_video
from aotd.datasets.reader import (
    AnnotationEntry,
    ReadEntry,
    VideoPlaces,
    checked,
    collect,
    given_files,
    json_list,
    question_of,
)

FILES = ("generic_qa.json", "temporal_qa.json", "consistency_qa.json")


class VideoChatGPTQuestion(AnnotationEntry):
    Q: str
    A: str
    video_name: str


class VideoChatGPTPair(AnnotationEntry):
    Q1: str
    Q2: str
    A: str
    video_name: str


def read(config: DatasetConfig) -> LoadedQuestions:
    """The questions of one of the three files, or of those that are in a folder.

    Raises:
        UserError: no file is there, or an entry is malformed; names the file, the entry and what is wrong.
    """
    paths = given_files(config, FILES, f"Video-ChatGPT's files ({', '.join(FILES)})")
    return collect((entry for path in paths for entry in _read_entries(path, config)), config.limit)


def _read_entries(path: Path, config: DatasetConfig) -> Iterator[ReadEntry]:
    kind = path.stem.removesuffix("_qa")
    videos = VideoPlaces(config.root)
    for number, row in enumerate(json_list(path, "a file of Video-ChatGPT's"), start=1):
        where = f"{path}: entry {number}"
        entry: VideoChatGPTQuestion | VideoChatGPTPair = (
            checked(VideoChatGPTPair, row, where)
            if kind == "consistency"
            else checked(VideoChatGPTQuestion, row, where)
        )
        texts = {"_1": entry.Q1, "_2": entry.Q2} if isinstance(entry, VideoChatGPTPair) else {"": entry.Q}
        name = entry.video_name
        video = videos.find(where, *(f"{name}.{ending}" for ending in ("mp4", "mkv", "avi", "mov", "webm")))
        for suffix, text in texts.items():
            question = question_of(
                config,
                question_id=f"videochatgpt_{kind}_{number}{suffix}",
                video_id=name,
                video=video,
                question=text,
                type=kind,
                answer=entry.A,
            )
            yield ReadEntry(where, name, question)


BENCHMARK = Benchmark(read=read, origin=activitynet_video)
