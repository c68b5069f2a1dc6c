"""A fifth sub-task is one row of the table, a part of the settings, and its specialists."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import TypeAdapter

from aotd.cli.main import main
from aotd.commands import doctor
from aotd.config.command_line import read_settings
from aotd.records import Detection, Question
from aotd.select import SelectConfig
from aotd.select.items import Truth
from aotd.select.job import job
from aotd.specialists import DetectionConfig, SourceName, SpecialistsConfig
from aotd.specialists.calls import CountingSpecialists, Findings
from aotd.specialists.load import load_specialists
from aotd.specialists.mock import MockVideo
from aotd.specialists.subtasks import SUBTASKS, Builder, Method, SubTask, resolve
from aotd.store.cache import Cache
from aotd.store.run import Run
from aotd.video.clip import Clip, Video

SIZES = ["dataset.playroom.train_videos=4", "dataset.playroom.val_videos=0", "dataset.playroom.test_videos=0"]


class Tracker:
    """Finds one box, the same on every frame; `still` fails to."""

    def __init__(self, config: DetectionConfig) -> None:
        self.model = f"{config.name}-1"
        self._finds = config.name != "blind"
        self.asked = 0

    def track(self, clip: Clip, query: str) -> list[Detection]:
        self.asked += 1
        boxes = [Detection(frame=n, box=(0, 0, 9, 9), label=query, score=1.0) for n in clip.numbers]
        return boxes if self._finds else []


@dataclass(frozen=True)
class TrackItem:
    question: Question


def items(questions: Sequence[Question], truth: Truth, rng: Random) -> list[TrackItem]:
    return [TrackItem(question) for question in questions]


def score(item: TrackItem, tracker: Tracker, video: Video) -> tuple[float, None]:
    return len(tracker.track(Clip.whole(video), "door")) / video.frames, None


@dataclass
class FiveSpecialistsConfig(SpecialistsConfig):
    tracking: DetectionConfig = field(default_factory=lambda: DetectionConfig(name="line"))


@dataclass
class FiveSelectConfig(SelectConfig):
    tracking: list[DetectionConfig] = field(default_factory=list)


def add_row(monkeypatch: pytest.MonkeyPatch) -> None:
    row = SubTask(
        "tracking",
        methods={"track": Method(TypeAdapter(tuple[str]), TypeAdapter(list[Detection]))},
        metric="share",
        items=items,
        score=score,
        builders={name: Builder(Tracker, weights=False) for name in ("line", "blind")},
    )
    monkeypatch.setitem(SUBTASKS, "tracking", row)


def mocks() -> FiveSpecialistsConfig:
    config = FiveSpecialistsConfig(source=SourceName.mock)
    for part in (config.detection, config.grounding, config.action, config.answering):
        part.name = "mock"
    return config


def test_calls_of_new_subtask_are_cached_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_row(monkeypatch)
    clip = Clip.whole(MockVideo("v", 4, 0.0, 2.0))
    asked = []
    for _ in range(2):
        specialists: Any = load_specialists(mocks(), "")
        assert list(specialists.models()) == ["source", "detection", "grounding", "action", "answering", "tracking"]
        findings = Findings(specialists, Cache(tmp_path, 1.0))
        counted: Any = CountingSpecialists(findings, findings.answer)
        assert counted.tracking.track(clip, "door") == counted.tracking.track(clip, "door")
        assert len(counted.tracking.track(clip, "door")) == 4
        asked.append((specialists.tracking.asked, counted.reused))
    assert asked == [(1, 2), (0, 3)]
    with pytest.raises(AttributeError):
        counted.tracking.detect(clip, "door")


def test_doctor_lists_new_subtask(monkeypatch: pytest.MonkeyPatch) -> None:
    add_row(monkeypatch)
    assert "tracking: line, no weights" in doctor._specialists(mocks()).lines


def test_select_ranks_specialists_of_new_subtask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = [f"run={tmp_path}/run", f"dataset.root={tmp_path}/videos", *SIZES]
    assert main(["load", *words]) == 0

    @contextmanager
    def here(count: int, start: Callable[..., object], *given: Any) -> Iterator[Any]:
        start(*given)
        yield SimpleNamespace(map=map)

    monkeypatch.setattr("aotd.select.measure.worker_pool", here)  # another process has not this row
    monkeypatch.setattr("aotd.select.measure._candidate", None, raising=False)
    config = read_settings("select", words)
    add_row(monkeypatch)
    candidates = [DetectionConfig(name="blind"), DetectionConfig(name="line")]
    select = FiveSelectConfig(split="train", items=3, tracking=candidates)
    job(
        Run(tmp_path / "run"),
        select=select,
        dataset=config.dataset,
        specialists=FiveSpecialistsConfig(),
        execute=config.execute,
        seed=0,
    )
    ranked = json.loads((tmp_path / "run/select/rankings.json").read_text())
    assert [(one["subtask"], one["candidate"], one["metric"], one["score"]["mean"]) for one in ranked] == [
        ("tracking", "line", "share", 1.0),
        ("tracking", "blind", "share", 0.0),
    ]
    assert "tracking:\n  model: ''" in (tmp_path / "run/select/specialists/winners.yaml").read_text()


def test_every_name_in_the_table_can_be_imported() -> None:
    for row in SUBTASKS.values():
        for named in (row.items, row.score, *(builder.build for builder in row.builders.values())):
            assert callable(resolve(named))
