from __future__ import annotations

from pathlib import Path

import pytest

from tests.video.clips import write_video


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder that holds one video, a.mp4."""
    made = tmp_path / "root"
    made.mkdir()
    write_video(made / "a.mp4")
    return made
