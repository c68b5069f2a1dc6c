"""export: a run's kept `Thought`s + `Question`s, or its `Instruction`s -> files that other programs read."""

from dataclasses import dataclass, field
from enum import Enum


class ExportFormat(str, Enum):
    """For whom the files are written."""

    datasets = "datasets"
    llamafactory = "llamafactory"
    swift = "swift"
    trl = "trl"
    lmms_eval = "lmms_eval"
    llava = "llava"


@dataclass
class ExportConfig:
    """What is written, and how."""

    format: ExportFormat = ExportFormat.datasets
    """datasets: parquet and a dataset card. llamafactory, swift, trl: conversations as that trainer reads them.
    lmms_eval: the questions as tasks of that harness, without thoughts. llava: the dialogues of `instruct`."""
    to: str = ""
    """Folder to write; empty is <run>/export/<format>."""
    split: str = ""
    """Write this split only; empty is every split, each in a file of its own."""
    require: list[str] = field(default_factory=lambda: ["answer", "faithful", "coherent"])
    """Checks a thought must have passed."""
    labels: bool = True
    """Also write the questions that have an answer and no such thought."""
    frames: bool | None = None
    """Write the run's frames as pictures instead of naming the video files; null is what the format needs."""
    whole_videos: bool = False
    """Name the whole video file even where a question is about a part of it."""
    licence: str = ""
    """Licence of the dataset for its card, e.g. cc-by-4.0; empty leaves it for you to state."""
