"""MVBench: one file or a folder of them, videos in the folders of twenty tasks, parts only where the task has them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aotd.datasets.base import DatasetConfig, LoadedQuestions
from aotd.datasets.benchmarks import read
from aotd.datasets.mvbench import FOLDERS
from aotd.errors import UserError

ENTRY = {
    "video": "A1.mp4", "question": "What came after?", "candidates": ["a walk", "a nap"], "answer": "a nap",
    "start": 1.5, "end": 4.0,
}  # fmt: skip


def load(folder: Path, files: dict[str, Any], only: str = "", **settings: Any) -> LoadedQuestions:
    (folder / "json").mkdir(exist_ok=True)
    for name, entries in files.items():
        (folder / "json" / name).write_text(json.dumps(entries))
    fields = {"name": "mvbench", "root": str(folder), "split": "test", **settings}
    return read(DatasetConfig(questions=str(folder / "json" / only), **fields))


def test_folder_is_read_task_by_task(tmp_path: Path) -> None:
    loaded = load(tmp_path, {"action_sequence.json": [ENTRY], "state_change.json": [ENTRY, ENTRY]})
    first, second, third = loaded.questions
    assert (first.question_id, first.type) == ("mvbench_action_sequence_1", "action_sequence")
    assert (first.options, first.answer, first.split) == (("a walk", "a nap"), "a nap", "test")
    assert first.video == first.video_id == "star/Charades_v1_480/A1.mp4"
    assert (first.start_s, first.end_s) == (1.5, 4.0)
    assert (second.question_id, third.question_id) == ("mvbench_state_change_1", "mvbench_state_change_2")
    assert (second.video, second.start_s, second.end_s) == ("perception/videos/A1.mp4", None, None)


def test_one_file_is_one_task(tmp_path: Path) -> None:
    files = {"action_sequence.json": [ENTRY], "state_change.json": [ENTRY]}
    assert [q.type for q in load(tmp_path, files, only="state_change.json").questions] == ["state_change"]


def test_table_has_twenty_tasks(tmp_path: Path) -> None:
    loaded = load(tmp_path, {f"{task}.json": [ENTRY] for task in FOLDERS})
    assert len(loaded.questions) == len({question.type for question in loaded.questions}) == 20


def test_video_of_the_later_branch_is_found(tmp_path: Path) -> None:
    (tmp_path / "nturgbd_convert").mkdir()
    (tmp_path / "nturgbd_convert" / "A1.mp4").touch()
    (question,) = load(tmp_path, {"fine_grained_pose.json": [ENTRY]}).questions
    assert question.video == "nturgbd_convert/A1.mp4"


def test_folders_of_frames_are_named_as_videos(tmp_path: Path) -> None:
    (tmp_path / "tvqa" / "frames_fps3_hq" / "s01").mkdir(parents=True)
    (question,) = load(tmp_path, {"episodic_reasoning.json": [{**ENTRY, "video": "s01"}]}).questions
    assert question.video == "tvqa/frames_fps3_hq/s01.mp4"
    assert (question.start_s, question.end_s) == (1.5, 4.0)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"candidates": ["a nap", "a nap"]}, "the option 'a nap' is there twice"),
        ({"answer": "a swim"}, "the answer 'a swim' is none of the options"),
        ({"candidates": ["a nap", " "]}, "an option is empty"),
        ({"candidates": ["a nap"]}, "there are 1 options"),
        ({"question": " "}, "the question is empty"),
        ({"end": 1.0}, "its part of the video starts at 1.5 s and ends at 1 s: that is no part"),
    ],
)
def test_flawed_entries_are_skipped(fields: dict[str, Any], why: str, tmp_path: Path) -> None:
    loaded = load(tmp_path, {"action_sequence.json": [{**ENTRY, **fields}, ENTRY]})
    assert [question.question_id for question in loaded.questions] == ["mvbench_action_sequence_2"]
    (skipped,) = loaded.skipped
    assert skipped.startswith(f"{tmp_path / 'json' / 'action_sequence.json'}: entry 1: {why}")


def test_limit_counts_videos_over_all_tasks(tmp_path: Path) -> None:
    others = [{**ENTRY, "video": name} for name in ("A1.mp4", "A2.mp4", "A1.mp4")]
    loaded = load(tmp_path, {"action_sequence.json": others, "state_change.json": others}, limit=3)
    assert [question.question_id for question in loaded.questions] == [
        *(f"mvbench_action_sequence_{number}" for number in (1, 2, 3)),
        *(f"mvbench_state_change_{number}" for number in (1, 3)),
    ]


@pytest.mark.parametrize(
    ("name", "entries", "says"),
    [
        ("action_count.json", [ENTRY, {**ENTRY, "candidates": "1, 2"}], r"action_count\.json: entry 2: candidates"),
        ("action_count.json", [ENTRY, {**ENTRY, "video": "../../../x.mp4"}], r"action_count\.json: entry 2: .*outside"),
        ("action_count.json", {"data": [ENTRY]}, r"action_count\.json: a file of MVBench is a list"),
        ("juggling.json", [ENTRY], r"holds none of MVBench's twenty files"),
    ],
)
def test_malformed_file_is_refused(name: str, entries: Any, says: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=says):
        load(tmp_path, {name: entries})


def test_folder_above_is_told_which_is_meant(tmp_path: Path) -> None:
    load(tmp_path, {"action_count.json": [ENTRY]})
    with pytest.raises(UserError, match=rf"holds none of .*: did you mean {tmp_path / 'json'}\?"):
        read(DatasetConfig(name="mvbench", questions=str(tmp_path)))


def test_file_that_is_no_task_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"juggling\.json is none of MVBench's twenty files"):
        load(tmp_path, {"juggling.json": [ENTRY]}, only="juggling.json")
