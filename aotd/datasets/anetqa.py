"""ANetQA (Yu et al., CVPR 2023): compositional questions about ActivityNet videos.

`qa_train.json`, `qa_val.json` and `q_test.json` are lists of entries such as (shortened)

    {"qa_id": "v_m7cHlmcFk9Y#attrWhat#2", "video_id": "v_m7cHlmcFk9Y", "question": "What colour is …?",
     "answer": "white", "taxonomy": {"question_type": "attrWhat", "question structures": "query",
                                     "question semantics": "attribute", "answer types": "open", …}}

All are open-ended; the test split has no answers. The shape is that of `dataset/README.md` in
github.com/MILVLG/anetqa-code. Programs and scene graphs are not read: ANetQA's operations are not STAR's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import Field

from aotd.datasets.base import Benchmark, DatasetConfig, LoadedQuestions, activitynet_video
from aotd.datasets.reader import (
    AnnotationEntry,
    ReadEntry,
    collect,
    list_entries,
    question_of,
    questions_files,
)
from aotd.datasets.video_files import VideoIndex

TYPE_FIELDS = ("question_type", "question structures", "question semantics", "answer types")


class ANetQATaxonomy(AnnotationEntry):
    question_type: str
    structures: str = Field(alias="question structures")
    semantics: str = Field(alias="question semantics")
    answers: str = Field(alias="answer types")


class ANetQAEntry(AnnotationEntry):
    qa_id: str
    video_id: str
    question: str
    answer: str | None = None
    taxonomy: ANetQATaxonomy


def read(config: DatasetConfig) -> LoadedQuestions:
    """The questions of `config.questions`.

    Raises:
        UserError: the file is not there, or an entry is malformed; names the file, the entry and what is wrong.
    """
    wanted = "ANetQA's JSON (qa_train.json, qa_val.json or q_test.json)"
    videos = VideoIndex(config.root)
    return collect(_read_entries(questions_files(config, wanted), config, videos), config.limit, videos.notes)


def _read_entries(paths: Sequence[Path], config: DatasetConfig, videos: VideoIndex) -> Iterator[ReadEntry]:
    field = config.type_by or TYPE_FIELDS[0]
    rows = (placed for path in paths for placed in list_entries(path, ANetQAEntry, "ANetQA's file", "qa_id"))
    for where, entry in rows:
        question = question_of(
            config,
            question_id=f"anetqa_{entry.qa_id}",
            video_id=entry.video_id,
            video=videos.stem(where, entry.video_id, entry.video_id.removeprefix("v_")),
            question=entry.question,
            type=entry.taxonomy.model_dump(by_alias=True)[field],
            answer=entry.answer,
        )
        yield ReadEntry(where, entry.video_id, question)


BENCHMARK = Benchmark(read=read, origin=activitynet_video, type_fields=TYPE_FIELDS)
