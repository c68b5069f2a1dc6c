"""evaluate: put the held-out questions to each arm, and score what it says.

Reads load/ and what the arms come from (execute/ and convert/ for `agent`, distill/<arm>/ for a
student); writes evaluate/<arm>/answer/ and evaluate/<arm>/rationale/ with one Prediction per question,
and evaluate/<arm>/scores.json. A question an arm could not be asked, or whose reply cannot be read,
counts as wrong; how replies are read is in `aotd.answers`. Rationales are scored by the spans and boxes
in their text (paper, Table 7). With evaluate.judge.name a language model judges the answers to open-ended
questions, into evaluate/<arm>/judge/<name>/.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import track

from aotd.answers import parse, read_answer, same_answer
from aotd.claims import final_answer
from aotd.config import Config
from aotd.cost import faster_words
from aotd.errors import QuestionError, UserError
from aotd.evaluate.compare import Said, compare, comparison_table
from aotd.evaluate.cost import agent_costs, spent
from aotd.evaluate.judge import check_judge, judge_arms
from aotd.evaluate.judged import agreement_table, agreements, judged
from aotd.evaluate.outside import (
    Replies,
    check_ids,
    file_digest,
    of_file,
    other_run,
    read_replies,
    said,
    shared_questions,
)
from aotd.evaluate.replies import BLIND_ARMS, Reply, of_agent, of_guesser, of_student
from aotd.evaluate.scores import score, tables
from aotd.evaluate.scoring import moment, spatial, temporal
from aotd.evaluate.seen import tell, write_seen
from aotd.prompts import digest
from aotd.records import Comparison, Cost, Dropped, Mode, Prediction, Question, Scores, Trace
from aotd.specialists import SOURCES
from aotd.specialists.base import Source
from aotd.specialists.weights import weights_digest
from aotd.store import Stage, write_atomically
from aotd.story import arms as evaluated
from aotd.students.frames import run_views
from aotd.students.prompts import SUFFIXES
from aotd.tracking import open_tracker

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
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
    arms = _expand(config)
    check_judge(config, arms, asked)
    parts = _Parts(config)
    tracker = open_tracker(config.tracking, config.run, "evaluate")
    scores = [_evaluate_arm(config, arm, asked, parts) for arm in arms]
    if settings.judge.name:
        judge_arms(config, arms, asked)
        scores = [_with_judges(config, one, asked) for one in scores]
    for one in scores:
        means = {"multiple_choice": one.multiple_choice, "open_ended": one.open_ended}
        tracker.log({f"{one.arm}/{name}": value.mean for name, value in means.items() if value})
    tracker.finish()
    for shown in tables(scores):
        Console().print(shown)
    for line in faster_words(scores):
        Console().print(line, highlight=False, soft_wrap=True)
    _print_agreements(run, asked, arms)
    tell(Console(), write_seen(config, _distilled(config, arms), asked))
    compared = _compare(config, asked, arms) + _compare_runs(config, asked, arms)
    if compared:
        lines = "".join(one.model_dump_json() + "\n" for one in compared)
        write_atomically(run / "evaluate" / "comparison.jsonl", lines)
    for reference in dict.fromkeys(one.reference for one in compared):
        Console().print(comparison_table([one for one in compared if one.reference == reference]))


def _check_arms(config: Config) -> None:
    settings = config.evaluate
    for name in ("batch", "max_rationale_tokens", "resamples"):
        if getattr(settings, name) < 1:
            raise UserError(f"evaluate.{name}={getattr(settings, name)} must be 1 or more")
    own = [*BLIND_ARMS, "agent", *_trained(config)]
    for name, path in settings.others.items():
        if name in own or not _NAME.fullmatch(name):
            raise UserError(f"evaluate.others: {name!r} is the run's own arm, or no name (letters, digits, _ and -)")
        if not Path(path).exists():
            raise UserError(
                f"evaluate.others.{name}: {path} is not there; give a file of replies or a student's folder"
            )
    known = [*own, *settings.others]
    if settings.train_root and not Path(settings.train_root).is_dir():
        raise UserError(f"evaluate.train_root: {settings.train_root} is not a folder")
    for arm in _expand(config):
        if arm not in known:
            raise UserError(f"evaluate.arms: there is no arm {arm!r} in {config.run}; it has {', '.join(known)}")
    if settings.against:
        other_run(settings.against)


def _trained(config: Config) -> list[str]:
    return sorted(path.parent.name for path in (Path(config.run) / "distill").glob("*/student"))


def _replies(config: Config, arm: str, asked: Sequence[Question]) -> Replies | None:
    """What stands in the file of an arm that comes from outside; None where the arm is not a file."""
    path = Path(config.evaluate.others.get(arm, ""))
    if arm not in config.evaluate.others or path.is_dir():
        return None
    return read_replies(path, {question.question_id for question in asked})


def _arm_folder(config: Config, arm: str) -> Path:
    """The folder that `distill` made an arm in; of one from outside, what was given."""
    return Path(config.evaluate.others.get(arm) or Path(config.run) / "distill" / arm)


def _student_folder(config: Config, arm: str) -> Path:
    """Where the student of an arm lies; of one from outside, a folder with `config.json` will do."""
    folder = _arm_folder(config, arm)
    return folder / "student" if (folder / "student").is_dir() or arm not in config.evaluate.others else folder


def _distilled(config: Config, arms: Sequence[str]) -> dict[str, Path]:
    """The arms that `distill` made, and their folders: what they were trained on can be told."""
    folders = {arm: _arm_folder(config, arm) for arm in arms}
    return {arm: folder for arm, folder in folders.items() if (folder / "student").is_dir()}


def _expand(config: Config) -> list[str]:
    """The arms to ask: one that was trained from several seeds is all its students."""
    trained = _trained(config)
    arms: list[str] = []
    for arm in dict.fromkeys([*config.evaluate.arms, *config.evaluate.others]):
        seeds = [name for name in trained if name.rpartition(".")[0] == arm]
        arms += seeds if seeds and arm not in trained else [arm]
    return arms


def _compare(config: Config, asked: Sequence[Question], arms: Sequence[str]) -> list[Comparison]:
    """The arms beside the reference; nothing where it is not among them, or is the only one."""
    settings, students = config.evaluate, _said(Path(config.run), asked, arms)
    if settings.reference not in students or len(students) < 2:
        return []
    against = students[settings.reference]
    return compare(asked, students, settings.reference, against, settings.resamples, config.seed)


def _compare_runs(config: Config, asked: Sequence[Question], arms: Sequence[str]) -> list[Comparison]:
    """The arms beside those of `evaluate.against`, on the questions that both runs were asked."""
    settings, found = config.evaluate, list[Comparison]()
    if not settings.against:
        return found
    other, only = other_run(settings.against)
    shared = shared_questions(asked, other)
    if len(shared) < len(asked):
        left = f"{len(asked) - len(shared)} of {len(asked)} questions are not in {other}: they are not compared"
        Console(stderr=True).print(left, highlight=False)
    theirs = _said(other, Stage(other, "load", Question).records(), [only] if only else evaluated(other))
    for arm, students in _said(Path(config.run), asked, arms).items():
        name = next(iter(theirs)) if only else arm
        if name in theirs:
            reference = str(other / "evaluate" / name)
            both = {reference: theirs[name], arm: students}
            found += compare(shared, both, reference, theirs[name], settings.resamples, config.seed)
    if not found:
        names = ", ".join(theirs) or "none"
        raise UserError(f"evaluate.against={settings.against}: none of these arms is there (it has {names})")
    return found


def _said(run: Path, asked: Sequence[Question], arms: Sequence[str]) -> dict[str, list[Said]]:
    """Arm -> what each of its students said; one that was trained from several seeds has several."""
    known = {question.question_id for question in asked}
    students: dict[str, list[Said]] = {}
    for name in arms:
        students.setdefault(name.rpartition(".")[0] if _seed(name) else name, []).append(said(run, name, known))
    return students


def _seed(arm: str) -> bool:
    """Whether an arm is one seed's student, such as `aotd.0`."""
    stem, _, number = arm.rpartition(".")
    return bool(stem) and number.isdecimal()


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
    replies_there = _replies(config, arm, asked)
    modes = [Mode.answer, Mode.rationale]
    if arm in BLIND_ARMS or (replies_there is not None and Mode.rationale not in replies_there):
        modes = [Mode.answer]
    known = {question.question_id for question in asked}
    predictions: dict[Mode, list[Prediction]] = {}
    took: dict[Mode, dict[str, Cost]] = {}
    student = _student(config, arm, replies_there)
    for mode in modes:
        stage = Stage(run, f"evaluate/{arm}/{mode.value}", Prediction)
        if stage.manifest_path.is_file():
            check_ids(stage, known)
        with stage.open(_settings(config, arm, mode), **_made_from(config, arm)) as out:
            costs: dict[str, Cost] = {}
            replies = student(asked, mode, out.done, costs)
            steps = zip(asked, replies, strict=True)
            title = f"evaluate {arm} {mode.value}"
            for question, reply in track(steps, title, total=len(asked), console=Console(stderr=True)):
                if question.question_id not in out.done and reply is not None:
                    out.write(_predict(arm, mode, question, reply, parts), costs.get(question.question_id))
        predictions[mode] = stage.records()
        took[mode] = agent_costs(run, asked, mode) if arm == "agent" else stage.costs()
    answers, rationales = predictions[Mode.answer], predictions.get(Mode.rationale)
    scores = score(arm, asked, answers, rationales, config.evaluate.resamples, config.seed)
    agents = {} if arm == "agent" else {mode: agent_costs(run, asked, mode) for mode in modes}
    cost = spent(asked, took, agents, config.evaluate.resamples, config.seed)
    scores = scores.model_copy(update={"cost": cost or None})
    return _with_judges(config, scores, asked)


def _with_judges(config: Config, scores: Scores, asked: Sequence[Question]) -> Scores:
    """An arm's scores with what its judges have said until now, as they are kept."""
    run, settings = Path(config.run), config.evaluate
    found = judged(run, scores.arm, asked, settings.resamples, config.seed)
    whole = scores.model_copy(update={"judged": found})
    write_atomically(run / "evaluate" / scores.arm / "scores.json", whole.model_dump_json(indent=1) + "\n")
    return whole


def _print_agreements(run: Path, asked: Sequence[Question], arms: Sequence[str]) -> None:
    """Where arms have two judges: how far they agree."""
    found = [one for arm in arms for one in agreements(run, arm, asked)]
    if (shown := agreement_table(found)) is not None:
        write_atomically(run / "evaluate" / "agreement.jsonl", "".join(one.model_dump_json() + "\n" for one in found))
        Console().print(shown)


Ask = Callable[[Sequence[Question], Mode, set[str], dict[str, Cost]], Iterator[Reply | None]]
"""Questions, suffix, those that are done, and where costs are put -> the reply to each, None to one that is done."""


def _student(config: Config, arm: str, replies: Replies | None) -> Ask:
    """How an arm is asked. A student is loaded once, when it has something to say."""
    if replies is not None:
        return lambda asked, mode, done, costs: iter(of_file(replies, asked, mode))
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
    if mode is Mode.rationale:
        settings["scored_by"] = ["temporal", "moment", "spatial"]
    if Path(config.evaluate.others.get(arm, "")).is_file():
        return settings
    if arm == "likeness":
        settings["embedder"] = config.specialists.embedder
    elif arm in BLIND_ARMS:
        settings["train_split"] = config.evaluate.train_split
    elif arm != "agent":
        settings["batch"] = config.evaluate.batch
        if mode is Mode.rationale:
            settings["max_rationale_tokens"] = config.evaluate.max_rationale_tokens
    return settings


def _made_from(config: Config, arm: str) -> dict[str, dict[str, str]]:
    run = Path(config.run)
    verbs = {"agent": ["load", "execute", "convert"], **{name: ["load"] for name in BLIND_ARMS}}
    outside = config.evaluate.others.get(arm)
    if outside is not None:
        verbs[arm] = ["load"]
    inputs = {verb: Stage(run, verb, Question).manifest_digest() for verb in verbs.get(arm, ["load", f"distill/{arm}"])}
    made_from = {"inputs": inputs}
    if outside is not None:
        path = Path(outside)
        inputs[arm] = weights_digest(_student_folder(config, arm)) if path.is_dir() else file_digest(path)
    if arm not in verbs or (outside is not None and Path(outside).is_dir()):
        made_from["prompts"] = {name: digest(name) for name in SUFFIXES}
    return made_from


def _predict(arm: str, mode: Mode, question: Question, reply: Reply, parts: _Parts) -> Prediction | Dropped:
    """One reply, read and scored."""
    if isinstance(reply, Dropped):
        return reply
    answer = reply if mode is Mode.answer else final_answer(reply)
    parsed = None if answer is None else read_answer(answer, question.options)
    correct = None if question.answer is None else same_answer(parsed, question.answer, question.options)
    prediction = Prediction(
        question_id=question.question_id,
        arm=arm,
        mode=mode,
        text=reply,
        parsed=parsed,
        rule=parse(answer or "", question.options).rule.value if question.options else None,
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
