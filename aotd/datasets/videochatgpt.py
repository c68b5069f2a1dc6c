"""The benchmark of Video-ChatGPT (Maaz et al., ACL 2024): open-ended questions with answers of a sentence or several.

`generic_qa.json`, `temporal_qa.json` and `consistency_qa.json` are lists of entries such as

    {"Q": "What is the man doing?", "A": "The man is …", "video_name": "v_p1QGn0IzfW0"}
    {"Q1": "What is the man doing?", "Q2": "Which activity …?", "A": "The man is …", "video_name": "v_p1QGn0IzfW0"}

The type is the name of the file, without `_qa`. An entry of the last file asks one thing in two ways and becomes two
questions with one answer. Shapes are those that the readers in github.com/mbzuai-oryx/Video-ChatGPT load
(video_chatgpt/eval/run_inference_benchmark_{general,consistency}.py).

The hub (lmms-lab/VideoChatGPT) has a folder of parquet for each, `Generic`, `Temporal` and `Consistency`, with the
columns `video_name`, `question` and `answer`; the last has `question_1` and `question_2` instead, of which each row
asks one and has the text "None" for the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import AliasChoices, Field

from aotd.datasets.base import Benchmark, DatasetConfig, LoadedQuestions, activitynet_video
from aotd.datasets.reader import AnnotationEntry, ReadEntry, checked, collect, files_of_kinds, question_of, read_rows
from aotd.datasets.video_files import VideoIndex

FILES = ("generic_qa.json", "temporal_qa.json", "consistency_qa.json")
_KINDS = {name: kind for kind in ("generic", "temporal", "consistency") for name in (f"{kind}_qa", kind)}


class VideoChatGPTQuestion(AnnotationEntry):
    question: str = Field(validation_alias=AliasChoices("Q", "question"))
    answer: str = Field(validation_alias=AliasChoices("A", "answer"))
    video_name: str


class VideoChatGPTPair(AnnotationEntry):
    question_1: str = Field(validation_alias=AliasChoices("Q1", "question_1"))
    question_2: str = Field(validation_alias=AliasChoices("Q2", "question_2"))
    answer: str = Field(validation_alias=AliasChoices("A", "answer"))
    video_name: str


_NOTHING = "None"
"""What the hub's rows have in place of the question that they do not ask."""


def read(config: DatasetConfig) -> LoadedQuestions:
    """The questions of one of the three files, or of those that are in a folder.

    Raises:
        UserError: no file is there, or an entry is malformed; names the file, the entry and what is wrong.
    """
    by_kind = files_of_kinds(config, _KINDS, f"Video-ChatGPT's files ({', '.join(FILES)})")
    videos = VideoIndex(config.root)
    entries = (entry for kind, paths in by_kind.items() for entry in _read_entries(kind, paths, config, videos))
    return collect(entries, config.limit, videos.notes)


def _read_entries(kind: str, paths: Sequence[Path], config: DatasetConfig, videos: VideoIndex) -> Iterator[ReadEntry]:
    rows = (placed for path in paths for placed in read_rows(path, "a file of Video-ChatGPT's"))
    for number, (where, row) in enumerate(rows, start=1):
        entry: VideoChatGPTQuestion | VideoChatGPTPair
        if kind == "consistency":
            entry = checked(VideoChatGPTPair, row, where)
            texts = {"_1": entry.question_1, "_2": entry.question_2}
        else:
            entry = checked(VideoChatGPTQuestion, row, where)
            texts = {"": entry.question}
        name = entry.video_name
        video = videos.stem(where, name, name.removeprefix("v_"))
        for suffix, text in texts.items():
            if text == _NOTHING:
                continue
            question = question_of(
                config,
                question_id=f"videochatgpt_{kind}_{number}{suffix}",
                video_id=name,
                video=video,
                question=text,
                type=kind,
                answer=entry.answer,
            )
            yield ReadEntry(where, name, question)


BENCHMARK = Benchmark(read=read, origin=activitynet_video)
