"""MSVD-QA (Xu et al., ACM MM 2017): open-ended questions of one word each, made from captions of MSVD's clips.

`train_qa.json`, `val_qa.json` and `test_qa.json` are lists of entries such as

    {"video_id": 1301, "question": "what is a man doing?", "answer": "play", "id": 37337, …}

`youtube_mapping.txt`, published with them, says what MSVD calls each video:

    mv89psg6zh4_33_46 vid1

It is read where it lies beside the questions or below the folder of the videos. A clip is then looked for by that name,
else as `vid1`. The type is the question's first word, as in the paper's tables.

Source: the links of github.com/xudejing/video-question-answering; the shapes are those that
github.com/thaolmk54/hcrn-videoqa reads (preprocess/datautils/msvd_qa.py, msrvtt_qa.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from aotd.datasets.base import Benchmark, DatasetConfig, LoadedQuestions, collection
from aotd.datasets.reader import AnnotationEntry, ReadEntry, collect, list_entries, question_of, questions_files
from aotd.datasets.video_files import VideoIndex
from aotd.errors import UserError

TYPES = ("what", "who", "how", "when", "where")
MAPPING = "youtube_mapping.txt"
_LONGEST = 1 << 20
"""Bytes of the file of names; the real one has 60 KB."""


class CaptionQuestion(AnnotationEntry):
    """A question of MSVD-QA or MSRVTT-QA."""

    video_id: int
    question: str
    answer: str


def read(config: DatasetConfig) -> LoadedQuestions:
    """The questions of one file, or of the parquet in a folder.

    Raises:
        UserError: no file is there, or an entry is malformed; names the file, the entry and what is wrong.
    """
    paths = questions_files(config, "MSVD-QA's file of questions (test_qa.json)")
    names = _names(paths[0].parent, Path(config.root))
    return caption_questions(paths, config, lambda number: names.get(f"vid{number}", f"vid{number}"), ("YouTubeClips",))


def _names(*folders: Path) -> dict[str, str]:
    """What MSVD calls each of MSVD-QA's videos; nothing where no file says it."""
    path = next((folder / MAPPING for folder in folders if (folder / MAPPING).is_file()), None)
    if path is None:
        return {}
    with path.open("rb") as file:
        text = file.read(_LONGEST).decode("utf-8", errors="replace")
    names = {}
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        if len(words) not in (0, 2):
            raise UserError(f"{path}:{number}: a line has the name of a clip and its number, such as 'a_1_9 vid1'")
        if words:
            names[words[1]] = words[0]
    return names


def caption_questions(
    paths: Sequence[Path], config: DatasetConfig, name: Callable[[int], str], folders: Sequence[str]
) -> LoadedQuestions:
    """The questions of files in the shape that MSVD-QA and MSRVTT-QA have.

    Args:
        name: the number of a video -> the name of its file, without the ending.
        folders: where the benchmark has its videos below the root.

    Raises:
        UserError: an entry is malformed.
    """
    videos = VideoIndex(config.root)
    return collect(_read_entries(paths, config, name, ("", *folders), videos), config.limit, videos.notes)


def _read_entries(
    paths: Sequence[Path],
    config: DatasetConfig,
    name: Callable[[int], str],
    folders: Sequence[str],
    videos: VideoIndex,
) -> Iterator[ReadEntry]:
    rows = (placed for path in paths for placed in list_entries(path, CaptionQuestion, f"{config.name}'s questions"))
    for number, (where, entry) in enumerate(rows, start=1):
        video_id = name(entry.video_id)
        first = entry.question.split(maxsplit=1)[:1]
        question = question_of(
            config,
            question_id=f"{config.name}_{number}",
            video_id=video_id,
            video=videos.stem(where, video_id, folders=folders),
            question=entry.question,
            type=first[0].lower() if first and first[0].lower() in TYPES else "other",
            answer=entry.answer,
        )
        yield ReadEntry(where, video_id, question)


BENCHMARK = Benchmark(read=read, origin=collection("msvd"))
