"""Contamination: which of the questions that a student is asked were in its training too.

A *leak* is a question whose video was trained on, by its id or by the bytes of its file, or whose own id was.
Where it was trained on in nearly the same words and with the same answer too, it is counted once more, as the
same question. The same words about another video are no leak: benchmarks ask "what happens at the end?" of
each of theirs. Nothing is refused; leaks are printed, with the accuracy on the rest.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from aotd.datasets.base import locate
from aotd.datasets.benchmarks import BENCHMARKS, benchmark
from aotd.errors import UserError
from aotd.evaluate import EvaluateConfig
from aotd.evaluate.near_duplicates import all_alike, are_alike, pairs_of_question, pairs_of_text
from aotd.evaluate.same_files import same_bytes
from aotd.evaluate.training_set import LocatedQuestion, TrainingSet, loaded_in, trained_on
from aotd.records import Estimate, Mode, Question
from aotd.scoring.answers import plain
from aotd.scoring.intervals import estimate
from aotd.scoring.tables import Contamination, Match
from aotd.store.files import write_atomically
from aotd.store.run import Run

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


def write_contamination(
    run: Run, arms: Mapping[str, Path], asked: Sequence[Question], evaluate: EvaluateConfig, root: str, seed: int
) -> list[Contamination]:
    """Find, for each student, the asked questions that it was trained on; write evaluate/<arm>/seen.json.

    Args:
        arms: students whose predictions are written -> the folder that `distill` made each in.
        root: folder of the videos of the asked questions.

    Raises:
        UserError: a manifest or a file of digests is damaged.
    """
    place = Path(root).resolve()
    roots = {run.folder.resolve(): root}
    load = cache(loaded_in)
    compared: list[tuple[TrainingSet, _Overlap]] = []
    written = []
    for arm, folder in arms.items():
        trained = trained_on(folder, roots, evaluate.train_root, load)
        overlap = next((same for known, same in compared if known == trained), None)
        if overlap is None:
            digests = run.folder / "evaluate" / "videos.json"
            overlap = _overlap([LocatedQuestion(q, place) for q in asked], trained, digests)
            compared.append((trained, overlap))
        answers = run.predictions(arm, Mode.answer).records()
        right = {answer.question_id: bool(answer.correct) for answer in answers}

        def accuracy(choice: bool, without: Collection[str], right: Mapping[str, bool] = right) -> Estimate | None:
            labelled = [q for q in asked if q.answer is not None and bool(q.options) is choice]
            left = [q for q in labelled if q.question_id not in without]
            videos = [(q.dataset, q.video_id) for q in left]
            return estimate([right.get(q.question_id, False) for q in left], evaluate.resamples, seed, videos)

        contamination = Contamination(
            arm=arm,
            told=trained.complete,
            checkpoint=trained.checkpoint,
            grown_scenes=trained.grown_scenes,
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
        path = run.folder / "evaluate" / arm / "seen.json"
        write_atomically(path, contamination.model_dump_json(indent=1) + "\n")
        written.append(contamination)
    return written


@dataclass(frozen=True)
class _Overlap:
    """The part of `Contamination` that is equal for all students of one training."""

    same_id: tuple[Match, ...]
    same_video: tuple[Match, ...]
    same_content: tuple[Match, ...]
    same_question: tuple[Match, ...]
    leaks: frozenset[str]
    repeated: int
    not_compared: int


def _overlap(asked: Sequence[LocatedQuestion], trained: TrainingSet, digests: Path) -> _Overlap:
    theirs: dict[Video, list[Question]] = defaultdict(list)
    for placed in trained.questions:
        theirs[video_of(*placed)].append(placed.question)
    ours = {video_of(*placed): placed.question for placed in reversed(asked)}
    by_id = {video: _anywhere(video) & theirs.keys() for video in ours}
    by_content, not_compared = _same_content(asked, trained.questions, digests)
    same = {video: by_id[video] | by_content.get(video, set()) for video in ours}
    own_id = _same_id(asked, trained)
    leaks = {placed.question.question_id for placed in asked if same[video_of(*placed)]} | own_id.keys()

    def videos(same: Mapping[Video, Collection[Video]]) -> tuple[Match, ...]:
        names = [
            (_name(ours[video]), sorted(_name(theirs[other][0]) for other in same.get(video, ()))) for video in ours
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
        repeated=_repeated([placed for placed in asked if placed.question.question_id not in leaks], trained.questions),
        not_compared=not_compared,
    )


def _anywhere(video: Video) -> set[Video]:
    """A video as it is named in its own folder, and in one that is not known."""
    return {video, (video[0], "", video[2])}


def _name(question: Question) -> str:
    return f"{question.dataset}/{question.video_id}"


def _same_id(asked: Sequence[LocatedQuestion], trained: TrainingSet) -> dict[str, None]:
    """Ids of the questions, in their order, that were trained on under the same id in the same dataset."""

    def names(placed: LocatedQuestion) -> set[Video]:
        dataset = placed.question.dataset
        place = str(placed.root or "") if _is_local(dataset) else ""
        return {(dataset, place, placed.question.question_id)}

    theirs = {name for placed in trained.questions for name in names(placed)}
    untraced = set(trained.untraced)
    same: dict[str, None] = {}
    for placed in asked:
        key = placed.question.question_id
        if key in untraced or any(_anywhere(name) & theirs for name in names(placed)):
            same[key] = None
    return same


def _same_content(
    asked: Sequence[LocatedQuestion], trained: Sequence[LocatedQuestion], digests: Path
) -> tuple[dict[Video, set[Video]], int]:
    """Video -> those of the training whose file holds the same bytes; and how many videos had no file to compare."""
    ours, theirs = _files(asked), _files(trained)
    same, unread = same_bytes(ours.keys(), theirs.keys(), digests)
    same_videos: dict[Video, set[Video]] = defaultdict(set)
    for path, equal in same.items():
        for video in ours[path]:
            same_videos[video] |= {other for equal_path in equal for other in theirs[equal_path]}
    compared = {video for files in (ours, theirs) for path in files.keys() - unread for video in files[path]}
    every = {video_of(*placed) for placed in (*asked, *trained)}
    return same_videos, len(every - compared)


def _files(questions: Sequence[LocatedQuestion]) -> dict[Path, set[Video]]:
    """The files of the videos that questions name, resolved, and which videos they are."""
    named: dict[tuple[Path, str], set[Video]] = defaultdict(set)
    for question, root in questions:
        if root is not None and question.video is not None:
            named[root, question.video].add(video_of(question, root))
    files: dict[Path, set[Video]] = defaultdict(set)
    for (root, name), videos in named.items():
        try:
            files[locate(str(root), name)] |= videos
        except UserError:  # a name that is no file's below this root: nothing to compare
            continue
    return files


def _same_question(asked: Question, trained: Question) -> bool:
    """Whether two questions about one video are the same; options may be drawn anew, or be left out."""
    known = asked.answer is not None and trained.answer is not None
    if known and plain(str(asked.answer)) != plain(str(trained.answer)):
        return False
    return are_alike(pairs_of_text(asked), pairs_of_text(trained))


def _repeated(clean: Sequence[LocatedQuestion], trained: Sequence[LocatedQuestion]) -> int:
    """How many questions without a leak were asked in training in nearly the same words, options and all."""
    ours = Counter(pairs_of_question(placed.question) for placed in clean)
    theirs = list({pairs_of_question(placed.question) for placed in trained})
    repeated = {at for at, _ in all_alike(list(ours), theirs)}
    return sum(count for at, count in enumerate(ours.values()) if at in repeated)
