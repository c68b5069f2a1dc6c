"""An arm's predictions as scores."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from aotd.datasets.benchmarks import BENCHMARKS, benchmark
from aotd.evaluate.grounding import FITS, NEAR
from aotd.records import Estimate, Prediction, Question
from aotd.scoring.answers import parse, plain
from aotd.scoring.intervals import estimate
from aotd.scoring.tables import GroundedScores, Scores


def score(
    arm: str,
    questions: Sequence[Question],
    answers: Sequence[Prediction],
    rationales: Sequence[Prediction] | None,
    resamples: int,
    seed: int,
    reasoned: Collection[str] | None = None,
) -> Scores:
    """The scores of an arm over the questions with a known answer; one without a prediction counts as wrong.

    Args:
        rationales: its replies behind the rationale suffix; None for an arm that gives no reasons.
        reasoned: the questions that it was asked for reasons; None: all.
    """
    labelled = [question for question in questions if question.answer is not None]
    by_id = {answer.question_id: answer for answer in answers}
    right = {key: bool(answer.correct) for key, answer in by_id.items()}

    def over(chosen: Sequence[Question], values: Mapping[str, float | bool]) -> Estimate | None:
        """The mean over some questions; one without a value has 0."""
        videos = [(question.dataset, question.video_id) for question in chosen]
        return estimate([values.get(question.question_id, 0.0) for question in chosen], resamples, seed, videos)

    choice = [question for question in labelled if question.options]
    read = {q.question_id: parse(by_id[q.question_id].text, q.options) for q in choice if q.question_id in by_id}
    letters = {key: answer.letter_correct for key, answer in by_id.items() if answer.letter_correct is not None}
    true = {question.question_id: question.answer for question in choice}

    def by(kinds: Callable[[Question], Sequence[str]]) -> dict[str, Estimate]:
        means = {}
        for kind in sorted({kind for question in labelled for kind in kinds(question)}):
            of_kind = over([question for question in labelled if kind in kinds(question)], right)
            assert of_kind is not None
            means[kind] = of_kind
        return means

    by_type = by(lambda question: (question.type,))
    asked = [q for q in questions if reasoned is None or q.question_id in reasoned]
    with_reasons = [question for question in asked if question.answer is not None]
    marked = [q for q in asked if q.evidence and (q.evidence.spans or q.evidence.boxes)]
    reasons = {rationale.question_id: rationale for rationale in rationales or ()}
    ends = {key: bool(rationale.correct) for key, rationale in reasons.items()}

    def mean(value: Callable[[Prediction], float | None]) -> Estimate | None:
        """The mean over the rationales that have the value."""
        have = {q.question_id: v for q in marked if (r := reasons.get(q.question_id)) and (v := value(r)) is not None}
        return over([question for question in marked if question.question_id in have], have)

    same = {key: _same(answer.parsed, reasons[key].parsed) for key, answer in by_id.items() if key in reasons}
    times, boxes = mean(lambda rationale: rationale.temporal_iou), mean(lambda rationale: rationale.spatial_iou)
    return Scores(
        arm=arm,
        chance=sum(1 / len(question.options) for question in choice) / len(choice) if choice else None,
        multiple_choice=over(choice, right),
        open_ended=over([question for question in labelled if not question.options], right),
        by_type=by_type,
        rationale_accuracy=None if rationales is None else over(with_reasons, ends),
        temporal_iou=times,
        temporal_recall=mean(lambda rationale: rationale.temporal_recall),
        spatial_iou=boxes,
        rationales=0 if rationales is None else len(marked),
        rationales_with_span=times.n if times else 0,
        rationales_with_box=boxes.n if boxes else 0,
        choice_strict=over(choice, {key: parsed.strict == true[key] for key, parsed in read.items()}),
        choice_lenient=over(choice, {key: parsed.option == true[key] for key, parsed in read.items()}),
        choice_by_letter=over(choice, letters) if letters else None,
        unparsed_strict=sum(parsed.strict is None for parsed in read.values()),
        unparsed_lenient=sum(parsed.option is None for parsed in read.values()),
        missing=sum(question.question_id not in right for question in labelled),
        by_group=by(_groups),
        by_type_mean=sum(of_type.mean for of_type in by_type.values()) / len(by_type) if by_type else None,
        grounded=None if rationales is None else _grounded(with_reasons, reasons, over),
        consistent=None if rationales is None else over(with_reasons, same),
        borne_out=mean(_borne_out),
    )


def _groups(question: Question) -> Sequence[str]:
    """The groups of types that a question belongs to; none where its benchmark has none."""
    return benchmark(question.dataset).groups(question.type) if question.dataset in BENCHMARKS else ()


Over = Callable[[Sequence[Question], Mapping[str, float | bool]], Estimate | None]


def _grounded(labelled: Sequence[Question], reasons: Mapping[str, Prediction], over: Over) -> GroundedScores | None:
    """The scores of NExT-GQA; None where no span is annotated."""
    spanned = [question for question in labelled if question.evidence and question.evidence.spans]
    if not spanned:
        return None

    def share(value: Callable[[Prediction], float | bool | None]) -> Estimate:
        mean = over(spanned, {key: value(rationale) or 0.0 for key, rationale in reasons.items()})
        assert mean is not None
        return mean

    return GroundedScores(
        acc_gqa=share(lambda r: bool(r.correct) and (r.moment_iop or 0) >= FITS),
        acc_qa=share(lambda r: r.correct),
        mean_iop=share(lambda r: r.moment_iop),
        iop_30=share(lambda r: (r.moment_iop or 0) >= NEAR),
        iop_50=share(lambda r: (r.moment_iop or 0) >= FITS),
        mean_iou=share(lambda r: r.moment_iou),
        iou_30=share(lambda r: (r.moment_iou or 0) >= NEAR),
        iou_50=share(lambda r: (r.moment_iou or 0) >= FITS),
    )


def _borne_out(rationale: Prediction) -> float | None:
    scores = [value for value in (rationale.moment_iop, rationale.spatial_iou) if value is not None]
    return float(min(scores) >= FITS) if scores else None


def _same(answer: str | None, reasoned: str | None) -> bool:
    return answer is not None and reasoned is not None and plain(answer) == plain(reasoned)
