"""The example of a two-stage training runs as it stands, with no edit elsewhere."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from aotd.store.run import Run

EXAMPLE = Path(__file__).parents[2] / "examples/train_student.py"


@pytest.mark.slow
def test_example_trains_both_stages_and_prints_their_losses(tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = subprocess.run([sys.executable, str(EXAMPLE), str(run)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    *losses, last = [line for line in done.stdout.splitlines() if line.startswith(("stage ", "the student"))]
    assert [line.partition(" step")[0] for line in losses] == ["stage 1"] * 6 + ["stage 2"] * 5
    assert all(line.endswith(" + 0.00") is line.startswith("stage 1") for line in losses)
    assert last == f"the student is in {Run(run).student('two_stages')}"
    assert (Run(run).student("two_stages") / "model.safetensors").is_file()


def test_example_is_short() -> None:
    assert len(EXAMPLE.read_text(encoding="utf-8").splitlines()) <= 60
