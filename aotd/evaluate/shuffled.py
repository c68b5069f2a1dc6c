"""The shuffled-video control: each question is asked about another video, and scored against its own truth.

What a student still gets right, it does not owe to the video. The gain of the question's own video is what it does.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from random import Random

from aotd.errors import UserError
from aotd.evaluate.compare import ArmPredictions, compare
from aotd.records import Question
from aotd.scoring.tables import SHUFFLED, ShuffledScores, VideoGain

_PART = ("dataset", "video_id", "video", "start_s", "end_s")
"""The fields of a question that say what is seen."""

_Videos = dict[tuple[str, str], list[Question]]
"""Video -> the questions about it."""


def with_other_videos(questions: Sequence[Question], seed: int) -> list[Question]:
    """Move each question to another video of those that are asked about: the same for every arm.

    The other video has a question of the same type, so that the one that is moved stays plausible. Of the videos with
    questions of a type, each takes the place of exactly one other. Only where a type has a single video, the other may
    be any.

    Raises:
        UserError: all questions are about one video.
    """
    of_all: _Videos = {}
    of_type: dict[str, _Videos] = {}
    for question in questions:
        for videos in (of_all, of_type.setdefault(question.type, {})):
            videos.setdefault(_video(question), []).append(question)
    if len(of_all) < 2:
        raise UserError(
            "evaluate.shuffled_videos=true: all questions are about one video, and there is no other: leave it out"
        )
    moved: dict[str, Question] = {}
    for kind, videos in of_type.items():
        rng = Random(f"{seed}/shuffled videos/{kind}")  # noqa: S311
        order = rng.sample(list(pool := videos if len(videos) > 1 else of_all), len(pool))
        following = dict(zip(order, [*order[1:], order[0]], strict=True))  # a cycle: no video follows itself
        for video, about in videos.items():
            for question in about:
                other = rng.choice(pool[following[video]])
                part = {name: getattr(other, name) for name in _PART}
                moved[question.question_id] = question.model_copy(update=part)
    return [moved[question.question_id] for question in questions]


def _video(question: Question) -> tuple[str, str]:
    """What tells a video from others: its file, since one file may have several ids."""
    return question.dataset, question.video or question.video_id


def shuffled_scores(
    questions: Sequence[Question],
    own: ArmPredictions,
    other: ArmPredictions,
    unreadable: Collection[str],
    resamples: int,
    seed: int,
) -> ShuffledScores:
    """Score a student that was shown other videos beside itself with the questions' own.

    Args:
        unreadable: questions of which either video cannot be read: counted as wrong they would pass for a gain.
    """
    both = [question for question in questions if question.question_id not in unreadable]
    shown = {"own": [own], "other": [other]}
    compared = compare(both, shown, "other", shown["other"], resamples, seed)
    gains = {one.metric: one.difference for one in compared if one.arm == "own"}
    return ShuffledScores(
        **{
            SHUFFLED[one.metric]: VideoGain(other=one.mean, gain=gains.get(one.metric))
            for one in compared
            if one.arm == "other" and one.metric in SHUFFLED
        }
    )
