"""ask: put one question to one video, with a distilled student or with the agent.

    aotd ask run=runs/demo video=clip.mp4 question='What did the person take?' options='[the book,the bag]'
    aotd ask run=runs/demo video=clip.mp4 question='What did the person take?' mode=rationale by=agent

A student answers in one go, or with its reasons (mode=rationale). The agent has a program written
(decompose.author=fixed or llm), runs it, and shows the answer or the chain of thought made of its trace.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from aotd.config.tree import AskConfig, Config
from aotd.errors import QuestionError, UserError
from aotd.records import Dropped, Mode, Question
from aotd.runtime.output import say
from aotd.specialists import SourceName, SpecialistsConfig
from aotd.specialists.load import SOURCES
from aotd.store.run import Run
from aotd.students import StudentConfig
from aotd.tools.toolbox import Toolbox
from aotd.tools.video import VIDEO_TOOLS
from aotd.view.tables import printable

AGENT = "agent"


def job(config: Config, toolbox: Toolbox = VIDEO_TOOLS) -> None:
    """Print the reply to one question.

    Args:
        toolbox: the tools that the agent's program may call.

    Raises:
        UserError: no such video, mode or arm.
        QuestionError: the video cannot be read, or the agent came to no answer.
    """
    text = printable(reply(config, toolbox)) or "(an empty reply)"
    say(text)


def reply(config: Config, toolbox: Toolbox = VIDEO_TOOLS) -> str:
    """The reply to the question of `config.ask`.

    Raises:
        UserError, QuestionError: as `job`.
    """
    question = _question(config.ask)
    mode = _mode(config.ask)
    if config.specialists.source is not SourceName.video:
        raise UserError("ask needs specialists.source=video: a video file is decoded, stored captions name none")
    root = str(Path(config.ask.video).resolve().parent)
    if config.ask.by == AGENT:
        return _agent(config, question, mode, root, toolbox)
    run, longest = Run(Path(config.run)), config.evaluate.max_rationale_tokens
    return _student(run, config.ask.by, question, mode, config.student, config.specialists, root, longest)


def _question(ask: AskConfig) -> Question:
    if not ask.video or not ask.question.strip():
        raise UserError("ask needs a video and a question: aotd ask video=clip.mp4 question='What is …?'")
    path = Path(ask.video)
    if not path.is_file():
        raise UserError(f"there is no video {ask.video}")
    try:
        return Question(
            question_id="ask",
            dataset="ask",
            split="test",
            video_id=path.name,
            video=path.name,
            question=ask.question.strip(),
            type="ask",
            options=tuple(ask.options),
        )
    except ValidationError as error:
        raise UserError(f"ask: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from None


def _mode(ask: AskConfig) -> Mode:
    if ask.mode not in [mode.value for mode in Mode]:
        raise UserError(f"mode={ask.mode}: one of {', '.join(mode.value for mode in Mode)}")
    return Mode(ask.mode)


def _student(
    run: Run,
    arm: str,
    question: Question,
    mode: Mode,
    student: StudentConfig,
    specialists: SpecialistsConfig,
    root: str,
    longest: int,
) -> str:
    folder = run.student(arm)
    if not folder.is_dir():
        arms = run.students()
        known = f"it has {', '.join([*arms, AGENT])}" if arms else "no student has been distilled there"
        raise UserError(f"by={arm}: there is no such arm in {run}; {known}")
    from aotd.prompts.student import prompt
    from aotd.scoring.answers import read_choice
    from aotd.students.choices import answer, trained_to_reply, wants_letter
    from aotd.students.features import sees_video
    from aotd.students.registry import load_student
    from aotd.video_llms.base import PromptInput

    choice_reply = trained_to_reply(run, arm) or student.choice_reply
    model = load_student(folder, student)
    specialists = replace(specialists, frames=model.specialist_frames)
    source = SOURCES[specialists.source](specialists, root)
    view = model.encode_video(source.open(question)) if sees_video(folder) else {}
    letter = wants_letter(question, choice_reply)
    if mode is Mode.rationale:
        return model.reply([PromptInput(prompt(question), letter, view)], mode, longest)[0]
    text = answer(model, question, view, choice_reply).text
    chosen = read_choice(text, question.options) if letter else None
    return text if chosen is None else f"{text}: {chosen}"


def _agent(config: Config, question: Question, mode: Mode, root: str, toolbox: Toolbox) -> str:
    from aotd.agents.base import work
    from aotd.agents.program.agent import ProgramAgent
    from aotd.agents.program.attempts import first
    from aotd.convert.job import load_writer, write_thought
    from aotd.decompose import Author
    from aotd.decompose.job import write_program
    from aotd.sandbox.layers import raised
    from aotd.specialists.calls import Findings
    from aotd.specialists.load import load_specialists
    from aotd.store.cache import load_cache

    if config.decompose.author is Author.annotated:
        # A question from a person ships no functional program.
        config = replace(config, decompose=replace(config.decompose, author=Author.fixed))
    program = write_program(
        question, config.decompose, config.llm, load_cache(config.cache, Run(Path(config.run))), toolbox
    )
    layers = raised(config.execute.layers, config.execute.run_without_kernel_layers)
    findings = Findings(load_specialists(config.specialists, root))
    with ProgramAgent(config.execute.limits, layers) as agent:
        trace = work(agent, first(question, program), findings.answer, findings, toolbox).record
    if isinstance(trace, Dropped):
        raise QuestionError(trace.outcome, trace.reason)
    if mode is Mode.answer:
        return trace.answer
    writer = load_writer(config.convert, config.llm)
    thought = write_thought(question, program.code, trace, config.convert, writer)
    if isinstance(thought, Dropped):
        raise QuestionError(thought.outcome, thought.reason)
    return thought.text
