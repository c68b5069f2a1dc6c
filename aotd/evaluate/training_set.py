"""What a student was trained on, as far as its folder and the runs it names can tell.

An arm's folder lies in the run it was distilled in, or is a link to one that does. Its lines name the
questions, its manifest the runs of a mixture with the folders of their videos, and what it began from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, Field, ValidationError

from aotd.errors import UserError
from aotd.records import Example, Question
from aotd.store.stage import Stage
from aotd.store.untrusted import is_file, read_manifest


class Placed(NamedTuple):
    """A question, and the folder its video lies below; None where that is not known."""

    question: Question
    root: Path | None


Loaded = Callable[[Path, str, str | None], dict[str, Placed]]


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


def trained_on(
    folder: Path, roots: Mapping[Path, str], elsewhere: str, loaded: Loaded, after: tuple[Path, ...] = ()
) -> Trained:
    """What the student in an arm's folder was trained on.

    A student that began from another one, `…/distill/<arm>/student`, has that one's questions too.

    Args:
        roots: run, resolved -> folder of its videos, for runs that are no part of a mixture.
        elsewhere: the same for any other run; empty where it is not known.
        loaded: `loaded_in`, or what remembers it: the arms of one run were trained on the same questions.
        after: the folders of the students that began from this one.

    Raises:
        UserError: the manifest is damaged, or `distill` has not written it; or a student began from itself.
    """
    if folder.resolve() in after:
        raise UserError(f"{folder / 'manifest.json'} says that its student began from itself: it is made up")
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
            known |= loaded(Path(part["run"]), part["root"], made["inputs"].get(f"{part['run']}/load"))
    else:
        known = loaded(run, roots.get(run, elsewhere), made["inputs"].get("load"))
    ids = [example.question_id for example in examples]
    found = tuple(known[key] for key in ids if key in known)
    untraced = tuple(key for key in ids if key not in known)
    checkpoint = settings["student"].get("path") or None
    if checkpoint and Path(checkpoint).name == "student" and (Path(checkpoint).parent / "manifest.json").is_file():
        before = trained_on(Path(checkpoint).parent, roots, elsewhere, loaded, (*after, folder.resolve()))
        both = before.questions + found, before.untraced + untraced
        return Trained(*both, before.checkpoint, before.told and told)
    return Trained(found, untraced, checkpoint, told)


def loaded_in(run: Path, root: str, digest: str | None) -> dict[str, Placed]:
    """A run's questions; none where they are not the ones that were trained on, by the digest of their manifest."""
    stage = Stage(run, "load", Question)
    if not stage.manifest_path.is_file() or stage.manifest_digest() != digest:
        return {}
    place = Path(root).resolve() if root else None
    return {question.question_id: Placed(question, place) for question in stage.records()}


class _Student(BaseModel):
    path: Annotated[str, Field(pattern=r"\A[^\x00]*\z")] = ""


class _OfMixture(BaseModel):
    run: Annotated[str, Field(pattern=r"\A[^\x00]*\z")]
    root: Annotated[str, Field(pattern=r"\A[^\x00]*\z")]


class _Settings(BaseModel):
    arm: dict[str, Any]
    student: _Student
    mixture: list[_OfMixture] | None = None


class _Made(BaseModel):
    """What is read of an arm's manifest."""

    settings: _Settings
    inputs: dict[str, Any]


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / "manifest.json"
    if not is_file(path):
        raise UserError(f"{path} is not there: it says what the student was trained on; bring it along")
    made = read_manifest(path)
    try:
        _Made.model_validate(made)
        return made
    except ValidationError:
        pass
    raise UserError(f"{path} is not the manifest of an arm: distill it again, or bring the whole folder along")
