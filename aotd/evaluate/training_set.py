"""What a student was trained on, as far as its folder and the runs that it names show.

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
from aotd.records import Question
from aotd.store.run import Run
from aotd.store.untrusted import is_file, read_manifest
from aotd.students.growth import growth_of
from aotd.students.packaged import student_folder


class LocatedQuestion(NamedTuple):
    """A question, and the folder its video lies below; None where that is not known."""

    question: Question
    root: Path | None


LoadQuestions = Callable[[Path, str, str | None], dict[str, LocatedQuestion]]
"""`loaded_in`: a run, the folder of its videos, and a digest -> question id -> question."""


@dataclass(frozen=True)
class TrainingSet:
    """The questions of an arm's training, and of those before it that can be followed."""

    questions: tuple[LocatedQuestion, ...]
    untraced: tuple[str, ...]
    """Ids of questions whose run is gone or was made anew since: only these ids are known."""
    checkpoint: str | None
    """The checkpoint that it began from; what that was trained on is not known. None: it began from nothing."""
    grown_scenes: int = 0
    """Rendered scenes that it grew on before (`aotd grow`)."""
    complete: bool = True
    """False: the lines that name the questions are not there, of this training or of one before."""


def trained_on(
    folder: Path, roots: Mapping[Path, str], elsewhere: str, load: LoadQuestions, after: tuple[Path, ...] = ()
) -> TrainingSet:
    """What the student in an arm's folder was trained on.

    A student that began from another one, `…/distill/<arm>/student`, has that one's questions too; one that was
    trained in stages has those of all of them.

    Args:
        roots: run, resolved -> folder of its videos, for runs that are no part of a mixture.
        elsewhere: the same for any other run; empty where it is not known.
        load: `loaded_in`, or what remembers it: the arms of one run were trained on the same questions.
        after: the folders of the students that began from this one.

    Raises:
        UserError: the manifest is damaged, or `distill` has not written it; or a student began from itself.
    """
    if folder.resolve() in after:
        raise UserError(f"{folder / 'manifest.json'} says that its student began from itself: it is made up")
    made = _manifest(folder)
    settings = made["settings"]
    number = (settings.get("stage") or {}).get("number", 0)
    run, arm, stages = _location(folder.resolve(), number)
    trains = settings["arm"].get("train", True)
    complete = not trains or (folder / "records.jsonl").is_file()
    examples = Run(run).examples(arm).records() if trains else []
    mixture = settings.get("mixture") or []
    known: dict[str, LocatedQuestion] = {}
    if mixture:
        for part in mixture:
            known |= load(Path(part["run"]), part["root"], made["inputs"].get(f"{part['run']}/load"))
    else:
        known = load(run, roots.get(run, elsewhere), made["inputs"].get("load"))
    ids = [example.question_id for example in examples]
    questions = tuple(known[key] for key in ids if key in known)
    untraced = tuple(key for key in ids if key not in known)
    if number > 1:
        before = trained_on(stages / str(number - 1), roots, elsewhere, load, (*after, folder.resolve()))
        known_before = {_identity(located) for located in before.questions}
        return TrainingSet(
            before.questions + tuple(located for located in questions if _identity(located) not in known_before),
            tuple(dict.fromkeys(before.untraced + untraced)),
            before.checkpoint,
            before.grown_scenes,
            before.complete and complete,
        )
    parts = settings["student"].get("valley") or {}
    checkpoint = settings["student"].get("path") or parts.get("lm") or parts.get("encoder") or None
    if checkpoint and Path(checkpoint).name == "student" and (Path(checkpoint).parent / "manifest.json").is_file():
        before = trained_on(Path(checkpoint).parent, roots, elsewhere, load, (*after, folder.resolve()))
        both = before.questions + questions, before.untraced + untraced
        return TrainingSet(*both, before.checkpoint, before.grown_scenes, before.complete and complete)
    growth = growth_of(student_folder(checkpoint)) if checkpoint else None
    if growth is not None:
        return TrainingSet(questions, untraced, None, growth.scenes, complete)
    return TrainingSet(questions, untraced, checkpoint, complete=complete)


def _identity(located: LocatedQuestion) -> tuple[object, ...]:
    """What tells a question from those of other runs: stages of one arm are often trained on the same ones."""
    question = located.question
    return question.dataset, question.video, question.question_id, located.root


def _location(folder: Path, number: int) -> tuple[Path, str, Path]:
    """Run of an arm's folder or of one of its stages' folders; name below `distill/`; folder of the stages.

    Args:
        number: of the stage; 0 where the arm has none.
    """
    if folder.parent.name == "stages" and folder.name == str(number):
        return folder.parents[3], f"{folder.parents[1].name}/stages/{folder.name}", folder.parent
    return folder.parents[1], folder.name, folder / "stages"


def loaded_in(run: Path, root: str, digest: str | None) -> dict[str, LocatedQuestion]:
    """A run's questions; none where they are not the ones that were trained on, by the digest of their manifest."""
    stage = Run(run).questions
    if not stage.exists or stage.manifest_digest() != digest:
        return {}
    place = Path(root).resolve() if root else None
    return {question.question_id: LocatedQuestion(question, place) for question in stage.records()}


_Path = Annotated[str, Field(pattern=r"\A[^\x00]*\z")]


class _ValleySettings(BaseModel):
    encoder: _Path = ""
    lm: _Path = ""


class _StudentSettings(BaseModel):
    path: _Path = ""
    valley: _ValleySettings | None = None


class _StageSettings(BaseModel):
    number: Annotated[int, Field(ge=1)]


class _MixtureRun(BaseModel):
    run: _Path
    root: _Path


class _ArmSettings(BaseModel):
    arm: dict[str, Any]
    student: _StudentSettings
    mixture: list[_MixtureRun] | None = None
    stage: _StageSettings | None = None


class _ArmManifest(BaseModel):
    """The part of an arm's manifest that is read."""

    settings: _ArmSettings
    inputs: dict[str, Any]


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / "manifest.json"
    if not is_file(path):
        raise UserError(f"{path} is not there: it says what the student was trained on; bring it along")
    made = read_manifest(path)
    try:
        _ArmManifest.model_validate(made)
        return made
    except ValidationError:
        pass
    raise UserError(f"{path} is not the manifest of an arm: distill it again, or bring the whole folder along")
