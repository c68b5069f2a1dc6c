"""What of the questions put to a student stood in its training too.

A *leak* is a question whose video was trained on, by its id or by the bytes of its file, or whose own id was.
Where it was trained on in nearly the same words and with the same answer too, it is counted once more, as the
same question. The same words about another video are no leak: benchmarks ask "what happens at the end?" of
each of theirs. Nothing is refused; what is found is printed, with the accuracy on the rest.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from aotd.config.tree import Config
from aotd.datasets.base import locate
from aotd.datasets.benchmarks import BENCHMARKS, benchmark
from aotd.errors import UserError
from aotd.evaluate.near_duplicates import alike, all_alike, asked_and_offered, asked_in
from aotd.evaluate.same_files import same_bytes
from aotd.evaluate.training_set import Placed, Trained, loaded_in, trained_on
from aotd.records import Estimate, Prediction, Question
from aotd.scoring.answers import plain
from aotd.scoring.intervals import estimate
from aotd.scoring.tables import Match, Seen
from aotd.store.files import write_atomically
from aotd.store.stage import Stage

Video = tuple[str, str, str]
"""Where a video is from, the folder it lies below where its id means nothing elsewhere, and its id."""


def video_of(question: Question, root: Path | None) -> Video:
    """The video a question is about; equal for two questions about one, also of different benchmarks."""
    dataset, video_id = question.dataset, question.video_id
    if _is_local(dataset):
        return dataset, str(root or ""), video_id
    origin = benchmark(dataset).origin if dataset in BENCHMARKS else None
    name, own_id = origin(video_id) if origin else (dataset, video_id)
    return name, "", own_id


def _is_local(dataset: str) -> bool:
    """Whether ids are names within one folder: another folder has other videos under the same ids.

    A benchmark that is not in the table keeps its own ids. It was added by another program.
    """
    return dataset in BENCHMARKS and benchmark(dataset).origin is None


def write_seen(config: Config, arms: Mapping[str, Path], asked: Sequence[Question]) -> list[Seen]:
    """Find, for each student, what it is asked that it was trained on; write evaluate/<arm>/seen.json.

    Args:
        arms: students whose predictions are written -> the folder that `distill` made each in.

    Raises:
        UserError: a manifest or a file of digests is damaged.
    """
    run, settings = Path(config.run), config.evaluate
    place = Path(config.dataset.root).resolve()
    roots = {run.resolve(): config.dataset.root}
    loaded = cache(loaded_in)
    compared: list[tuple[Trained, _Overlap]] = []
    written = []
    for arm, folder in arms.items():
        trained = trained_on(folder, roots, settings.train_root, loaded)
        overlap = next((found for known, found in compared if known == trained), None)
        if overlap is None:
            overlap = _overlap([Placed(q, place) for q in asked], trained, run / "evaluate" / "videos.json")
            compared.append((trained, overlap))
        answers = Stage(run, f"evaluate/{arm}/answer", Prediction).records()
        right = {said.question_id: bool(said.correct) for said in answers}

        def accuracy(choice: bool, without: Collection[str], right: Mapping[str, bool] = right) -> Estimate | None:
            labelled = [q for q in asked if q.answer is not None and bool(q.options) is choice]
            left = [q for q in labelled if q.question_id not in without]
            videos = [(q.dataset, q.video_id) for q in left]
            return estimate([right.get(q.question_id, False) for q in left], settings.resamples, config.seed, videos)

        seen = Seen(
            arm=arm,
            told=trained.told,
            checkpoint=trained.checkpoint,
            trained_questions=len(trained.questions) + len(trained.untraced),
            trained_videos=len({video_of(*placed) for placed in trained.questions}),
            untraced=len(trained.untraced),
            asked_questions=len(asked),
            asked_videos=len({video_of(question, place) for question in asked}),
            not_compared=overlap.not_compared,
            same_id=overlap.same_id,
            same_video=overlap.same_video,
            same_content=overlap.same_content,
            same_question=overlap.same_question,
            leaks=tuple(q.question_id for q in asked if q.question_id in overlap.leaks),
            repeated=overlap.repeated,
            multiple_choice=accuracy(True, ()),
            multiple_choice_clean=accuracy(True, overlap.leaks),
            open_ended=accuracy(False, ()),
            open_ended_clean=accuracy(False, overlap.leaks),
        )
        write_atomically(run / "evaluate" / arm / "seen.json", seen.model_dump_json(indent=1) + "\n")
        written.append(seen)
    return written


@dataclass(frozen=True)
class _Overlap:
    """The part of `Seen` that is equal for all students of one training."""

    same_id: tuple[Match, ...]
    same_video: tuple[Match, ...]
    same_content: tuple[Match, ...]
    same_question: tuple[Match, ...]
    leaks: frozenset[str]
    repeated: int
    not_compared: int


def _overlap(asked: Sequence[Placed], trained: Trained, kept: Path) -> _Overlap:
    theirs: dict[Video, list[Question]] = defaultdict(list)
    for placed in trained.questions:
        theirs[video_of(*placed)].append(placed.question)
    ours = {video_of(*placed): placed.question for placed in reversed(asked)}
    by_id = {video: _anywhere(video) & theirs.keys() for video in ours}
    by_content, not_compared = _same_content(asked, trained.questions, kept)
    same = {video: by_id[video] | by_content.get(video, set()) for video in ours}
    own_id = _same_id(asked, trained)
    leaks = {placed.question.question_id for placed in asked if same[video_of(*placed)]} | own_id.keys()

    def videos(found: Mapping[Video, Collection[Video]]) -> tuple[Match, ...]:
        names = [
            (_name(ours[video]), sorted(_name(theirs[other][0]) for other in found.get(video, ()))) for video in ours
        ]
        return tuple(Match(asked=name, trained=others[0]) for name, others in sorted(names) if others)

    same_question = []
    for placed in asked:
        question = placed.question
        about = [other for video in sorted(same[video_of(*placed)]) for other in theirs[video]]
        if (match := next((other for other in about if _same_question(question, other)), None)) is not None:
            same_question.append(Match(asked=question.question_id, trained=match.question_id))
    return _Overlap(
        same_id=tuple(Match(asked=key, trained=key) for key in own_id),
        same_video=videos(by_id),
        same_content=videos(by_content),
        same_question=tuple(same_question),
        leaks=frozenset(leaks),
        repeated=_repeated([one for one in asked if one.question.question_id not in leaks], trained.questions),
        not_compared=not_compared,
    )


def _anywhere(video: Video) -> set[Video]:
    """A video as it is named in its own folder, and in one that is not known."""
    return {video, (video[0], "", video[2])}


def _name(question: Question) -> str:
    return f"{question.dataset}/{question.video_id}"


def _same_id(asked: Sequence[Placed], trained: Trained) -> dict[str, None]:
    """Ids of the questions, in their order, that were trained on under the same id in the same dataset."""

    def names(placed: Placed) -> set[Video]:
        dataset = placed.question.dataset
        place = str(placed.root or "") if _is_local(dataset) else ""
        return {(dataset, place, placed.question.question_id)}

    theirs = {name for placed in trained.questions for name in names(placed)}
    untraced = set(trained.untraced)
    found: dict[str, None] = {}
    for placed in asked:
        key = placed.question.question_id
        if key in untraced or any(_anywhere(name) & theirs for name in names(placed)):
            found[key] = None
    return found


def _same_content(
    asked: Sequence[Placed], trained: Sequence[Placed], kept: Path
) -> tuple[dict[Video, set[Video]], int]:
    """Video -> those of the training whose file holds the same bytes; and how many videos had no file to compare."""
    ours, theirs = _files(asked), _files(trained)
    same, unread = same_bytes(ours.keys(), theirs.keys(), kept)
    found: dict[Video, set[Video]] = defaultdict(set)
    for path, equal in same.items():
        for video in ours[path]:
            found[video] |= {other for one in equal for other in theirs[one]}
    compared = {video for files in (ours, theirs) for path in files.keys() - unread for video in files[path]}
    every = {video_of(*placed) for placed in (*asked, *trained)}
    return found, len(every - compared)


def _files(questions: Sequence[Placed]) -> dict[Path, set[Video]]:
    """The files of the videos that questions name, resolved, and which videos they are."""
    named: dict[tuple[Path, str], set[Video]] = defaultdict(set)
    for question, root in questions:
        if root is not None and question.video is not None:
            named[root, question.video].add(video_of(question, root))
    found: dict[Path, set[Video]] = defaultdict(set)
    for (root, name), videos in named.items():
        try:
            found[locate(str(root), name)] |= videos
        except UserError:  # a name that is no file's below this root: nothing to compare
            continue
    return found


def _same_question(asked: Question, trained: Question) -> bool:
    """Whether two questions about one video are the same; options may be drawn anew, or be left out."""
    known = asked.answer is not None and trained.answer is not None
    if known and plain(str(asked.answer)) != plain(str(trained.answer)):
        return False
    return alike(asked_in(asked), asked_in(trained))


def _repeated(clean: Sequence[Placed], trained: Sequence[Placed]) -> int:
    """How many questions without a leak were asked in training in nearly the same words, options and all."""
    ours = Counter(asked_and_offered(placed.question) for placed in clean)
    theirs = list({asked_and_offered(placed.question) for placed in trained})
    found = {at for at, _ in all_alike(list(ours), theirs)}
    return sum(count for at, count in enumerate(ours.values()) if at in found)
