"""The example of a specialist runs as it stands, with no edit elsewhere."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples/my_specialist.py"
SIZES = ["dataset.playroom.train_videos=4", "dataset.playroom.val_videos=0", "dataset.playroom.test_videos=4"]


@pytest.mark.slow
def test_example_registers_detector_that_execute_uses(tmp_path: Path) -> None:
    places = [f"dataset.root={tmp_path}/videos", f"cache.folder={tmp_path}/cache", "execute.workers=2"]
    words = [sys.executable, str(EXAMPLE), str(tmp_path / "run"), *SIZES, *places]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    last = done.stdout.strip().splitlines()[-1]
    assert last.endswith("traces, detection by colour-1, threshold 0.1")
    assert int(last.split()[0]) > 0


def test_example_is_short() -> None:
    assert len(EXAMPLE.read_text(encoding="utf-8").splitlines()) <= 60
