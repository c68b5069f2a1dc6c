"""evaluate: put the held-out questions to each arm, and score what it says.

Reads load/ and what the arms come from (execute/ and convert/ for `agent`, distill/<arm>/ for a
student); writes evaluate/<arm>/answer/ and evaluate/<arm>/rationale/ with one Prediction per question,
and evaluate/<arm>/scores.json. A question an arm could not be asked, or whose reply cannot be read,
counts as wrong; how replies are read is in `aotd.scoring.answers`. Rationales are scored by the spans and boxes
in their text (paper, Table 7). With evaluate.judge.name a language model judges the answers to open-ended
questions, into evaluate/<arm>/judge/<name>/.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from rich.console import Console

from aotd.config.tree import Config
from aotd.errors import QuestionError, UserError
from aotd.evaluate import Reading
from aotd.evaluate.arms import asker, check_arms, distilled, expand, file_of, made_from, settings_of
from aotd.evaluate.ask import BLIND_ARMS, Reply
from aotd.evaluate.compare_runs import compare_arms, compare_runs
from aotd.evaluate.contamination import write_seen
from aotd.evaluate.cost import agent_costs, spent
from aotd.evaluate.external import check_ids
from aotd.evaluate.grounding import moment, spatial, temporal
from aotd.evaluate.judge import check_judge, judge_arms
from aotd.evaluate.judged import agreements, judged
from aotd.evaluate.scores import score
from aotd.records import Cost, Dropped, Mode, Prediction, Question, Trace
from aotd.runtime.progress import progress
from aotd.scoring.answers import parse, read_answer, same_answer
from aotd.scoring.claims import final_answer
from aotd.scoring.tables import Scores
from aotd.specialists.load import SOURCES
from aotd.specialists.protocols import Source
from aotd.store.files import write_atomically
from aotd.store.stage import Stage
from aotd.view.contamination_table import print_leaks
from aotd.view.cost_table import faster_words
from aotd.view.tables import agreement_sheet, comparison_sheets, drawn, print_scores, wide_console

_log = logging.getLogger(__name__)

Part = tuple[int, float, float]
"""How many frames were sampled, and the start and the end of the part they stand for, in seconds."""


def job(config: Config) -> None:
    """Write the predictions and scores of every arm, and print them as a table.

    Raises:
        UserError: a verb before has not run, an arm that does not exist, or a split without questions.
    """
    settings, run = config.evaluate, Path(config.run)
    asked = [question for question in Stage(run, "load", Question).records() if question.split == settings.split]
    if not asked:
        raise UserError(f"evaluate.split={settings.split}: the run has no question in that split")
    check_arms(config)
    arms = expand(config)
    check_judge(config, arms, asked)
    parts = _Parts(config, asked)
    agents = cache(lambda mode: agent_costs(run, asked, mode))
    scores = [_evaluate_arm(config, arm, asked, parts, agents) for arm in arms]
    if settings.judge.name:
        judge_arms(config, arms, asked)
        scores = [_with_judges(config, one, asked) for one in scores]
    console = wide_console()
    print_scores(console, scores)
    for line in faster_words(scores):
        console.print(line, highlight=False, soft_wrap=True)
    _print_agreements(console, run, asked, arms)
    print_leaks(console, write_seen(config, distilled(config, arms), asked))
    compared = compare_arms(config, asked, arms) + compare_runs(config, asked, arms)
    # Written where nothing was compared too: what was compared before is not true of these arms.
    lines = "".join(one.model_dump_json() + "\n" for one in compared)
    write_atomically(run / "evaluate" / "comparison.jsonl", lines)
    for sheet in comparison_sheets(compared):
        console.print(drawn(sheet))


class _Parts:
    """Which part of its video each question's frame numbers stand for."""

    def __init__(self, config: Config, asked: Sequence[Question]) -> None:
        self._config = config
        self._source: Source | None = None
        stage = Stage(Path(config.run), "execute", Trace)
        ids = {question.question_id for question in asked}
        traces = stage.records_of(ids) if stage.manifest_path.is_file() else {}
        self._known: dict[str, Part] = {key: (t.frames, t.start_s, t.end_s) for key, t in traces.items()}

    def part(self, question: Question) -> Part:
        """
        Raises:
            QuestionError: `video_unreadable`.
        """
        if question.question_id not in self._known:
            specialists = self._config.specialists
            self._source = self._source or SOURCES[specialists.source](specialists, self._config.dataset.root)
            video = self._source.open(question)
            self._known[question.question_id] = video.frames, video.start_s, video.end_s
        return self._known[question.question_id]


def _evaluate_arm(
    config: Config, arm: str, asked: Sequence[Question], parts: _Parts, agents: Callable[[Mode], dict[str, Cost]]
) -> Scores:
    run = Path(config.run)
    replies_there = file_of(config, arm, asked)
    modes = [Mode.answer, Mode.rationale]
    if arm in BLIND_ARMS or (replies_there is not None and Mode.rationale not in replies_there):
        modes = [Mode.answer]
    known = {question.question_id for question in asked}
    predictions: dict[Mode, list[Prediction]] = {}
    took: dict[Mode, dict[str, Cost]] = {}
    student = asker(config, arm, replies_there)
    for mode in modes:
        stage = Stage(run, f"evaluate/{arm}/{mode.value}", Prediction)
        if stage.manifest_path.is_file():
            check_ids(stage, known)
        with stage.open(settings_of(config, arm, mode), **made_from(config, arm)) as out:
            costs: dict[str, Cost] = {}
            replies = student(asked, mode, out.done, costs)
            steps = zip(asked, replies, strict=True)
            title = f"evaluate {arm} {mode.value}"
            for question, reply in progress(title, steps, len(asked)):
                if question.question_id not in out.done and reply is not None:
                    out.write(_predict(config, arm, mode, question, reply, parts), costs.get(question.question_id))
        _print_dropped(title, stage.dropped(), len(asked))
        predictions[mode] = stage.records()
        took[mode] = agents(mode) if arm == "agent" else stage.costs()
    answers, rationales = predictions[Mode.answer], predictions.get(Mode.rationale)
    scores = score(arm, asked, answers, rationales, config.evaluate.resamples, config.seed)
    beside = {} if arm == "agent" else {mode: agents(mode) for mode in modes}
    cost = spent(asked, took, beside, config.evaluate.resamples, config.seed)
    scores = scores.model_copy(update={"cost": cost or None})
    return _with_judges(config, scores, asked)


def _print_dropped(title: str, dropped: Sequence[Dropped], asked: int) -> None:
    """Which questions count as wrong since there is no reply to them: how many by outcome, and one of them."""
    if dropped:
        outcomes = ", ".join(
            f"{name} {count}" for name, count in Counter(d.outcome.value for d in dropped).most_common()
        )
        _log.info(
            f"{title}: {len(dropped)} of {asked} have no reply and count as wrong ({outcomes}), "
            f"such as {dropped[0].question_id}: {dropped[0].reason}"
        )


def _with_judges(config: Config, scores: Scores, asked: Sequence[Question]) -> Scores:
    """An arm's scores with what its judges have said until now, as they are kept."""
    run, settings = Path(config.run), config.evaluate
    found = judged(run, scores.arm, asked, settings.resamples, config.seed)
    whole = scores.model_copy(update={"judged": found})
    write_atomically(run / "evaluate" / scores.arm / "scores.json", whole.model_dump_json(indent=1) + "\n")
    return whole


def _print_agreements(console: Console, run: Path, asked: Sequence[Question], arms: Sequence[str]) -> None:
    """Where arms have two judges: how far they agree."""
    found = [one for arm in arms for one in agreements(run, arm, asked)]
    if found:
        write_atomically(run / "evaluate" / "agreement.jsonl", "".join(one.model_dump_json() + "\n" for one in found))
        console.print(drawn(agreement_sheet(found)))


def _predict(
    config: Config, arm: str, mode: Mode, question: Question, reply: Reply, parts: _Parts
) -> Prediction | Dropped:
    """One reply, read and scored."""
    if isinstance(reply, Dropped):
        return reply
    answer = (reply if mode is Mode.answer else final_answer(reply)) or ""
    if question.options:
        read = parse(answer, question.options)
        parsed, rule = read.option if config.evaluate.reading is Reading.lenient else read.strict, read.rule.value
    else:
        parsed, rule = read_answer(answer, ()), None
    correct = None if question.answer is None else same_answer(parsed, question.answer, question.options)
    prediction = Prediction(
        question_id=question.question_id,
        arm=arm,
        mode=mode,
        text=reply,
        parsed=parsed,
        rule=rule,
        correct=correct,
    )
    if mode is Mode.answer or question.evidence is None:
        return prediction
    try:
        part = parts.part(question)
    except QuestionError as error:
        return Dropped(question_id=question.question_id, outcome=error.outcome, reason=str(error))
    times = temporal(reply, question.evidence, *part)
    best = moment(reply, question.evidence, *part)
    grounded = {
        "temporal_iou": times[0] if times else None,
        "temporal_recall": times[1] if times else None,
        "moment_iou": best[0] if best else None,
        "moment_iop": best[1] if best else None,
        "spatial_iou": spatial(reply, question.evidence, *part),
    }
    return prediction.model_copy(update=grounded)
