"""What a student was trained on, as far as its folder and the runs it names can tell.

An arm's folder lies in the run it was distilled in, or is a link to one that does. Its lines name the
questions, its manifest the runs of a mixture with the folders of their videos, and what it began from.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from aotd.errors import UserError
from aotd.records import Example, Question
from aotd.store import Stage


class Placed(NamedTuple):
    """A question, and the folder its video lies below; None where that is not known."""

    question: Question
    root: Path | None


@dataclass(frozen=True)
class Trained:
    """The questions of an arm's training, and of those before it that can be followed."""

    questions: tuple[Placed, ...]
    untraced: tuple[str, ...]
    """Ids of questions whose run is gone or was made anew since: nothing else is known of them."""
    checkpoint: str | None
    """What was there before all that; what it was trained on is not known. None: it began from nothing."""
    told: bool = True
    """False: the lines that name the questions are not there, of this training or of one before."""


def trained_on(folder: Path, roots: Mapping[Path, str], elsewhere: str) -> Trained:
    """What the student in an arm's folder was trained on.

    A student that began from another one, `…/distill/<arm>/student`, has that one's questions too.

    Args:
        roots: run, resolved -> folder of its videos, for runs that are no part of a mixture.
        elsewhere: the same for any other run; empty where it is not known.

    Raises:
        UserError: the manifest is damaged, or `distill` has not written it.
    """
    run, arm = folder.resolve().parents[1], folder.resolve().name
    made = _manifest(folder)
    settings = made["settings"]
    trained = settings["arm"].get("train", True)
    told = not trained or (folder / "records.jsonl").is_file()
    examples = Stage(run, f"distill/{arm}", Example).records() if trained else []
    mixture = settings.get("mixture") or []
    known: dict[str, Placed] = {}
    if mixture:
        for part in mixture:
            known |= _loaded(Path(part["run"]), part["root"], made["inputs"].get(f"{part['run']}/load"))
    else:
        known = _loaded(run, roots.get(run, elsewhere), made["inputs"].get("load"))
    ids = [example.question_id for example in examples]
    found = tuple(known[key] for key in ids if key in known)
    untraced = tuple(key for key in ids if key not in known)
    checkpoint = settings["student"].get("path") or None
    if checkpoint and Path(checkpoint).name == "student" and (Path(checkpoint).parent / "manifest.json").is_file():
        before = trained_on(Path(checkpoint).parent, roots, elsewhere)
        both = before.questions + found, before.untraced + untraced
        return Trained(*both, before.checkpoint, before.told and told)
    return Trained(found, untraced, checkpoint, told)


def _loaded(run: Path, root: str, digest: str | None) -> dict[str, Placed]:
    """A run's questions; none where they are not the ones that were trained on."""
    stage = Stage(run, "load", Question)
    if not stage.manifest_path.is_file() or stage.manifest_digest() != digest:
        return {}
    place = Path(root).resolve() if root else None
    return {question.question_id: Placed(question, place) for question in stage.records()}


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / "manifest.json"
    try:
        made = json.loads(path.read_bytes())
        if made["settings"].keys() >= {"arm", "student"} and isinstance(made["inputs"], dict):
            return dict(made)
    except FileNotFoundError:
        raise UserError(f"{path} is not there: it says what the student was trained on; bring it along") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    raise UserError(f"{path} is not the manifest of an arm: distill it again, or bring the whole folder along")
