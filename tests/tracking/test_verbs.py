"""What the tracker is told of a verb: the funnel, what it took, frames with boxes, artifacts with their lineage."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from aotd.cli.main import main
from aotd.errors import UserError
from aotd.records import Trace
from aotd.specialists import SpecialistsConfig
from aotd.store.ledger import ledger
from aotd.store.run import Run
from aotd.store.stage import Stage
from aotd.tracking import Artifact, Cell, Picture, TrackingConfig, verbs
from aotd.tracking.verbs import made, tell
from aotd.verbs import FLOW
from tests.sample_run import evaluated, sample_run

SIZES = [f"dataset.playroom.{split}_videos={count}" for split, count in (("train", 4), ("val", 0), ("test", 0))]
SETTINGS = [*SIZES, "dataset.playroom.difficulty=easy", "specialists.frames=8", "execute.workers=1"]


class Listening:
    """A tracker that keeps what it is told."""

    def __init__(self) -> None:
        self.numbers: dict[str, float] = {}
        self.described: dict[str, Any] = {}
        self.tables: dict[str, list[dict[str, Cell]]] = {}
        self.used: list[Artifact] = []
        self.made: list[Artifact] = []

    def log(self, values: Mapping[str, float | int]) -> None:
        self.numbers.update(json.loads(json.dumps(values)))

    def done(self, seconds: float) -> None:
        self.numbers["seconds"] = seconds

    def describe(self, values: Mapping[str, Any]) -> None:
        self.described.update(values)

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
        self.tables[name] = [dict(zip(columns, row, strict=True)) for row in rows]

    def artifact(self, artifact: Artifact, *, used: bool) -> None:
        (self.used if used else self.made).append(artifact)


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Listening]]:
    """A small run of every verb up to `verify`, and what the tracker was told of each."""
    folder = tmp_path_factory.mktemp("flow")
    told: dict[str, Listening] = {}

    @contextmanager
    def listen(config: object, run: str, verb: str, name: str) -> Iterator[Listening]:
        assert verb == name
        told[verb] = Listening()
        yield told[verb]

    words = [f"run={folder}/mine", f"dataset.root={folder}/videos", *SETTINGS, "tracking.tracker=wandb"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verbs, "open_tracker", listen)
        patch.setattr("aotd.tracking.find_spec", lambda name: object())
        assert main(["run", f"verbs=[{','.join(FLOW)}]", *words]) == 0
    return folder / "mine", told


def test_tell_logs_funnel_that_adds_up(flow: tuple[Path, dict[str, Listening]]) -> None:
    run, told = flow
    assert list(told) == list(FLOW)
    for verb, listening in told.items():
        assert listening.numbers["seconds"] > 0
        rows = [row for row in listening.tables["funnel"] if row["verb"] == verb]
        counts = {str(row["place"]): row["questions"] for row in rows}
        assert {f"funnel/{verb}/{place}": n for place, n in counts.items()}.items() <= listening.numbers.items()
        assert counts.pop("reached") == sum(map(int, counts.values()))  # type: ignore[arg-type]
        assert counts["pending"] == 0
    for name, count in ledger(Run(run)).counts().items():
        assert told["verify"].numbers[f"ledger/{name}"] == count
    assert told["load"].numbers["funnel/decompose/pending"] == told["load"].numbers["funnel/load/passed"]


def test_tell_logs_costs(flow: tuple[Path, dict[str, Listening]]) -> None:
    run, told = flow
    costs = Stage(run, "execute", Trace).costs().values()
    numbers = told["execute"].numbers
    assert numbers["cost/specialist_calls"] == sum(cost.specialist_calls for cost in costs) > 0
    assert numbers["cost/seconds_per_question"] == pytest.approx(sum(c.seconds for c in costs) / len(costs))
    assert numbers["cost/reused_share"] == sum(cost.reused > 0 for cost in costs) / len(costs)


@pytest.mark.parametrize("verb", ["execute", "verify"])
def test_tell_shows_frames_with_boxes(verb: str, flow: tuple[Path, dict[str, Listening]]) -> None:
    run, told = flow
    rows = told[verb].tables["frames"]
    assert 1 <= len({row["question_id"] for row in rows}) <= 8
    traces = {trace.question_id: trace for trace in Stage(run, "execute", Trace).stream()}
    boxed = 0
    for row in rows:
        picture, trace = row["image"], traces[str(row["question_id"])]
        assert isinstance(picture, Picture)
        assert picture.pixels.shape == (trace.height, trace.width, 3)
        assert picture.pixels.std() > 5  # there is something on it
        found = {box for event in trace.events for box in getattr(event.finding, "boxes", ())}
        assert set(picture.boxes) == {box for box in found if box.frame == row["frame"]}
        boxed += len(picture.boxes)
        assert row["answer"] == trace.answer
        assert bool(row["thought"]) == (verb == "verify")
    assert boxed


def test_tell_links_artifacts_of_verbs(flow: tuple[Path, dict[str, Listening]]) -> None:
    _, told = flow
    types = {verb: ([a.type for a in one.used], [a.type for a in one.made]) for verb, one in told.items()}
    assert types == {
        "load": ([], ["questions"]),
        "decompose": (["questions"], ["programs"]),
        "execute": (["programs", "questions"], ["traces"]),
        "convert": (["traces"], ["thoughts"]),
        "verify": (["thoughts"], ["verdicts"]),
    }
    known = {a.name: a for one in told.values() for a in one.made}
    for one in told.values():
        assert all(known[artifact.name] == artifact for artifact in one.used)
    assert known["mine-traces"].files.keys() == {"manifest.json", "records.jsonl", "dropped.jsonl"}
    assert told["execute"].described["manifests"]["execute"]["settings"]["frames"] == 8


def test_made_names_student_and_skips_links(tmp_path: Path) -> None:
    arm = tmp_path / "mine" / "distill" / "aotd"
    (arm / "student").mkdir(parents=True)
    (arm / "student" / "config.json").write_text("{}")
    (arm / "student" / "model.safetensors").write_bytes(b"weights")
    (arm / "losses.jsonl").write_text("{}\n")
    (arm / "mine.json").symlink_to(tmp_path / "elsewhere.json")
    (tmp_path / "elsewhere.json").write_text("{}")
    (tmp_path / "mine" / "distill" / "half" / "student.partial").mkdir(parents=True)
    (student,) = made(Run(tmp_path / "mine"), "distill")
    expected = Artifact("mine-student-aotd", "student", {"losses.jsonl": arm / "losses.jsonl"}, [arm / "student"])
    assert student == expected


def test_tell_logs_scores_and_replies(tmp_path: Path) -> None:
    run = evaluated(sample_run(tmp_path / "mine"))
    listening = Listening()
    tell(listening, Run(run), "evaluate", SpecialistsConfig(), "", "test")
    assert listening.numbers["aotd/multiple_choice"] == 1
    assert listening.numbers["blind/type/Sequence_T2"] == 0
    assert listening.numbers["aotd/seconds/answer"] == pytest.approx(0.021)
    assert {"arm": "aotd", "metric": "spatial_iou", "mean": 0.8, "low": 0.7, "high": 0.9, "n": 1} in listening.tables[
        "scores"
    ]
    replies = {(row["arm"], row["mode"]): row for row in listening.tables["replies"]}
    assert len(replies) == 5
    assert replies["aotd", "answer"]["reply"] == "A"
    assert replies["blind", "answer"]["correct"] is False
    assert [artifact.name for artifact in listening.made] == ["mine-scores"]


def test_tracked_reports_unreadable_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @contextmanager
    def listen(*_: object) -> Iterator[Listening]:
        yield Listening()

    def fail(*_: object) -> None:
        raise UserError("records.jsonl:3: not a Question")

    monkeypatch.setattr(verbs, "open_tracker", listen)
    monkeypatch.setattr(verbs, "tell", fail)
    with verbs.tracked(Run(tmp_path), "load", TrackingConfig(), SpecialistsConfig(), "", "test"):
        pass
    assert capsys.readouterr().err == "aotd: tracking: records.jsonl:3: not a Question\n"
