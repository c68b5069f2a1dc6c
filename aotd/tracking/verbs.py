"""What the tracker is told of a verb, read from the run's folder once it is done: the jobs know nothing of it.

The funnel and every outcome, what the questions took, scores, frames with what was found on them, and the records as
artifacts: each verb's, and those that its manifests name as what it was made from.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from aotd.errors import UserError
from aotd.records import Estimate, Mode, Question
from aotd.runtime.meter import total
from aotd.specialists import SpecialistsConfig
from aotd.store.ledger import Ledger, ledger
from aotd.store.run import Run
from aotd.store.shards import divisions, shards
from aotd.store.untrusted import read_manifest
from aotd.tracking import Artifact, Cell, Picture, Tracker, TrackingConfig, run_name
from aotd.tracking.process import open_tracker
from aotd.verbs import ARTIFACTS, FLOW, SHARDED
from aotd.view.pictures import Frames, NoFramesError, chosen_frames, found_boxes
from aotd.view.question import Story, arms, scores

_log = logging.getLogger(__name__)

SAMPLES = 8
"""Questions that a table of samples shows."""
FRAMES = 4
"""Frames of each."""
_PICTURED = ("execute", "verify")


@contextmanager
def tracked(
    run: Run, verb: str, tracking: TrackingConfig, specialists: SpecialistsConfig, root: str, split: str
) -> Iterator[None]:
    """Around a verb's job: opens its tracker, and tells it at the end what came of it.

    Args:
        root: folder of the videos.
        split: the held-out questions, which arms are evaluated on.
    """
    started = time.monotonic()
    with open_tracker(tracking, run, verb, verb) as tracker:
        yield
        tracker.done(time.monotonic() - started)
        try:
            tell(tracker, run, verb, specialists, root, split)
        except (UserError, OSError) as error:  # what tracking cannot read does not stop a run that can do without
            _log.warning(f"tracking: {error}")


def tell(tracker: Tracker, run: Run, verb: str, specialists: SpecialistsConfig, root: str, split: str) -> None:
    """Tell a tracker what a verb has made.

    Raises:
        UserError: a file of the run is damaged.
    """
    if run.questions.exists:
        book = ledger(run)
        _funnel(tracker, book)
        if verb in FLOW:
            _costs(tracker, run, verb)
        if verb in _PICTURED:
            tracker.table("frames", _FRAMES, _frames(run, verb, book, specialists, root))
    if verb == "evaluate":
        _scores(tracker, run)
        tracker.table("replies", _REPLIES, _replies(run, split))
    verbs = SHARDED if verb == "gather" else (verb,)
    paths = [path for one in verbs for path in _manifests(run, one)]
    manifests = {str(path.parent.relative_to(run.folder)): read_manifest(path) for path in paths}
    tracker.describe({"manifests": manifests})
    for artifact in _gathered(run) if verb == "gather" else _used(run, manifests):
        tracker.artifact(artifact, used=True)
    for artifact in (artifact for one in verbs for artifact in made(run, one)):
        tracker.artifact(artifact, used=False)


# ── numbers ───────────────────────────────────────────────────────────────────────────────────────


def _funnel(tracker: Tracker, book: Ledger) -> None:
    rows = []
    for passage in book.passages():
        ends = {outcome.value: len(places) for outcome, places in passage.ended.items()}
        counts = {"reached": passage.reached, "passed": passage.passed, **ends, "pending": passage.pending}
        rows += [(passage.verb, name, count) for name, count in counts.items()]
    tracker.log({f"funnel/{verb}/{name}": count for verb, name, count in rows})
    tracker.log({f"ledger/{name}": count for name, count in book.counts().items()})
    tracker.table("funnel", ("verb", "place", "questions"), rows)


def _costs(tracker: Tracker, run: Run, verb: str) -> None:
    """What all questions of the verb took, those included that were done before this time."""
    costs = list(run.stage(verb).costs().values())
    if not costs:
        return
    whole = total(costs).model_dump(exclude={"question_id", "batch", "machine"}, exclude_none=True)
    reused = sum(cost.reused > 0 for cost in costs)
    shares = {"seconds_per_question": whole["seconds"] / len(costs), "reused_share": reused / len(costs)}
    tracker.log({f"cost/{name}": value for name, value in (whole | shares).items()})


def _scores(tracker: Tracker, run: Run) -> None:
    rows: list[tuple[Cell, ...]] = []
    for one in scores(run):
        values = {name: value for name, value in one if isinstance(value, Estimate)}
        values |= {f"type/{kind}": value for kind, value in one.by_type.items()}
        rows += [(one.arm, name, value.mean, value.low, value.high, value.n) for name, value in values.items()]
        spent = {f"seconds/{mode.value}": cost.seconds.mean for mode, cost in (one.cost or {}).items()}
        tracker.log({f"{one.arm}/{name}": value.mean for name, value in values.items()})
        tracker.log({f"{one.arm}/{name}": value for name, value in spent.items()})
    tracker.table("scores", ("arm", "metric", "mean", "low", "high", "n"), rows)


# ── samples ───────────────────────────────────────────────────────────────────────────────────────

_FRAMES = ("question_id", "type", "question", "true", "answer", "outcome", "thought", "frame", "image")
_REPLIES = ("question_id", "type", "question", "true", "arm", "mode", "reply", "correct")


def _frames(run: Run, verb: str, book: Ledger, specialists: SpecialistsConfig, root: str) -> list[list[Cell]]:
    """Frames of some questions that have passed the verb, with the boxes of their traces."""
    lead = run.stage(verb)
    few = _few(lead.count())
    rows: list[list[Cell]] = []
    with ExitStack() as opened:
        question_of = opened.enter_context(run.questions.beside(lead))
        trace_of = opened.enter_context(run.traces.beside(lead))
        thought_of = opened.enter_context(run.thoughts.beside(lead)) if verb == "verify" else None
        frames = opened.enter_context(Frames(specialists, root))
        for key in (key for number, key in enumerate(lead.ids()) if number in few):
            thought = thought_of(key) if thought_of else None
            story = Story(question_of(key), book.places[key], None, trace_of(key), thought, None, ())
            rows += _of_story(story, frames)
    return rows


def _of_story(story: Story, frames: Frames) -> list[list[Cell]]:
    question, trace = story.question, story.trace
    assert trace is not None
    cells = [*_question_cells(question), trace.answer, story.place.name, story.thought.text if story.thought else None]
    try:
        pixels, _, _ = frames.pixels(story)
    except NoFramesError:
        return [[*cells, None, None]]
    boxes = found_boxes(trace)
    return [
        [*cells, frame, Picture(pixels[frame], tuple(box for box in boxes if box.frame == frame))]
        for frame in chosen_frames(story, len(pixels), FRAMES)
    ]


def _question_cells(question: Question) -> list[Cell]:
    return [question.question_id, question.type, question.question, question.answer]


def _replies(run: Run, split: str) -> list[list[Cell]]:
    """What the arms replied to some of the held-out questions."""
    questions = [question for question in run.questions.stream() if question.split == split]
    some = {questions[number].question_id: questions[number] for number in _few(len(questions))}
    rows: list[list[Cell]] = []
    for arm in arms(run):
        for mode in Mode:
            stage = run.predictions(arm, mode)
            for reply in stage.stream() if stage.exists else ():
                if (question := some.get(reply.question_id)) is not None:
                    rows.append([*_question_cells(question), arm, mode.value, reply.text, reply.correct])
    return sorted(rows, key=lambda row: list(some).index(str(row[0])))


def _few(count: int) -> set[int]:
    """At most `SAMPLES` of the numbers below `count`, evenly spread."""
    return {number * count // SAMPLES for number in range(SAMPLES)}


# ── artifacts ─────────────────────────────────────────────────────────────────────────────────────

_WEIGHTS = ("student", "student.partial", "checkpoints")


def _manifests(run: Run, verb: str) -> list[Path]:
    return [path for path in _files(run.folder / verb) if path.name == "manifest.json"]


def _files(folder: Path) -> list[Path]:
    """What a verb has written of records and scores; what its questions took is no part of what others are made of.

    A link is none of ours: in a stranger's run it could lead to any file of this machine.
    """
    paths = (path for ending in ("*.json", "*.jsonl") for path in folder.rglob(ending) if not path.is_symlink())
    inner = {path: path.relative_to(folder).parts[:-1] for path in paths if path.name != "costs.jsonl"}
    return sorted(path for path, parts in inner.items() if not any(part in _WEIGHTS for part in parts))


def made(run: Run, verb: str) -> list[Artifact]:
    """The artifacts of a verb; one for each arm that is trained."""
    if verb not in ARTIFACTS:
        return []
    if verb == "distill":
        return [_artifact(run, f"distill/{arm}") for arm in run.students()]
    return [_artifact(run, verb)] if _files(run.folder / verb) else []


def _used(run: Run, manifests: dict[str, Any]) -> list[Artifact]:
    """The artifacts of this run that manifests name as inputs; a mixture names other runs' too."""
    inputs = {str(name) for manifest in manifests.values() for name in manifest.get("inputs", {})}
    known = [name for name in sorted(inputs) if name.partition("/")[0] in ARTIFACTS and (run.folder / name).is_dir()]
    # A shard's questions are the whole run's, dealt out.
    return [_artifact(run.whole if name == "load" else run, name) for name in known]


def _gathered(run: Run) -> list[Artifact]:
    """What the shards have made."""
    parts = (shard.run(run) for of in divisions(run) for shard in shards(of))
    return [artifact for part in parts for verb in SHARDED for artifact in made(part, verb)]


def _artifact(run: Run, folder: str) -> Artifact:
    """The artifact of a verb's folder, or of an arm's, `distill/<arm>`: its weights are named, not sent."""
    verb, _, arm = folder.partition("/")
    files = {str(path.relative_to(run.folder / folder)): path for path in _files(run.folder / folder)}
    name = "-".join((run_name(run), ARTIFACTS[verb], *((arm,) if arm else ())))
    return Artifact(name, ARTIFACTS[verb], files, [run.folder / folder / "student"] if arm else [])
