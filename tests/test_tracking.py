from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from aotd import tracking
from aotd.cli import main
from aotd.tracking import Sample, TrackerName, TrackingConfig, open_tracker


def test_a_missing_extra_is_named_before_anything_is_done(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tracking, "find_spec", lambda name: None)
    assert main(["load", "tracking.tracker=wandb", f"run={tmp_path}/run", f"dataset.root={tmp_path}/world"]) == 2
    assert "pip install 'aotd[wandb]'" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_each_verb_sends_its_seconds_and_the_ledger(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    sent: list[dict[str, float]] = []

    class Run:
        def log(self, values: dict[str, float]) -> None:
            sent.append(values)

        def finish(self) -> None:
            sent.append({})

    class Wandb:
        @staticmethod
        def init(**named: str) -> Run:
            assert named["group"] == f"{tmp_path}/run"
            assert named["job_type"] == "load"
            return Run()

    monkeypatch.setattr(tracking, "find_spec", lambda name: object())
    monkeypatch.setitem(sys.modules, "wandb", Wandb)
    questions = tmp_path / "mine.jsonl"
    questions.write_text('{"video": "a.mp4", "question": "why?", "answer": "so"}\n')
    words = ["load", "tracking.tracker=wandb", "dataset=files", f"run={tmp_path}/run"]
    assert main([*words, f"dataset.root={tmp_path}", f"dataset.questions={questions}"]) == 0
    assert sent[0]["ledger/video_unreadable"] == 1
    assert sent[0]["seconds"] >= 0
    assert sent[-1] == {}


@pytest.mark.slow
def test_wandb_itself_takes_losses_and_samples_offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    monkeypatch.setenv("WANDB_SILENT", "true")
    tracker = open_tracker(TrackingConfig(TrackerName.wandb), str(tmp_path / "run"), "distill/aotd")
    tracker.log({"label": 1.0, "rationale": 0.5, "learning_rate": 1e-3, "tokens_per_second": 10.0})
    frames = np.zeros((4, 12, 16, 3), np.uint8)
    tracker.samples([Sample(frames, "Who?", "you", "A", "I see you. So the answer is you.")])
    tracker.finish()
    pictures = list(tmp_path.rglob("*.png"))
    assert len(pictures) == 1
    assert list(tmp_path.rglob("*.wandb"))
