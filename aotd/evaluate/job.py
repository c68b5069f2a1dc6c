"""evaluate: put the held-out questions to each arm, and score what it says.

Reads load/ and what the arms come from (execute/ and convert/ for `agent`, distill/<arm>/ for a
student); writes evaluate/<arm>/answer/ and evaluate/<arm>/rationale/ with one Prediction per question,
and evaluate/<arm>/scores.json. A question an arm could not be asked, or whose reply cannot be read,
counts as wrong; how replies are read is in `aotd.answers`. Rationales are scored by the spans and boxes
in their text (paper, Table 7).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import track

from aotd.answers import parse, read_answer, same_answer
from aotd.claims import final_answer
from aotd.config import Config
from aotd.cost import cost_table, faster_words
from aotd.errors import QuestionError, UserError
from aotd.evaluate.compare import Said, compare, comparison_table
from aotd.evaluate.cost import agent_costs, spent
from aotd.evaluate.replies import BLIND_ARMS, Reply, of_agent, of_guesser, of_student
from aotd.evaluate.scores import readings, score, table
from aotd.evaluate.scoring import spatial, temporal
from aotd.prompts import digest
from aotd.records import Comparison, Cost, Dropped, Mode, Prediction, Question, Scores, Trace
from aotd.specialists import SOURCES
from aotd.specialists.base import Source
from aotd.store import Stage, write_atomically
from aotd.students.frames import run_views
from aotd.students.prompts import SUFFIXES
from aotd.tracking import open_tracker

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
    _check_arms(config)
    parts = _Parts(config)
    tracker = open_tracker(config.tracking, config.run, "evaluate")
    arms = _expand(config)
    scores = [_evaluate_arm(config, arm, asked, parts) for arm in arms]
    for one in scores:
        means = {"multiple_choice": one.multiple_choice, "open_ended": one.open_ended}
        tracker.log({f"{one.arm}/{name}": value.mean for name, value in means.items() if value})
    tracker.finish()
    Console().print(table(scores))
    if (read := readings(scores)) is not None:
        Console().print(read)
    if (costs := cost_table(scores)) is not None:
        Console().print(costs)
    for line in faster_words(scores):
        Console().print(line, highlight=False, soft_wrap=True)
    compared = _compare(config, asked, arms)
    if compared:
        lines = "".join(one.model_dump_json() + "\n" for one in compared)
        write_atomically(run / "evaluate" / "comparison.jsonl", lines)
        Console().print(comparison_table(compared))


def _check_arms(config: Config) -> None:
    settings = config.evaluate
    for name in ("batch", "max_rationale_tokens", "resamples"):
        if getattr(settings, name) < 1:
            raise UserError(f"evaluate.{name}={getattr(settings, name)} must be 1 or more")
    known = [*BLIND_ARMS, "agent", *_trained(config)]
    for arm in _expand(config):
        if arm not in known:
            raise UserError(f"evaluate.arms: there is no arm {arm!r} in {config.run}; it has {', '.join(known)}")


def _trained(config: Config) -> list[str]:
    return sorted(path.parent.name for path in (Path(config.run) / "distill").glob("*/student"))


def _expand(config: Config) -> list[str]:
    """The arms to ask: one that was trained from several seeds is all its students."""
    trained = _trained(config)
    arms = []
    for arm in config.evaluate.arms:
        seeds = [name for name in trained if name.rpartition(".")[0] == arm]
        arms += seeds if seeds and arm not in trained else [arm]
    return arms


def _compare(config: Config, asked: Sequence[Question], arms: Sequence[str]) -> list[Comparison]:
    """Arms with several seeds beside the reference; nothing where it has none."""
    students: dict[str, list[Said]] = {}
    for name in arms:
        arm, dot, _ = name.rpartition(".")
        if dot:
            replies = [
                Stage(Path(config.run), f"evaluate/{name}/{mode.value}", Prediction).records()
                for mode in (Mode.answer, Mode.rationale)
            ]
            students.setdefault(arm, []).append(Said(*replies))
    if config.evaluate.reference not in students:
        return []
    return compare(asked, students, config.evaluate.reference, config.evaluate.resamples, config.seed)


class _Parts:
    """Which part of its video each question's frame numbers stand for."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._source: Source | None = None
        stage = Stage(Path(config.run), "execute", Trace)
        traces = stage.records() if stage.manifest_path.is_file() else []
        self._known: dict[str, Part] = {t.question_id: (t.frames, t.start_s, t.end_s) for t in traces}

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


def _evaluate_arm(config: Config, arm: str, asked: Sequence[Question], parts: _Parts) -> Scores:
    run = Path(config.run)
    modes = [Mode.answer] if arm in BLIND_ARMS else [Mode.answer, Mode.rationale]
    said: dict[Mode, list[Prediction]] = {}
    took: dict[Mode, dict[str, Cost]] = {}
    student = _student(config, arm)
    for mode in modes:
        stage = Stage(run, f"evaluate/{arm}/{mode.value}", Prediction)
        with stage.open(_settings(config, arm, mode), **_made_from(run, arm)) as out:
            costs: dict[str, Cost] = {}
            replies = student(asked, mode, out.done, costs)
            steps = zip(asked, replies, strict=True)
            title = f"evaluate {arm} {mode.value}"
            for question, reply in track(steps, title, total=len(asked), console=Console(stderr=True)):
                if question.question_id not in out.done and reply is not None:
                    out.write(_predict(arm, mode, question, reply, parts), costs.get(question.question_id))
        said[mode] = stage.records()
        took[mode] = agent_costs(run, asked, mode) if arm == "agent" else stage.costs()
    scores = score(arm, asked, said[Mode.answer], said.get(Mode.rationale), config.evaluate.resamples, config.seed)
    agents = {} if arm == "agent" else {mode: agent_costs(run, asked, mode) for mode in modes}
    cost = spent(asked, took, agents, config.evaluate.resamples, config.seed)
    scores = scores.model_copy(update={"cost": cost or None})
    write_atomically(run / "evaluate" / arm / "scores.json", scores.model_dump_json(indent=1) + "\n")
    return scores


Replies = Callable[[Sequence[Question], Mode, set[str], dict[str, Cost]], Iterator[Reply | None]]
"""Questions, suffix, those that are done, and where costs are put -> the reply to each, None to one that is done."""


def _student(config: Config, arm: str) -> Replies:
    """How an arm is asked. A student is loaded once, when it has something to say."""
    if arm in BLIND_ARMS:
        return lambda asked, mode, done, costs: of_guesser(arm, config, asked)
    if arm == "agent":
        return lambda asked, mode, done, costs: of_agent(config, asked, mode)

    def ask(asked: Sequence[Question], mode: Mode, done: set[str], costs: dict[str, Cost]) -> Iterator[Reply | None]:
        if all(question.question_id in done for question in asked):
            return iter([None] * len(asked))
        from aotd.students.student import load_student

        student = load_student(Path(config.run) / "distill" / arm / "student", config.student)
        return of_student(student, run_views(config, student), config, asked, mode, done, costs)

    return ask


def _settings(config: Config, arm: str, mode: Mode) -> dict[str, object]:
    settings: dict[str, object] = {"split": config.evaluate.split, "mode": mode.value}
    if arm == "likeness":
        settings["embedder"] = config.specialists.embedder
    elif arm in BLIND_ARMS:
        settings["train_split"] = config.evaluate.train_split
    elif arm != "agent":
        settings["batch"] = config.evaluate.batch
        if mode is Mode.rationale:
            settings["max_rationale_tokens"] = config.evaluate.max_rationale_tokens
    return settings


def _made_from(run: Path, arm: str) -> dict[str, dict[str, str]]:
    verbs = {"agent": ["load", "execute", "convert"], **{name: ["load"] for name in BLIND_ARMS}}
    inputs = {verb: Stage(run, verb, Question).manifest_digest() for verb in verbs.get(arm, ["load", f"distill/{arm}"])}
    made_from = {"inputs": inputs}
    if arm not in verbs:
        made_from["prompts"] = {name: digest(name) for name in SUFFIXES}
    return made_from


def _predict(arm: str, mode: Mode, question: Question, reply: Reply, parts: _Parts) -> Prediction | Dropped:
    """One reply, read and scored."""
    if isinstance(reply, Dropped):
        return reply
    answer = reply if mode is Mode.answer else final_answer(reply)
    parsed = None if answer is None else read_answer(answer, question.options)
    correct = None if question.answer is None else same_answer(parsed, question.answer, question.options)
    said = Prediction(
        question_id=question.question_id,
        arm=arm,
        mode=mode,
        text=reply,
        parsed=parsed,
        rule=parse(answer or "", question.options).rule.value if question.options else None,
        correct=correct,
    )
    if mode is Mode.answer or question.evidence is None:
        return said
    try:
        part = parts.part(question)
    except QuestionError as error:
        return Dropped(question_id=question.question_id, outcome=error.outcome, reason=str(error))
    times = temporal(reply, question.evidence, *part)
    grounded = {
        "temporal_iou": times[0] if times else None,
        "temporal_recall": times[1] if times else None,
        "spatial_iou": spatial(reply, question.evidence, *part),
    }
    return said.model_copy(update=grounded)
