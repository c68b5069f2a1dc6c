"""Views are made once for each part of a video, and made again where they have gone."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from aotd.errors import UserError
from aotd.records import Question
from aotd.students import features
from aotd.students.features import FeatureCache, NoFeatures, sees_video


def question(question_id: str, video: str, start_s: float | None = None) -> Question:
    return Question(
        question_id=question_id, dataset="playroom", split="train", type="Sequence_T1", video_id=video,
        video=f"{video}.mp4", question="What?", start_s=start_s,
    )  # fmt: skip


class Looked:
    """A source and a student in one, which count how often they are asked."""

    model, feature_key = "source", {"frames": 1}

    def __init__(self) -> None:
        self.opened: list[str] = []

    def open(self, asked: Question) -> Any:
        self.opened.append(asked.question_id)
        return SimpleNamespace(number=len(self.opened))

    def encode_video(self, video: Any) -> dict[str, torch.Tensor]:
        return {"pixels": torch.tensor([video.number])}


def test_features_are_computed_once_for_each_part(tmp_path: Path) -> None:
    looked: Any = Looked()
    views = FeatureCache(tmp_path, looked, looked)
    one, same, later = question("a", "v"), question("b", "v"), question("c", "v", start_s=2.0)
    assert views.key(one) == views.key(same) != views.key(later)
    assert [int(views.features(asked)["pixels"]) for asked in (one, same, later, one)] == [1, 1, 2, 1]
    assert looked.opened == ["a", "c"]


def test_features_stay_in_memory_within_a_budget(tmp_path: Path) -> None:
    looked: Any = Looked()
    views = FeatureCache(tmp_path, looked, looked, budget=2 * torch.tensor([1]).nbytes)
    asked = [question(name, name) for name in "abc"]
    for one in (*asked, asked[1]):
        views.features(one)
    for path in tmp_path.iterdir():
        path.unlink()
    assert [int(views.features(asked[at])["pixels"]) for at in (1, 2)] == [2, 3], "of the files nothing is left"
    assert int(views.features(asked[0])["pixels"]) == 4, "it was asked for longest ago"


def test_missing_features_are_computed_again(tmp_path: Path) -> None:
    looked: Any = Looked()
    views = FeatureCache(tmp_path, looked, looked)
    views.ensure(question("a", "v"))
    views.flush()
    (file,) = tmp_path.iterdir()
    file.unlink()
    assert int(views.features(question("a", "v"))["pixels"]) == 2


def test_features_are_written_while_the_next_are_computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    next_made, write = threading.Event(), features.write_features

    def late(*given: Any) -> None:
        assert next_made.wait(10)
        write(*given)

    class Telling(Looked):
        def encode_video(self, video: Any) -> dict[str, torch.Tensor]:
            if video.number == 2:
                next_made.set()
            return super().encode_video(video)

    monkeypatch.setattr(features, "write_features", late)
    looked: Any = Telling()
    views = FeatureCache(tmp_path, looked, looked)
    for one in (question("a", "v"), question("b", "v"), question("c", "w")):
        views.ensure(one)
    views.flush()
    assert looked.opened == ["a", "c"], "what is being written is not made again"
    assert len(list(tmp_path.iterdir())) == 2


def test_features_that_the_disk_refuses_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: Any) -> None:
        raise UserError("the disk is full")

    monkeypatch.setattr(features, "write_features", full)
    looked: Any = Looked()
    views = FeatureCache(tmp_path, looked, looked)
    views.ensure(question("a", "v"))
    with pytest.raises(UserError, match="disk is full"):
        views.ensure(question("b", "w"))
    views.ensure(question("c", "x"))
    with pytest.raises(UserError, match="disk is full"):
        views.flush()


def test_no_features_open_no_video(tmp_path: Path) -> None:
    looked: Any = Looked()
    views = NoFeatures(tmp_path, looked, looked)
    one, same = question("a", "v"), question("b", "v")
    views.ensure(one)
    assert views.features(one) == {}
    assert views.seconds(one) == 0
    assert views.key(one) == views.key(same)
    assert looked.opened == []
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("manifest", "sees"),
    [
        (None, True),
        ('{"settings": {"arm": {"video": false}}}', False),
        ('{"settings": {"arm": {"train": true}}}', True),
        ('{"settings": []}', True),
    ],
)
def test_sees_video_is_read_from_what_distill_wrote(tmp_path: Path, manifest: str | None, sees: bool) -> None:
    if manifest is not None:
        (tmp_path / "manifest.json").write_text(manifest)
    assert sees_video(tmp_path / "student") is sees
    assert sees_video(tmp_path / "copied"), "it lies in no arm's folder"
