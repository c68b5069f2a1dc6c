"""The verb `load`: what it writes, what it says, and that it writes nothing it should not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aotd.cli.main import main
from aotd.config.command_line import read_settings
from aotd.config.compose import compose
from aotd.datasets.benchmarks import BENCHMARKS, read
from aotd.load import job
from aotd.records import Outcome, Question
from aotd.store.files import digest
from aotd.store.stage import Stage
from tests.video.clips import write_video


@pytest.fixture
def world(tmp_path: Path) -> Path:
    (tmp_path / "videos").mkdir()
    write_video(tmp_path / "videos" / "here.mp4")
    entries = [
        {"video": "here.mp4", "question": "What happens?", "options": ["this", "that"], "answer": "this"},
        {"video": "here.mp4", "question": "Who is it?"},
        {"video": "gone.mp4", "question": "What happens?", "answer": "nothing"},
    ]
    (tmp_path / "q.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return tmp_path


def load(world: Path, *more: str) -> int:
    questions = [f"dataset.root={world / 'videos'}", f"dataset.questions={world / 'q.jsonl'}"]
    return main(["load", "dataset=files", *questions, f"run={world / 'run'}", *more])


def test_load_writes_one_line_per_question(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert load(world) == 0
    said = capsys.readouterr().out
    assert "files: 3 questions about 2 videos" in said
    assert "1 multiple-choice, 2 open-ended; 1 without a true answer" in said
    assert "warning: 1 of 2 videos are not in" in said
    assert "gone.mp4" in said
    stage = Stage(world / "run", "load", Question)
    assert [question.question for question in stage.records()] == ["What happens?", "Who is it?"]
    (dropped,) = stage.dropped()
    assert (dropped.outcome, dropped.reason) == (Outcome.video_unreadable, "gone.mp4: no such file")


def test_load_twice_adds_nothing(world: Path) -> None:
    assert load(world) == 0
    before = (world / "run" / "load" / "records.jsonl").read_bytes()
    assert load(world) == 0
    assert (world / "run" / "load" / "records.jsonl").read_bytes() == before


def test_load_refuses_other_questions(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert load(world) == 0
    with (world / "q.jsonl").open("a") as out:
        out.write('{"video": "here.mp4", "question": "One more?"}\n')
    assert load(world) == 2
    assert "give this run another name" in capsys.readouterr().err


def test_load_with_captions_needs_no_video(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert load(world, "specialists=captions") == 0
    assert "warning" not in capsys.readouterr().out
    stage = Stage(world / "run", "load", Question)
    assert [question.video for question in stage.records()] == ["here.mp4", "here.mp4", None]
    assert not stage.dropped()


def test_load_skips_overlong_question(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = {"id": "endless\x1b[31m", "video": "here.mp4", "question": "why? " * 5000}
    with (world / "q.jsonl").open("a") as out:
        out.write(json.dumps(line) + "\n")
    assert load(world) == 0
    said = capsys.readouterr().out
    assert (
        "skipped: 1 (endless\N{REPLACEMENT CHARACTER}[31m: 25000 characters long, and at most 20000 are read)" in said
    )
    assert "files: 3 questions" in said


def test_load_dry_run_writes_nothing(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert load(world, "load.dry_run=true") == 0
    said = capsys.readouterr().out
    assert "3 questions" in said
    assert "decompose" in said
    assert "nothing was written" in said
    assert not (world / "run").exists()
    playroom = ["dataset=playroom", f"dataset.root={world / 'playroom'}", "dataset.playroom.train_videos=3"]
    assert main(["load", *playroom, f"run={world / 'run'}", "load.dry_run=true"]) == 0
    assert "would render" in capsys.readouterr().out
    assert not (world / "playroom").exists()


def test_load_bad_line_leaves_nothing(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (world / "q.jsonl").open("a") as out:
        out.write("{oops\n")
    assert load(world) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "q.jsonl:4: not JSON" in said
    assert not (world / "run").exists()


def test_load_refuses_video_outside_root(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (world / "q.jsonl").open("a") as out:
        out.write('{"video": "../q.jsonl", "question": "What?"}\n')
    assert load(world) == 2
    assert "leads outside" in capsys.readouterr().err
    assert not (world / "run").exists()


def test_load_checks_videos(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (world / "videos" / "text.mp4").write_text("no video")
    with (world / "q.jsonl").open("a") as out:
        out.write('{"video": "text.mp4", "question": "What?"}\n')
    assert load(world, "load.check_videos=true") == 0
    assert "2 files, 1 with a defect" in capsys.readouterr().out
    stage = Stage(world / "run", "load", Question)
    assert len(stage.records()) == 2
    assert sorted(dropped.reason.split(":")[0] for dropped in stage.dropped()) == ["gone.mp4", "text.mp4"]
    facts = [json.loads(line) for line in (world / "run" / "load" / "videos.jsonl").read_text().splitlines()]
    assert [fact["video"] for fact in facts] == ["here.mp4", "text.mp4"]


def test_load_clips_lists_facts_or_defects(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (world / "videos" / "deep").mkdir()
    (world / "videos" / "deep" / "notes.txt").write_text("not a video")
    (world / "videos" / ".hidden").write_text("left out")
    arguments = ["load", "dataset=clips", f"dataset.root={world / 'videos'}", f"run={world / 'run'}"]
    assert main([*arguments, "load.dry_run=true"]) == 0
    assert not (world / "run").exists()
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert "2 files, 1 with a defect" in said
    row = next(line for line in said.splitlines() if line.startswith("here.mp4"))
    assert row.split() == ["here.mp4", "20", "10.00", "2.00", "0°", "64x48", "mpeg4"]
    notes, here = (json.loads(line) for line in (world / "run" / "clips.jsonl").read_text().splitlines())
    assert (notes["video"], notes["frames"]) == ("deep/notes.txt", 0)
    assert "not a video" in notes["defect"]
    assert (here["frames"], here["duration_s"], here["rotation"], here["defect"]) == (20, 2.0, 0, None)


def test_load_clips_missing_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["load", "dataset=clips", f"dataset.root={tmp_path / 'gone'}", f"run={tmp_path / 'run'}"]) == 2
    assert "is not a folder" in capsys.readouterr().err


@pytest.mark.parametrize("name", sorted(name for name in BENCHMARKS))
def test_load_every_dataset_asks_for_its_file(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    config = compose([f"dataset={name}"]).dataset
    assert config.name == name
    assert config.split in ("train", "val", "test")
    if name != "playroom":
        assert main(["load", f"dataset={name}", "load.dry_run=true"]) == 2
        assert "dataset.questions: not set: give " in capsys.readouterr().err


def test_load_sample_follows_seed(world: Path) -> None:
    lines = [json.dumps({"video": "here.mp4", "question": f"What is {number}?"}) for number in range(40)]
    (world / "q.jsonl").write_text("\n".join(lines))

    def drawn(run: str, *more: str) -> list[str]:
        assert load(world, f"run={world / run}", "dataset.sample=10", *more) == 0
        return [question.question for question in Stage(world / run, "load", Question).records()]

    first = drawn("first")
    assert len(first) == 10
    assert first == sorted(first, key=lambda text: int(text[8:-1]))
    assert drawn("again") == first
    assert drawn("other", "seed=1") != first


def test_load_sample_bounds(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert load(world, "dataset.sample=99") == 0
    assert "files: 3 questions" in capsys.readouterr().out
    assert load(world, f"run={world / 'none'}", "dataset.sample=0") == 2
    assert "dataset.sample=0" in capsys.readouterr().err


def test_load_content_hash_equals_digest_of_list(world: Path) -> None:
    """Runs of before go on: their manifests hold it."""
    assert load(world, "specialists=captions") == 0
    config = read_settings("load", [f"dataset.questions={world / 'q.jsonl'}", "dataset=files"])
    questions = [question.model_dump(mode="json") for question in read(config.dataset).questions]
    assert Stage(world / "run", "load", Question).manifest()["inputs"]["questions"] == digest(questions)


def test_load_refuses_file_changed_while_read(
    world: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = job._summary

    def change(*given: Any) -> None:
        summary(*given)
        with (world / "q.jsonl").open("a") as out:
            out.write('{"video": "here.mp4", "question": "One more?"}\n')

    monkeypatch.setattr(job, "_summary", change)
    assert load(world) == 2
    assert "q.jsonl was changed while it was read: delete" in capsys.readouterr().err
