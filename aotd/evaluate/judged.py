"""What the judges of a run said, as scores, and how far two of them agree.

Every folder `evaluate/<arm>/judge/<name>/<aspect>/` that is there counts, whoever wrote it and whatever is being asked
now: scores are made again without a model, and a person's judgements written into such a folder stand beside a
model's. A judgement that could not be read counts as wrong; it has no score, and is shown.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from aotd.errors import UserError
from aotd.evaluate.aspects import ASPECTS, tasks
from aotd.evaluate.judge import judge_stage, judged_from, who_judged
from aotd.records import Estimate, Judgement, Prediction, Question
from aotd.scoring.intervals import estimate
from aotd.scoring.tables import Agreement, Judged
from aotd.store.stage import Stage


def judged(run: Path, arm: str, asked: Sequence[Question], resamples: int, seed: int) -> tuple[Judged, ...]:
    """The scores of an arm by each of its judges, in each respect.

    Raises:
        UserError: as `judgements`.
    """
    found, videos = [], {question.question_id: (question.dataset, question.video_id) for question in asked}
    for (judge, aspect), said in judgements(run, arm, asked).items():
        meant = [task.question_id for task in tasks(aspect, asked, {})]
        about = [videos[key] for key in said]
        verdicts = [float(bool(one.correct)) if ASPECTS[aspect].verdict else np.nan for one in said.values()]
        shares = [np.nan if one.score is None else one.score / 5 for one in said.values()]
        found.append(
            Judged(
                judge=judge,
                aspect=aspect,
                model=who_judged(judge_stage(run, arm, judge, aspect)),
                accuracy=estimate(verdicts, resamples, seed, about),
                score=_of_five(estimate(shares, resamples, seed, about)),
                unread=sum(one.score is None and one.correct is None for one in said.values()),
                judged=len(said),
                waiting=len(meant) - len(said),
            )
        )
    return tuple(found)


def _of_five(share: Estimate | None) -> Estimate | None:
    if share is None:
        return None
    return Estimate(mean=5 * share.mean, low=5 * share.low, high=5 * share.high, n=share.n)


def judgements(run: Path, arm: str, asked: Sequence[Question]) -> dict[tuple[str, str], dict[str, Judgement]]:
    """(judge, aspect) -> question id -> what was said, in the order of the questions.

    Raises:
        UserError: a folder is of no known aspect, judges other answers than the arm's, or a question twice or one
            that is not to be judged; or a score or a manifest cannot be.
    """
    found: dict[tuple[str, str], dict[str, Judgement]] = {}
    folders = [path.parent for path in (run / "evaluate" / arm / "judge").glob("*/*/manifest.json")]
    for folder in sorted(folders, key=lambda path: (path.parent.name, _place(path))):
        judge, aspect = folder.parent.name, folder.name
        stage = judge_stage(run, arm, judge, aspect)
        manifest = stage.manifest()
        if manifest.get("inputs") != judged_from(run, arm):
            raise UserError(
                f"{folder} judges other answers than evaluate/{arm}/answer holds: delete that folder, and judge again"
            )
        records = stage.records()
        said = {one.question_id: one for one in records}
        meant = [task.question_id for task in tasks(aspect, asked, {})]
        stray = sorted(set(said) - set(meant))
        if stray or len(said) < len(records):
            wrong = f"{stray[0]}, which is not to be judged there" if stray else "a question twice"
            raise UserError(f"{folder / 'records.jsonl'} judges {wrong}: delete that line")
        out = next((one for one in records if one.score is not None and not 0 <= one.score <= 5), None)
        if out:
            raise UserError(f"{folder / 'records.jsonl'}: {out.question_id} has the score {out.score}, not 0 to 5")
        found[judge, aspect] = {key: said[key] for key in meant if key in said}
    return found


def _place(folder: Path) -> int:
    """Where a folder's aspect stands among all."""
    if folder.name not in ASPECTS:
        raise UserError(f"{folder}: there is no aspect {folder.name!r}; a judge's folder has {', '.join(ASPECTS)}")
    return list(ASPECTS).index(folder.name)


def agreements(run: Path, arm: str, asked: Sequence[Question]) -> list[Agreement]:
    """How far each two judges of an arm agree, in each respect that both judged.

    Raises:
        UserError: as `judgements`.
    """
    by = judgements(run, arm, asked)
    answers = {one.question_id: one.text for one in Stage(run, f"evaluate/{arm}/answer", Prediction).records()}
    found = []
    for aspect in ASPECTS:
        # Where the arm said nothing no judge was asked, and their being of one mind means nothing.
        put = {task.question_id for task in tasks(aspect, asked, answers) if task.prompt is not None}
        judges = [judge for judge, respect in by if respect == aspect]
        for first, second in itertools.combinations(judges, 2):
            one, other = by[first, aspect], by[second, aspect]
            both = [(one[key], other[key]) for key in one if key in other and key in put]
            found.append(_agreement(arm, aspect, (first, second), both))
    return found


def _agreement(
    arm: str, aspect: str, judges: tuple[str, str], both: Sequence[tuple[Judgement, Judgement]]
) -> Agreement:
    from scipy.stats import spearmanr
    from sklearn.metrics import cohen_kappa_score

    verdicts = np.array([(a.correct, b.correct) for a, b in both if a.correct is not None and b.correct is not None])
    scores = np.array([(a.score, b.score) for a, b in both if a.score is not None and b.score is not None], dtype=float)
    ranked = len(scores) > 0 and all(np.ptp(scores, axis=0) > 0)
    return Agreement(
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
