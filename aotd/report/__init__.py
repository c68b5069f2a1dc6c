"""report: a run -> one self-contained HTML page."""

from dataclasses import dataclass


@dataclass
class ReportConfig:
    """What the page shows."""

    questions: int = 24
    """How many questions are followed from video to verdict."""
    frames: int = 6
    """Frames shown for each."""
