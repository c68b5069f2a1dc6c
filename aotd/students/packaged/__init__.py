"""Students that come with aotd, a folder each. `student.path=packaged:NAME` names one."""

from __future__ import annotations

from pathlib import Path

from aotd.errors import UserError

_PREFIX = "packaged:"


def student_folder(path: str) -> Path:
    """Return the folder of a student that is named by `student.path`.

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
        raise UserError(f"student.path={path}: no such student comes with aotd ({known}): name one, or a folder")
    return here / name
