"""Folders of the repository that travel in the wheel."""

from __future__ import annotations

from pathlib import Path


def shipped(folder: str) -> Path:
    """A folder of the repository that travels in the wheel: `configs` or `programs`."""
    here = Path(__file__).resolve().parent.parent
    return here / folder if (here / folder).is_dir() else here.parent / folder


def group_names() -> list[str]:
    """The config groups, such as `specialists/action`."""
    configs = shipped("configs")
    return sorted({path.parent.relative_to(configs).as_posix() for path in configs.rglob("*/*.yaml")} - {"."})
