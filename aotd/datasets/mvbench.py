"""MVBench (Li et al., CVPR 2024): twenty tasks, each a file of multiple-choice questions about other datasets' videos.

`action_sequence.json`, … are lists of entries such as

    {"video": "ZS9XR.mp4", "question": "What happened after …?", "candidates": ["Ate the …", "Tidied up …"],
     "answer": "Ate the …", "start": 11.1, "end": 19.6}

The type is the name of the task, which is that of its file (hub: OpenGVLab/MVBench, folder `json`; a folder of parquet
with a task's name is read as well). Folders are those of `mvbench.ipynb` in github.com/OpenGVLab/Ask-Anything, and of
the dataset's later branch `video`, where they differ; they may lie deeper below the root. `start` and `end`
are the part that is asked about in the five tasks that the notebook cuts; elsewhere they are not read. The videos
of one of these, episodic_reasoning, are folders of numbered frames, three a second: a video is made of each
(docs/benchmarks.md), and until then these questions name a file that is missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from aotd.datasets.base import Benchmark, DatasetConfig, LoadedQuestions
from aotd.datasets.reader import (
    AnnotationEntry,
    ReadEntry,
    collect,
    files_of_kinds,
    list_entries,
    question_of,
)
from aotd.datasets.video_files import VideoIndex

FOLDERS = {
    "action_sequence": ("star/Charades_v1_480", "data0613/star/Charades_v1_480"),
    "action_prediction": ("star/Charades_v1_480", "data0613/star/Charades_v1_480"),
    "action_antonym": ("ssv2_video", "ssv2_video_mp4"),
    "fine_grained_action": ("Moments_in_Time_Raw/videos",),
    "unexpected_action": ("FunQA_test/test",),
    "object_existence": ("clevrer/video_validation", "data0613/clevrer/video_validation"),
    "object_interaction": ("star/Charades_v1_480", "data0613/star/Charades_v1_480"),
    "object_shuffle": ("perception/videos",),
    "moving_direction": ("clevrer/video_validation", "data0613/clevrer/video_validation"),
    "action_localization": ("sta/sta_video",),
    "scene_transition": ("scene_qa/video",),
    "action_count": ("perception/videos",),
    "moving_count": ("clevrer/video_validation", "data0613/clevrer/video_validation"),
    "moving_attribute": ("clevrer/video_validation", "data0613/clevrer/video_validation"),
    "state_change": ("perception/videos",),
    "fine_grained_pose": ("nturgbd", "nturgbd_convert"),
    "character_order": ("perception/videos",),
    "egocentric_navigation": ("vlnqa",),
    "episodic_reasoning": ("tvqa/frames_fps3_hq",),
    "counterfactual_inference": ("clevrer/video_validation", "data0613/clevrer/video_validation"),
}
"""Task -> the folders below the root that its videos may lie in."""

PARTS = ("action_sequence", "action_prediction", "object_interaction", "action_localization", "episodic_reasoning")
"""Tasks that ask about the part of the video from `start` to `end`."""

FRAMES = ("episodic_reasoning",)
"""Tasks whose videos are folders of frames."""


class MVBenchEntry(AnnotationEntry):
    video: str
    question: str
    candidates: list[str]
    answer: str
    start: float | None = None
    end: float | None = None


def read(config: DatasetConfig) -> LoadedQuestions:
    """The questions of one task's file, or of every task's file in a folder.

    Raises:
        UserError: no file is there, or an entry is malformed; names the file, the entry and what is wrong.
    """
    kinds = {task: task for task in FOLDERS}
    by_task = files_of_kinds(config, kinds, "MVBench's twenty files (action_sequence.json, …)")
    videos = VideoIndex(config.root)
    entries = (entry for task, paths in by_task.items() for entry in _read_entries(task, paths, config, videos))
    return collect(entries, config.limit, videos.notes)


def _read_entries(task: str, paths: Sequence[Path], config: DatasetConfig, videos: VideoIndex) -> Iterator[ReadEntry]:
    rows = (placed for path in paths for placed in list_entries(path, MVBenchEntry, "a file of MVBench"))
    for number, (where, entry) in enumerate(rows, start=1):
        part = (entry.start, entry.end) if task in PARTS else (None, None)
        name = f"{entry.video}.mp4" if task in FRAMES else entry.video
        video = videos.file(where, name, FOLDERS[task])
        places = [f"{folder}/{name}" for folder in FOLDERS[task]]
        video_id = video if video in places else places[0]  # other tasks have other videos of the same name
        question = question_of(
            config,
            question_id=f"mvbench_{task}_{number}",
            video_id=video_id,
            video=video,
            question=entry.question,
            type=task,
            options=entry.candidates,
            answer=entry.answer,
            start_s=part[0],
            end_s=part[1],
        )
        yield ReadEntry(where, video_id, question)


_COLLECTIONS = {
    "star/Charades_v1_480": "charades",
    "clevrer/video_validation": "clevrer",
    "perception/videos": "perceptiontest",
}
"""Folder -> the collection whose ids its files are named by."""


def _origin(video_id: str) -> tuple[str, str]:
    """The origin of a video, whose id is its path."""
    path = PurePosixPath(video_id)
    name = _COLLECTIONS.get("/".join(path.parts[-3:-1]))
    return (name, path.stem) if name else ("mvbench", video_id)


BENCHMARK = Benchmark(read=read, origin=_origin)
