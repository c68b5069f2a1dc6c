"""Students that come with aotd, a folder each. `packaged:NAME` names one, where a student's folder is asked for."""

from __future__ import annotations

from pathlib import Path

from aotd.errors import UserError

_PREFIX = "packaged:"


def student_folder(path: str) -> Path:
    """Return the folder of a student that a setting names.

    Raises:
        UserError: no student of that name comes with aotd.
    """
    if not path.startswith(_PREFIX):
        return Path(path)
    here = Path(__file__).parent
    names = sorted(folder.parent.name for folder in here.glob("*/config.json"))
    name = path.removeprefix(_PREFIX)
    if name not in names:
        known = ", ".join(_PREFIX + known for known in names) or "none"
        raise UserError(f"{path}: no such student comes with aotd ({known}): name one, or a folder")
    return here / name
