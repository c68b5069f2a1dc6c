"""The world is built once, goes on where it was stopped, and is never mixed with another."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from pathlib import Path

import pytest

from aotd.datasets.base import DatasetConfig
from aotd.datasets.captions import read_captions
from aotd.datasets.playroom import Difficulty, PlayroomConfig
from aotd.datasets.playroom.build import CAPTIONS, read
from aotd.errors import UserError
from aotd.store.files import _sweep

SMALL = PlayroomConfig(train_videos=4, val_videos=0, test_videos=4, difficulty=Difficulty.easy)


def config(root: Path, **changes: object) -> DatasetConfig:
    return DatasetConfig(root=str(root), playroom=dataclasses.replace(SMALL, **changes))  # type: ignore[arg-type]


def hashes(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("world") / "playroom"
    read(config(root))
    return root


def test_read_gives_questions_with_videos_programs_and_evidence(built: Path) -> None:
    loaded = read(config(built))
    assert loaded.skipped == []
    assert {question.split for question in loaded.questions} == {"train", "test"}
    assert len({question.question_id for question in loaded.questions}) == len(loaded.questions) > 30
    for question in loaded.questions:
        assert question.dataset == "playroom"
        assert (built / str(question.video)).is_file()
        assert question.steps
        assert question.evidence is not None
        assert question.evidence.boxes


def test_each_video_has_a_caption(built: Path) -> None:
    told = read_captions(built / CAPTIONS)
    assert len(told) == 8
    for caption in told:
        assert (built / caption.video).is_file()
        assert len(caption.caption.split()) > 20


def test_interrupted_build_ends_with_the_same_files(built: Path, tmp_path: Path) -> None:
    read(config(tmp_path))
    whole = hashes(tmp_path)
    assert whole == hashes(built)
    (tmp_path / "world.json").unlink()
    (tmp_path / "videos" / "test-0002.mp4").unlink()
    left = tmp_path / "videos" / ".test-0002.mp4.123.partial"
    left.write_bytes(b"half a video")
    os.utime(left, (0, 0))
    _sweep.cache_clear()  # as in a process of its own
    read(config(tmp_path))
    assert hashes(tmp_path) == whole


def test_world_with_other_settings_is_refused(built: Path) -> None:
    with pytest.raises(UserError, match=r"seed: 0 there, 1 wanted"):
        read(config(built, seed=1))


def test_half_built_world_with_other_settings_is_refused(tmp_path: Path) -> None:
    read(config(tmp_path))
    (tmp_path / "world.json").unlink()
    with pytest.raises(UserError, match=r"difficulty: easy there, hard wanted"):
        read(config(tmp_path, difficulty=Difficulty.hard))


def test_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "mine.mp4").write_bytes(b"mine")
    with pytest.raises(UserError, match="already holds files"):
        read(config(tmp_path))
    assert [path.name for path in (tmp_path / "videos").iterdir()] == ["mine.mp4"]


@pytest.mark.parametrize("many", [3, -4])
def test_number_of_videos_that_makes_no_families_is_refused(tmp_path: Path, many: int) -> None:
    with pytest.raises(UserError, match="families of 4"):
        read(config(tmp_path / "world", train_videos=many))
    assert not (tmp_path / "world").exists()


def test_damaged_manifest_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "world.json").write_text("{")
    with pytest.raises(UserError, match=r"world\.json is damaged"):
        read(config(tmp_path))
