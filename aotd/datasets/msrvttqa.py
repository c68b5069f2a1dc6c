"""MSRVTT-QA (Xu et al., ACM MM 2017): open-ended questions of one word each, made from captions of MSR-VTT's videos.

Files and entries have the shape of MSVD-QA's (`aotd.datasets.msvdqa`). Video 7010 is `video7010.mp4`, in `TestVideo`,
`TrainValVideo` or anywhere else below the root.
"""

from __future__ import annotations

from aotd.datasets.base import Benchmark, DatasetConfig, LoadedQuestions, collection
from aotd.datasets.msvdqa import caption_questions
from aotd.datasets.reader import questions_files


def read(config: DatasetConfig) -> LoadedQuestions:
    """The questions of one file, or of the parquet in a folder.

    Raises:
        UserError: no file is there, or an entry is malformed; names the file, the entry and what is wrong.
    """
    paths = questions_files(config, "MSRVTT-QA's file of questions (test_qa.json)")
    return caption_questions(paths, config, lambda number: f"video{number}", ("TestVideo", "TrainValVideo"))


BENCHMARK = Benchmark(read=read, origin=collection("msrvtt"))
