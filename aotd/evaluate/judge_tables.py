"""The judgements of a run as scores, and how far two judges agree.

Every folder `evaluate/<arm>/judge/<name>/<aspect>/` that is there counts, whoever wrote it and whatever is being asked
now. Scores are made again without a model, and a person's judgements written into such a folder stand beside a
model's. A judgement that could not be read counts as wrong; it has no score, and is shown.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from aotd.errors import UserError
from aotd.evaluate.judge import judged_from, who_judged
from aotd.evaluate.judge_aspects import ASPECTS, tasks
from aotd.records import Estimate, Judgement, Mode, Question
from aotd.scoring.intervals import estimate
from aotd.scoring.tables import JudgeAgreement, JudgeScores
from aotd.store.run import Run


def judge_scores(
    run: Run, arm: str, questions: Sequence[Question], resamples: int, seed: int
) -> tuple[JudgeScores, ...]:
    """The scores of an arm by each of its judges, in each aspect.

    Raises:
        UserError: as `judgements`.
    """
    videos = {question.question_id: (question.dataset, question.video_id) for question in questions}
    scores = []
    for (judge, aspect), given in judgements(run, arm, questions).items():
        to_judge = tasks(aspect, questions, {})
        about = [videos[key] for key in given]
        verdicts = [
            float(bool(judgement.correct)) if ASPECTS[aspect].verdict else np.nan for judgement in given.values()
        ]
        shares = [np.nan if judgement.score is None else judgement.score / 5 for judgement in given.values()]
        scores.append(
            JudgeScores(
                judge=judge,
                aspect=aspect,
                model=who_judged(run.judgements(arm, judge, aspect)),
                accuracy=estimate(verdicts, resamples, seed, about),
                score=_of_five(estimate(shares, resamples, seed, about)),
                unread=sum(judgement.score is None and judgement.correct is None for judgement in given.values()),
                judged=len(given),
                waiting=len(to_judge) - len(given),
            )
        )
    return tuple(scores)


def _of_five(share: Estimate | None) -> Estimate | None:
    if share is None:
        return None
    return Estimate(mean=5 * share.mean, low=5 * share.low, high=5 * share.high, n=share.n)


def judgements(run: Run, arm: str, questions: Sequence[Question]) -> dict[tuple[str, str], dict[str, Judgement]]:
    """(judge, aspect) -> question id -> judgement, in the order of the questions.

    Raises:
        UserError: a folder is of no known aspect, judges other answers than the arm's, or a question twice or one
            that is not to be judged; or a score or a manifest cannot be.
    """
    by_aspect: dict[tuple[str, str], dict[str, Judgement]] = {}
    folders = [path.parent for path in (run.folder / "evaluate" / arm / "judge").glob("*/*/manifest.json")]
    for folder in sorted(folders, key=lambda path: (path.parent.name, _place(path))):
        judge, aspect = folder.parent.name, folder.name
        stage = run.judgements(arm, judge, aspect)
        manifest = stage.manifest()
        if manifest.get("inputs") != judged_from(run, arm):
            raise UserError(
                f"{folder} judges other answers than evaluate/{arm}/answer holds: delete that folder, and judge again"
            )
        records = stage.records()
        by_id = {judgement.question_id: judgement for judgement in records}
        to_judge = [task.question_id for task in tasks(aspect, questions, {})]
        stray = sorted(set(by_id) - set(to_judge))
        if stray or len(by_id) < len(records):
            wrong = f"{stray[0]}, which is not to be judged there" if stray else "a question twice"
            raise UserError(f"{folder / 'records.jsonl'} judges {wrong}: delete that line")
        for judgement in records:
            if judgement.score is not None and not 0 <= judgement.score <= 5:
                where = f"{folder / 'records.jsonl'}: {judgement.question_id}"
                raise UserError(f"{where} has the score {judgement.score}, not 0 to 5")
        by_aspect[judge, aspect] = {key: by_id[key] for key in to_judge if key in by_id}
    return by_aspect


def _place(folder: Path) -> int:
    """Where a folder's aspect stands among all."""
    if folder.name not in ASPECTS:
        raise UserError(f"{folder}: there is no aspect {folder.name!r}; a judge's folder has {', '.join(ASPECTS)}")
    return list(ASPECTS).index(folder.name)


def agreements(run: Run, arm: str, questions: Sequence[Question]) -> list[JudgeAgreement]:
    """How far each two judges of an arm agree, in each aspect that both judged.

    Raises:
        UserError: as `judgements`.
    """
    by_aspect = judgements(run, arm, questions)
    answers = {answer.question_id: answer.text for answer in run.predictions(arm, Mode.answer).records()}
    rows = []
    for aspect in ASPECTS:
        # Where the arm gave no answer no judge was asked, and that they agree means nothing.
        asked = {task.question_id for task in tasks(aspect, questions, answers) if task.prompt is not None}
        judges = [judge for judge, judged_aspect in by_aspect if judged_aspect == aspect]
        for first, second in itertools.combinations(judges, 2):
            ours, theirs = by_aspect[first, aspect], by_aspect[second, aspect]
            both = [(ours[key], theirs[key]) for key in ours if key in theirs and key in asked]
            rows.append(_agreement(arm, aspect, (first, second), both))
    return rows


def _agreement(
    arm: str, aspect: str, judges: tuple[str, str], both: Sequence[tuple[Judgement, Judgement]]
) -> JudgeAgreement:
    from scipy.stats import spearmanr
    from sklearn.metrics import cohen_kappa_score

    verdicts = np.array([(a.correct, b.correct) for a, b in both if a.correct is not None and b.correct is not None])
    scores = np.array([(a.score, b.score) for a, b in both if a.score is not None and b.score is not None], dtype=float)
    ranked = len(scores) > 0 and all(np.ptp(scores, axis=0) > 0)
    return JudgeAgreement(
        arm=arm,
        aspect=aspect,
        judges=judges,
        verdicts=len(verdicts),
        same=float(np.mean(verdicts[:, 0] == verdicts[:, 1])) if len(verdicts) else None,
        kappa=float(cohen_kappa_score(verdicts[:, 0], verdicts[:, 1])) if len(np.unique(verdicts)) == 2 else None,
        scores=len(scores),
        difference=float(np.mean(np.abs(scores[:, 0] - scores[:, 1]))) if len(scores) else None,
        spearman=float(spearmanr(scores[:, 0], scores[:, 1]).statistic) if ranked else None,
    )
