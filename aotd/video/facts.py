"""What a video file is: the one record of it, from the process that decodes to the table of a folder's clips."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class VideoFacts:
    """What a container says of its video stream, and what was found in it. Times in seconds from the container's
    start."""

    codec: str
    """FFmpeg's name of the decoder."""
    width: int
    """Of the upright frame, in pixels."""
    height: int
    rotation: Literal[0, 90, 180, 270]
    """Degrees by which stored frames are turned counterclockwise to stand upright."""
    fps: float | None
    """Average frame rate in the container; None where it does not say."""
    duration_s: float
    """Where the last frame ends."""
    container_s: float | None
    """The container's duration; None where it does not say."""
    expected: int
    """Frames to show: the packets found, or what the header of a file that is cut says."""
    decoded: int
    """Frames that were decoded: all that can be where every frame is asked for, else the first."""
    damaged: int
    """Decoded frames that the decoder marks as damaged, and packets it refuses."""
    cut: bool
    """The file ends before its video does."""
