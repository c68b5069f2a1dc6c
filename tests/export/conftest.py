"""The hand-made run with a video file for each of its questions."""

from __future__ import annotations

import shutil
from pathlib import Path

import av
import numpy as np
import pytest

from tests.sample_run import sample_run


def film(path: Path, width: int = 160, height: int = 120) -> Path:
    """Four seconds, ten frames each, of a floor that grows lighter frame by frame."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(40):
            frame = np.full((height, width, 3), 20 + 5 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="session")
def one_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film(tmp_path_factory.mktemp("film") / "a.mp4")


@pytest.fixture
def videos(tmp_path: Path, one_film: Path) -> Path:
    """A folder with `a.mp4` … `g.mp4` and `t.mp4`."""
    folder = tmp_path / "videos"
    folder.mkdir()
    for key in "abcdefgt":
        shutil.copy(one_film, folder / f"{key}.mp4")
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return sample_run(tmp_path / "run")
