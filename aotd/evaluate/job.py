"""evaluate: put the held-out questions to each arm, and score its replies.

Reads load/ and what the arms come from (execute/ and convert/ for `agent`, distill/<arm>/ for a
student); writes evaluate/<arm>/answer/ and evaluate/<arm>/rationale/ with one Prediction per question,
and evaluate/<arm>/scores.json. A question an arm could not be asked, or whose reply cannot be read,
counts as wrong; how replies are read is in `aotd.scoring.answers`. Rationales are scored by the spans and boxes
in their text (paper, Table 7). With evaluate.shuffled_videos students are asked with other videos too, into
evaluate/<arm>/shuffled/. With evaluate.judge.name a language model judges the answers to open-ended
questions, into evaluate/<arm>/judge/<name>/.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from random import Random

from rich.console import Console

from aotd.datasets.base import DatasetConfig
from aotd.errors import QuestionError, UserError
from aotd.evaluate import EvaluateConfig, Reading
from aotd.evaluate.arms import (
    ArmContext,
    asker,
    check_arms,
    distilled,
    expand,
    external_replies,
    is_shown_videos,
    made_from,
    settings_of,
)
from aotd.evaluate.ask import BLIND_ARMS, ArmReply
from aotd.evaluate.compare import ArmPredictions
from aotd.evaluate.compare_runs import compare_arms, compare_runs
from aotd.evaluate.contamination import write_contamination
from aotd.evaluate.cost import agent_costs, mean_costs
from aotd.evaluate.external import check_ids
from aotd.evaluate.grounding import moment, spatial, temporal
from aotd.evaluate.judge import check_judge, judge_arms
from aotd.evaluate.judge_tables import agreements, judge_scores
from aotd.evaluate.scores import score
from aotd.evaluate.shuffled import shuffled_scores, with_other_videos
from aotd.llm import LLMConfig, role_llm
from aotd.records import Cost, Dropped, Mode, Outcome, Prediction, Question
from aotd.runtime.output import wide_console
from aotd.runtime.progress import progress
from aotd.scoring.answers import parse, read_answer, same_answer
from aotd.scoring.claims import final_answer
from aotd.scoring.tables import Scores
from aotd.specialists import SpecialistsConfig
from aotd.specialists.load import SOURCES
from aotd.specialists.protocols import Source
from aotd.store.cache import CacheConfig
from aotd.store.files import write_atomically
from aotd.store.run import Run
from aotd.store.stage import Stage
from aotd.students import StudentConfig
from aotd.students.choices import WeighedChoice, check_trained_to_reply
from aotd.view.contamination_table import print_leaks
from aotd.view.cost_table import faster_words
from aotd.view.tables import agreement_sheet, comparison_sheets, drawn, print_scores

_log = logging.getLogger(__name__)

SampledPart = tuple[int, float, float]
"""How many frames were sampled, and the start and the end of the part they stand for, in seconds."""


def job(
    run: Run,
    *,
    evaluate: EvaluateConfig,
    llm: LLMConfig,
    student: StudentConfig,
    dataset: DatasetConfig,
    specialists: SpecialistsConfig,
    cache: CacheConfig,
    seed: int,
) -> None:
    """Write the predictions and scores of every arm, and print them as a table.

    Raises:
        UserError: a verb before has not run, an arm that does not exist, or a split without questions.
    """
    questions = [question for question in run.questions.records() if question.split == evaluate.split]
    if not questions:
        raise UserError(f"evaluate.split={evaluate.split}: the run has no question in that split")
    check_arms(run, evaluate)
    arms = expand(run, evaluate)
    own = run.students()
    for arm in [arm for arm in arms if arm in own]:
        check_trained_to_reply(run, arm, student.choice_reply)
    llm = role_llm(llm, evaluate.judge.llm, "evaluate.judge.llm")
    check_judge(run, arms, questions, evaluate=evaluate, llm=llm, cache=cache)
    others = with_other_videos(questions, seed) if evaluate.shuffled_videos else None
    context = ArmContext(run, evaluate, student, specialists, dataset.root)
    parts = _SampledParts(run, questions, specialists, dataset.root)
    agent = _agent_costs(run, questions)
    scores = [_evaluate_arm(context, arm, questions, others, parts, agent, seed) for arm in arms]
    if evaluate.judge.name:
        judge_arms(run, arms, questions, evaluate=evaluate, llm=llm, cache=cache)
        scores = [_write_scores(run, of_arm, questions, evaluate.resamples, seed) for of_arm in scores]
    console = wide_console()
    print_scores(console, scores)
    for line in faster_words(scores):
        console.print(line, soft_wrap=True)
    _print_agreements(console, run, questions, arms)
    students = distilled(run, evaluate.external, arms)
    print_leaks(console, write_contamination(run, students, questions, evaluate, dataset.root, seed))
    comparisons = compare_arms(run, evaluate, questions, arms, seed) + compare_runs(
        run, evaluate, questions, arms, seed
    )
    # Written where nothing was compared too: what was compared before is not true of these arms.
    lines = "".join(comparison.model_dump_json() + "\n" for comparison in comparisons)
    write_atomically(run.folder / "evaluate" / "comparison.jsonl", lines)
    for sheet in comparison_sheets(comparisons):
        console.print(drawn(sheet))


AgentCosts = Callable[[Mode], dict[str, Cost]]
"""Mode -> what each question took the agent."""


def _agent_costs(run: Run, questions: Sequence[Question]) -> AgentCosts:
    """The agent's costs, read once for each mode."""
    return cache(lambda mode: agent_costs(run, questions, mode))


class _SampledParts:
    """Which part of its video each question's frame numbers stand for."""

    def __init__(self, run: Run, questions: Sequence[Question], specialists: SpecialistsConfig, root: str) -> None:
        self._specialists = specialists
        self._root = root
        self._source: Source | None = None
        ids = {question.question_id for question in questions}
        traces = run.traces.records_of(ids) if run.traces.exists else {}
        self._known: dict[str, SampledPart] = {key: (t.frames, t.start_s, t.end_s) for key, t in traces.items()}

    def part(self, question: Question) -> SampledPart:
        """
        Raises:
            QuestionError: `video_unreadable`.
        """
        if question.question_id not in self._known:
            self._source = self._source or SOURCES[self._specialists.source](self._specialists, self._root)
            video = self._source.open(question)
            self._known[question.question_id] = video.frames, video.start_s, video.end_s
        return self._known[question.question_id]


def _evaluate_arm(
    context: ArmContext,
    arm: str,
    questions: Sequence[Question],
    others: Sequence[Question] | None,
    parts: _SampledParts,
    agent: AgentCosts,
    seed: int,
) -> Scores:
    """
    Args:
        others: the questions with other videos; None: students are not asked about them.
    """
    run, evaluate = context.run, context.evaluate
    given = external_replies(evaluate.external, arm, questions)
    modes = [Mode.answer, Mode.rationale]
    if arm in BLIND_ARMS or (given is not None and Mode.rationale not in given):
        modes = [Mode.answer]
    ids = {question.question_id for question in questions}
    ask = asker(context, arm, given)

    def ask_all(mode: Mode, shown: Sequence[Question], stage: Stage[Prediction], more: dict[str, object]) -> None:
        """Ask what is not done yet, with the videos of `shown`; `more` settings tell it from other asking."""
        if stage.exists:
            check_ids(stage, ids)
        settings = settings_of(context, arm, mode) | more
        title = stage.name.replace("/", " ")
        asked = questions
        if mode is Mode.rationale and evaluate.rationale_questions:
            asked, shown = (_drawn(some, evaluate.rationale_questions, seed) for some in (questions, shown))
            settings |= {"rationale_questions": evaluate.rationale_questions, "drawn_by": seed}
        with stage.open(settings, **made_from(run, evaluate.external, arm)) as out:
            costs: dict[str, Cost] = {}
            steps = zip(asked, ask(shown, mode, out.done, costs), strict=True)
            for question, reply in progress(title, steps, len(asked)):
                if question.question_id not in out.done and reply is not None:
                    prediction = _predict(arm, mode, question, reply, parts, evaluate.reading)
                    out.write(prediction, costs.get(question.question_id))
        # An unreadable video is left out of the control (`shuffled_scores`) and does not count as wrong there.
        wrong = [line for line in stage.dropped() if not (more and line.outcome is Outcome.video_unreadable)]
        _print_dropped(title, wrong, len(asked))

    stages = {mode: run.predictions(arm, mode) for mode in modes}
    for mode, stage in stages.items():
        ask_all(mode, questions, stage, {})
    own = ArmPredictions.of(stages[Mode.answer], stages.get(Mode.rationale))
    scores = score(arm, questions, own.answers, own.rationales, evaluate.resamples, seed, own.reasoned)
    if others is not None and is_shown_videos(run, evaluate.external, arm):
        shuffled = {mode: run.predictions(arm, mode, shuffled=True) for mode in modes}
        for mode, stage in shuffled.items():
            ask_all(mode, others, stage, {"shuffled_by": seed})
        unreadable = _unreadable([*stages.values(), *shuffled.values()])
        other = ArmPredictions.of(shuffled[Mode.answer], shuffled.get(Mode.rationale))
        control = shuffled_scores(questions, own, other, unreadable, evaluate.resamples, seed)
        scores = scores.model_copy(update={"shuffled": control})
    arm_costs = {mode: agent(mode) if arm == "agent" else stage.costs() for mode, stage in stages.items()}
    compared = {} if arm == "agent" else {mode: agent(mode) for mode in modes}
    cost = mean_costs(questions, arm_costs, compared, evaluate.resamples, seed)
    scores = scores.model_copy(update={"cost": cost or None})
    return _write_scores(run, scores, questions, evaluate.resamples, seed)


def _drawn(questions: Sequence[Question], count: int, seed: int) -> list[Question]:
    """Draw some of the questions, the same ones for every arm; they keep their order."""
    places = Random(f"{seed}/asked for reasons").sample(range(len(questions)), min(count, len(questions)))  # noqa: S311
    return [questions[place] for place in sorted(places)]


def _unreadable(stages: Sequence[Stage[Prediction]]) -> set[str]:
    """The questions that an arm could not be asked since a video cannot be read."""
    return {
        line.question_id for stage in stages for line in stage.dropped() if line.outcome is Outcome.video_unreadable
    }


def _print_dropped(title: str, dropped: Sequence[Dropped], total: int) -> None:
    """Print which questions count as wrong since they have no reply: how many by outcome, and one of them."""
    if dropped:
        outcomes = ", ".join(
            f"{name} {count}" for name, count in Counter(d.outcome.value for d in dropped).most_common()
        )
        _log.info(
            f"{title}: {len(dropped)} of {total} have no reply and count as wrong ({outcomes}), "
            f"such as {dropped[0].question_id}: {dropped[0].reason}",
        )


def _write_scores(run: Run, scores: Scores, questions: Sequence[Question], resamples: int, seed: int) -> Scores:
    """Write an arm's scores, with the judgements that there are until now."""
    judged = judge_scores(run, scores.arm, questions, resamples, seed)
    whole = scores.model_copy(update={"judged": judged})
    # Named only where they were asked for.
    absent = {name for name in ("choice_by_letter", "shuffled") if getattr(whole, name) is None}
    path = run.folder / "evaluate" / scores.arm / "scores.json"
    write_atomically(path, whole.model_dump_json(indent=1, exclude=absent) + "\n")
    return whole


def _print_agreements(console: Console, run: Run, questions: Sequence[Question], arms: Sequence[str]) -> None:
    """Write and print how far judges agree, where arms have two."""
    rows = [agreement for arm in arms for agreement in agreements(run, arm, questions)]
    if rows:
        lines = "".join(agreement.model_dump_json() + "\n" for agreement in rows)
        write_atomically(run.folder / "evaluate" / "agreement.jsonl", lines)
        console.print(drawn(agreement_sheet(rows)))


def _predict(
    arm: str, mode: Mode, question: Question, reply: ArmReply, parts: _SampledParts, reading: Reading
) -> Prediction | Dropped:
    """One reply, read and scored."""
    if isinstance(reply, Dropped):
        return reply
    text, letter = (reply.reply.text, reply.letter) if isinstance(reply, WeighedChoice) else (reply, None)
    answer = (text if mode is Mode.answer else final_answer(text)) or ""
    if question.options:
        read = parse(answer, question.options)
        parsed, rule = read.option if reading is Reading.lenient else read.strict, read.rule.value
    else:
        parsed, rule = read_answer(answer, ()), None
    correct = None if question.answer is None else same_answer(parsed, question.answer, question.options)
    letter_correct = None
    if letter is not None and question.answer is not None:
        letter_correct = same_answer(read_answer(letter, question.options), question.answer, question.options)
    prediction = Prediction(
        question_id=question.question_id,
        arm=arm,
        mode=mode,
        text=text,
        parsed=parsed,
        rule=rule,
        correct=correct,
        letter_correct=letter_correct,
    )
    if mode is Mode.answer or question.evidence is None:
        return prediction
    try:
        part = parts.part(question)
    except QuestionError as error:
        return Dropped(question_id=question.question_id, outcome=error.outcome, reason=str(error))
    times = temporal(text, question.evidence, *part)
    best = moment(text, question.evidence, *part)
    grounded = {
        "temporal_iou": times[0] if times else None,
        "temporal_recall": times[1] if times else None,
        "moment_iou": best[0] if best else None,
        "moment_iop": best[1] if best else None,
        "spatial_iou": spatial(text, question.evidence, *part),
    }
    return prediction.model_copy(update=grounded)
