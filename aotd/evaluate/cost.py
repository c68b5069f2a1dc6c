"""What a question costs an arm, and how much faster a student is than the agent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from aotd.records import Cost, Estimate, Mode, Question
from aotd.runtime.meter import total
from aotd.scoring.tables import CostSummary, Speedup
from aotd.store.run import Run
from aotd.verbs import FLOW

AGENT_VERBS = {Mode.answer: FLOW[1:3], Mode.rationale: FLOW[1:4]}
"""Mode -> the verbs whose time an agent's reply costs: up to `execute`, or with its reasons up to `convert`."""

Costs = Mapping[str, Cost]
"""Question id -> what it took."""


def agent_costs(run: Run, questions: Sequence[Question], mode: Mode) -> dict[str, Cost]:
    """What each question took the agent, as far as it came; without those of which not every verb was measured."""
    ways: dict[str, list[Cost]] = {question.question_id: [] for question in questions}
    going = set(ways)
    for verb in AGENT_VERBS[mode]:
        stage = run.stage(verb)
        costs, dropped = stage.costs(), {line.question_id for line in stage.dropped()}
        for key in going:
            if key in costs:
                ways[key].append(costs[key])
            else:
                del ways[key]
        going = {key for key in going if key in ways and key not in dropped}
    return {key: total(way) for key, way in ways.items()}


def mean_costs(
    questions: Sequence[Question], own: Mapping[Mode, Costs], agent: Mapping[Mode, Costs], resamples: int, seed: int
) -> dict[Mode, CostSummary]:
    """What a question costs an arm on the mean; without the modes that were not measured.

    Args:
        own: the arm's costs.
        agent: the agent's costs, to compare them with.
    """
    summaries = {}
    for mode, costs in own.items():
        measured = [question for question in questions if question.question_id in costs]
        if measured:
            summary = _summary(measured, costs, resamples, seed)
            faster = _speedup(measured, costs, agent.get(mode, {}), resamples, seed)
            summaries[mode] = summary.model_copy(update={"faster": faster})
    return summaries


def _summary(questions: Sequence[Question], costs: Costs, resamples: int, seed: int) -> CostSummary:
    measured = [costs[question.question_id] for question in questions]
    memory = [cost.memory_mb for cost in measured if cost.memory_mb is not None]
    seconds = {cost.question_id: cost.seconds for cost in measured}
    return CostSummary(
        seconds=_ratio(questions, seconds, dict.fromkeys(seconds, 1.0), resamples, seed),
        batch=max(cost.batch for cost in measured),
        llm_calls=_mean([cost.llm_calls for cost in measured]),
        prompt_tokens=_known_mean([cost.prompt_tokens for cost in measured]),
        reply_tokens=_known_mean([cost.reply_tokens for cost in measured]),
        tool_calls=_mean([cost.tool_calls for cost in measured]),
        specialist_calls=_mean([cost.specialist_calls for cost in measured]),
        reused=_mean([bool(cost.reused) for cost in measured]),
        memory_mb=max(memory, default=None),
    )


def _speedup(questions: Sequence[Question], own: Costs, agent: Costs, resamples: int, seed: int) -> Speedup | None:
    both = [question for question in questions if question.question_id in agent]
    pairs = [(own[question.question_id], agent[question.question_id]) for question in both]
    if not both or not sum(mine.seconds for mine, _ in pairs):
        return None
    seconds, theirs = ({cost.question_id: cost.seconds for cost in costs} for costs in zip(*pairs, strict=True))
    machines = {cost.machine for pair in pairs for cost in pair}
    return Speedup(
        seconds=_mean(list(seconds.values())),
        agent_seconds=_mean(list(theirs.values())),
        times=_ratio(both, theirs, seconds, resamples, seed),
        batch=max(mine.batch for mine, _ in pairs),
        reused=_mean([bool(mine.reused) for mine, _ in pairs]),
        agent_reused=_mean([bool(other.reused) for _, other in pairs]),
        same_machine=len(machines) == 1 and "" not in machines,
    )


def _ratio(
    questions: Sequence[Question], top: Mapping[str, float], below: Mapping[str, float], resamples: int, seed: int
) -> Estimate:
    """The sum of one number over the sum of another, with the 95 % interval of a bootstrap over videos.

    What the questions of a video share is paid for by the first of them, so that they are drawn together.
    """
    videos = list(dict.fromkeys((question.dataset, question.video_id) for question in questions))
    number = {video: at for at, video in enumerate(videos)}
    sums = np.zeros((len(videos), 2))
    for question in questions:
        key = question.question_id
        sums[number[question.dataset, question.video_id]] += top[key], below[key]
    drawn = np.random.default_rng(seed).integers(0, len(videos), (resamples, len(videos)))
    tops, belows = sums[drawn].sum(axis=1).T
    low, high = np.quantile(tops / belows, (0.025, 0.975))
    mean = sums[:, 0].sum() / sums[:, 1].sum()
    return Estimate(mean=float(mean), low=float(low), high=float(high), n=len(questions))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _known_mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return _mean(known) if len(known) == len(values) else None
