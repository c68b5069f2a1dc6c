"""What `evaluate` makes of predictions, and `report`, `show` and tracking read: tables of scores and costs."""

from __future__ import annotations

from pydantic import Field

from aotd.records import Estimate, Mode, Part


class JudgeScores(Part):
    """What one judge makes of one arm, in one respect (`evaluate`)."""

    judge: str
    """Name of the judge's folder."""
    aspect: str
    """`answer`, or one of the five of Video-ChatGPT's benchmark."""
    model: str
    """Who judged: a language model and what pins it, or a person."""
    accuracy: Estimate | None
    """Share judged correct; an unread judgement counts as wrong. None where no verdict is asked for."""
    score: Estimate | None
    """Mean of 0 to 5 over the judgements that could be read."""
    unread: int
    """Judgements that could not be read."""
    judged: int
    """How many there are, those included."""
    waiting: int
    """Questions (for `consistency`, pairs of them) without one yet."""


class JudgeAgreement(Part):
    """How far two judges agree about one arm's answers, in one respect (`evaluate`)."""

    arm: str
    aspect: str
    judges: tuple[str, str]
    verdicts: int
    """Questions on which both gave a verdict. One to which the arm said nothing is left out, here and below."""
    same: float | None
    """Share of equal verdicts."""
    kappa: float | None
    """Cohen's kappa of the verdicts; None where it is not defined: both said one and the same to all."""
    scores: int
    """Questions on which both gave a score."""
    difference: float | None
    """Mean absolute difference of the scores."""
    spearman: float | None
    """Rank correlation of the scores; None where it is not defined: one of the two gave one score to all."""


class Comparison(Part):
    """An arm over its seeds, beside another one (`evaluate`)."""

    arm: str
    seeds: int
    metric: str
    mean: Estimate
    """Over seeds and questions; the interval resamples both."""
    reference: str
    difference: Estimate | None
    """Arm less reference on the same questions and seeds; None for the reference itself."""
    gained: int | None = None
    """Questions that the arm has right and the reference wrong; None for several seeds and for what is no yes or no."""
    lost: int | None = None
    """Questions that the reference has right and the arm wrong."""
    p: float | None = None
    """Two-sided p that neither is better (`aotd.scoring.intervals.flip_test`)."""


class GroundedScores(Part):
    """How well answers are grounded in time, as NExT-GQA defines it; over all questions with an annotated span.

    A rationale that names no span has IoU and IoP 0. The answer is the one in which the rationale ends.
    """

    acc_gqa: Estimate
    """Share that is right and has an IoP of 0.5 or more."""
    acc_qa: Estimate
    """Share that is right."""
    mean_iop: Estimate
    iop_30: Estimate
    """Share with an IoP of 0.3 or more."""
    iop_50: Estimate
    mean_iou: Estimate
    iou_30: Estimate
    iou_50: Estimate


class Speedup(Part):
    """An arm's time beside the agent's, on the questions for which both were measured (`evaluate`)."""

    seconds: float
    """The arm's, on the mean."""
    agent_seconds: float
    times: Estimate
    """The agent's time for those questions over the arm's; the interval draws videos, each with its questions."""
    batch: int
    """How many questions the arm was asked at once."""
    reused: float
    """Share of the questions for which the arm was given something that is not in its time (`Cost.reused`)."""
    agent_reused: float
    """The same of the agent."""
    same_machine: bool


class CostSummary(Part):
    """What a question costs an arm, on the mean over the questions that were measured (`evaluate`); see `Cost`."""

    seconds: Estimate
    """The interval draws videos, each with its questions: the first one pays for what they share."""
    batch: int
    llm_calls: float
    prompt_tokens: float | None
    reply_tokens: float | None
    tool_calls: float
    specialist_calls: float
    reused: float
    """Share of the questions with something reused."""
    memory_mb: float | None
    """The largest of them."""
    faster: Speedup | None = None
    """A student beside the agent; None where not both were measured."""


class VideoGain(Part):
    """One score of a student that was shown other videos than the questions' own, and what their own add."""

    other: Estimate
    gain: Estimate | None
    """Own less other, on the questions that have both; None where none has."""


class ShuffledScores(Part):
    """The shuffled-video control of a student (`evaluate`), over the questions whose videos could both be read.

    Each question was asked with the video of another one, and is scored against its own truth.
    """

    multiple_choice: VideoGain | None = None
    open_ended: VideoGain | None = None
    rationale_accuracy: VideoGain | None = None
    temporal_iou: VideoGain | None = None
    """Over questions whose rationale names a span; the gain over those of which both do."""
    spatial_iou: VideoGain | None = None


SHUFFLED = {
    "choice": "multiple_choice",
    "open": "open_ended",
    "answer in rationale": "rationale_accuracy",
    "time IoU": "temporal_iou",
    "box IoU": "spatial_iou",
}
"""Metric of a `Comparison` -> field of `ShuffledScores`."""


class Scores(Part):
    """One arm's scores on the held-out split (`evaluate`)."""

    arm: str
    chance: float | None
    """Expected accuracy of a uniform guess on the multiple-choice questions."""
    multiple_choice: Estimate | None
    """As the predictions were read when they were made: strictly."""
    open_ended: Estimate | None
    by_type: dict[str, Estimate]
    """Accuracy behind the answer suffix, by question type."""
    rationale_accuracy: Estimate | None
    """Accuracy of the answer in which the rationale ends."""
    temporal_iou: Estimate | None
    """Over questions whose rationale names a span; see `rationales_with_span`."""
    temporal_recall: Estimate | None
    spatial_iou: Estimate | None
    rationales: int
    """How many rationales were asked for where evidence is annotated."""
    rationales_with_span: int
    rationales_with_box: int
    choice_strict: Estimate | None = None
    """`multiple_choice` with every reply read again, strictly (`aotd.scoring.answers`); None in scores of before."""
    choice_lenient: Estimate | None = None
    """The same under the lenient reading."""
    choice_by_letter: Estimate | None = None
    """Multiple choice asked for letters beside, read strictly; None of arms that do not reply in words
    (`student.choice_reply`)."""
    unparsed_strict: int | None = None
    """Replies to multiple-choice questions with a known answer from which no option is read: counted as wrong."""
    unparsed_lenient: int | None = None
    missing: int | None = None
    """Labelled questions without a prediction (the arm could not be asked, or said nothing): counted as wrong."""
    by_group: dict[str, Estimate] = Field(default_factory=dict)
    """Accuracy by the groups of types in which the benchmark's authors report (`Benchmark.groups`)."""
    by_type_mean: float | None = None
    """Mean of the accuracies in `by_type`: what benchmarks of many tasks report."""
    grounded: GroundedScores | None = None
    consistent: Estimate | None = None
    """Share of the labelled questions whose brief answer is the one in which the rationale ends."""
    borne_out: Estimate | None = None
    """Of the rationales with a span or box that can be scored, the share in which all fit the annotation: IoP of the
    span, and mean IoU of the boxes, 0.5 or more."""
    judged: tuple[JudgeScores, ...] = ()
    """By judge and aspect; empty where no judge has been asked."""
    shuffled: ShuffledScores | None = None
    """The shuffled-video control; None where it was not asked for (`evaluate.shuffled_videos`)."""
    cost: dict[Mode, CostSummary] | None = None
    """What an answer costs, and one with its reasons; a mode that was not measured is not in it. None of baselines."""


class Match(Part):
    """Something that a student was asked about, and what it was trained on that is the same."""

    asked: str
    trained: str


class Contamination(Part):
    """What of the questions put to a student stood in its training too (`evaluate`)."""

    arm: str
    told: bool
    """False: its folder does not say what all it was trained on, and the rest is no more than a part of it."""
    checkpoint: str | None
    """What it began from; what that was trained on before is not known. None: it began from nothing."""
    grown_scenes: int = 0
    """Rendered scenes that it grew on before (`aotd grow`), none of them a video of a world."""
    trained_questions: int
    trained_videos: int
    untraced: int
    """Questions it was trained on of which nothing but the id is known any more."""
    asked_questions: int
    asked_videos: int
    not_compared: int
    """Videos of both sides whose file is missing or unreadable: content compares none of them."""
    same_id: tuple[Match, ...]
    """Questions with the id of one that was trained on."""
    same_video: tuple[Match, ...]
    """Videos with the id of one that was trained on, as `dataset/video_id`."""
    same_content: tuple[Match, ...]
    """Videos whose file holds the same bytes as one that was trained on, as `dataset/video_id`."""
    same_question: tuple[Match, ...]
    """Questions that were trained on in nearly the same words, about the same video and with the same answer."""
    leaks: tuple[str, ...]
    """Questions whose id, or whose video by id or content, was trained on."""
    repeated: int
    """Questions that are no leaks, though the same was asked, options and all, in nearly the same words elsewhere."""
    multiple_choice: Estimate | None
    """As in the scores."""
    multiple_choice_clean: Estimate | None
    """The same without the leaks."""
    open_ended: Estimate | None
    open_ended_clean: Estimate | None
