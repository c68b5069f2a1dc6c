"""load: a benchmark's own files -> `Question`."""

from dataclasses import dataclass


@dataclass
class LoadConfig:
    """What is done beside reading the questions."""

    check_videos: bool = False
    """Decode every video once and name its frames, duration and rotation, or its defect."""
    dry_run: bool = False
    """Say what would be read and done, and write nothing."""
