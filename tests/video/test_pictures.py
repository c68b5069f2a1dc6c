"""A picture is a video of one frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aotd.errors import QuestionError
from aotd.records import Question
from aotd.video.source import DecodedVideos


def asked(name: str) -> Question:
    return Question(question_id="q", dataset="d", split="test", video_id=name, video=name, question="?", type="t")


@pytest.mark.parametrize(("name", "off"), [("a.png", 0), ("a.bmp", 0), ("a.jpg", 12), ("a.webp", 12), ("a.mp4", 0)])
def test_picture_is_a_video_of_one_frame(name: str, off: int, tmp_path: Path) -> None:
    columns = np.arange(80, dtype=np.uint8)
    pixels = np.stack([np.tile(columns, (60, 1)), np.full((60, 80), 90, np.uint8), np.tile(2 * columns, (60, 1))], -1)
    kind = "png" if name == "a.mp4" else None  # under a wrong name, as archives have them
    Image.fromarray(pixels).save(tmp_path / name, format=kind, quality=95)
    video = DecodedVideos(str(tmp_path), 3, 30.0).open(asked(name))
    frames = video.pixels()
    assert frames.shape == (3, 60, 80, 3)
    assert all(np.array_equal(frame, frames[0]) for frame in frames)
    assert np.abs(frames[0].astype(int) - pixels).max() <= off
    assert video.end_s - video.start_s < 0.1, "at half a frame a second it is one frame"


def test_damaged_picture_is_unreadable(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((60, 80, 3), np.uint8)).save(tmp_path / "a.png")
    whole = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(whole[:40])
    with pytest.raises(QuestionError):
        DecodedVideos(str(tmp_path), 3, 30.0).open(asked("a.png")).pixels()
