"""Video-Bench (Ning et al., 2023): thirteen files of multiple-choice questions about other datasets' videos.

`MSVD_QA_new.json`, `Driving-exam_QA_new.json`, … hold entries under their ids:

    "40810": {"vid_path": "Eval_video/MSVD/msCidKHOh74_410_418.avi", "video_id": "msCidKHOh74_410_418",
              "question": "what is a man riding a bike on the ground with?",
              "choices": {"A": "handlebars", "B": "a basket", "C": "luggage", "D": "a backpack"}, "answer": "C"}

The type is the name of the file without `_QA_new`. Groups are the three levels of the paper. Its score of a level is a
mean over files in which MOT and Driving-exam count half; ours is over questions.

Source: github.com/PKU-YuanGroup/Video-Bench, Eval_QA/ and Step3_compute_scores.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from pydantic import Field

from aotd.datasets.base import Benchmark, DatasetConfig, LoadedQuestions, activitynet_video
from aotd.datasets.reader import AnnotationEntry, ReadEntry, collect, files_of_kinds, list_entries, question_of
from aotd.datasets.video_files import VideoIndex
from aotd.errors import UserError

LEVELS = {
    "video-exclusive": ("ActivityNet", "MSVD", "MSRVTT", "TGIF", "Youcook2", "Ucfcrime", "MOT"),
    "prior knowledge": ("TVQA", "MV", "NBA"),
    "decision making": ("Driving-exam", "Driving-decision-making", "SQA3D"),
}
"""Level -> the files that test it."""
FILES = {f"{kind}_QA_new".lower(): kind for kinds in LEVELS.values() for kind in kinds}


class VideoBenchEntry(AnnotationEntry):
    id: str
    vid_path: str
    question: str
    choices: dict[str, str] = Field(min_length=1)
    answer: str | None = None


def read(config: DatasetConfig) -> LoadedQuestions:
    """The questions of one file, or of every file in a folder.

    Raises:
        UserError: no file is there, or an entry is malformed; names the file, the entry and what is wrong.
    """
    by_kind = files_of_kinds(config, FILES, "Video-Bench's thirteen files (MSVD_QA_new.json, …)")
    videos = VideoIndex(config.root)
    entries = (entry for kind, paths in by_kind.items() for entry in _read_entries(kind, paths, config, videos))
    return collect(entries, config.limit, videos.notes)


def _read_entries(kind: str, paths: Sequence[Path], config: DatasetConfig, videos: VideoIndex) -> Iterator[ReadEntry]:
    for where, entry in (placed for path in paths for placed in list_entries(path, VideoBenchEntry, _WHAT, "id")):
        if entry.answer is not None and entry.answer.strip() not in entry.choices:
            raise UserError(f"{where}: the answer {entry.answer!r} is none of {', '.join(entry.choices)}")
        path = PurePosixPath(entry.vid_path)
        video_id = f"{kind}/{path.stem}"
        question = question_of(
            config,
            question_id=f"videobench_{kind}_{entry.id}",
            video_id=video_id,
            video=videos.file(where, entry.vid_path),
            question=entry.question,
            type=kind,
            options=[entry.choices[letter] for letter in sorted(entry.choices)],
            answer=None if entry.answer is None else entry.choices[entry.answer.strip()],
        )
        yield ReadEntry(where, video_id, question)


_WHAT = "a file of Video-Bench"
_COLLECTIONS = {"MSVD": "msvd", "MSRVTT": "msrvtt"}


def _origin(video_id: str) -> tuple[str, str]:
    """The origin of a video, whose id is its file of questions and its name."""
    kind, _, name = video_id.partition("/")
    if kind == "ActivityNet":
        return activitynet_video(name)
    return (_COLLECTIONS[kind], name) if kind in _COLLECTIONS else ("videobench", video_id)


def _level(kind: str) -> Sequence[str]:
    return [level for level, kinds in LEVELS.items() if kind in kinds]


BENCHMARK = Benchmark(read=read, origin=_origin, groups=_level)
