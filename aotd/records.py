"""The records that cross the disk, in the order in which they are made.

    Question -> Program -> Trace(Event(Finding)) -> Thought -> Verdict -> Prediction -> Scores (`aotd.scoring.tables`)

Each verb of the flow reads the record before it and writes its own, one JSON object per line; what
verbs share is a record and nothing else. A question that a verb cannot carry further is written as a
`Dropped` beside the records, so that every question ends in exactly one named `Outcome`.

Conventions, everywhere:

- **frame**: the number of one of the frames sampled uniformly from the question's part of the video,
  counted from 0. Trimming, filtering and cropping keep the number.
- **span**: half-open, `[start, end)`. In frames where the fields are integers, in seconds where a name
  ends in `_s`.
- **box**: `(x1, y1, x2, y2)` in pixels of the original, upright frame; `x2` and `y2` are exclusive.
"""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

SCHEMA = 1
"""Version of the records on disk; raised when a line written before can no longer be read."""

Box = tuple[float, float, float, float]


class Outcome(str, Enum):
    """Where a question's way through the run ended."""

    kept = "kept"
    """The thought passed every check and may be distilled."""
    program_invalid = "program_invalid"
    """No program could be had: the text is not a program, or uses what programs may not."""
    program_error = "program_error"
    """The program raised an exception while it ran."""
    program_timeout = "program_timeout"
    """The program was stopped at its time limit."""
    program_memory = "program_memory"
    """The program asked for more memory than its limit."""
    program_limit = "program_limit"
    """The program made more tool calls, or sent more text, than its limits."""
    tool_failed = "tool_failed"
    """A specialist crashed. Never written as "nothing found"."""
    model_refused = "model_refused"
    """A model has no room for the prompt, or its server refused it (a content filter). The reason has its words."""
    no_answer = "no_answer"
    """The program ended without an answer that can be read, or chose none of the options."""
    video_unreadable = "video_unreadable"
    """The video is missing, damaged, or not a video."""
    nothing_said = "nothing_said"
    """The model's reply was all reasoning: it thought up to its token limit, or ended inside its reasoning."""
    thought_cut = "thought_cut"
    """The writer's reply was empty, or cut off by its token limit, or longer than a chain of thought can be."""
    wrong_answer = "wrong_answer"
    """The program's answer is not the true one."""
    unfaithful = "unfaithful"
    """The thought states something the trace does not hold, or does not end in the true answer."""
    incoherent = "incoherent"
    """The thought is not a step-by-step way to the answer."""
    unlabelled = "unlabelled"
    """The question has no true answer, so its thought cannot be verified."""
    caption_unusable = "caption_unusable"
    """The caption is empty, far too long, or speaks to a model instead of telling what is seen."""
    instruction_form = "instruction_form"
    """The reply has not the form that was asked for: no JSON, a field too few, one question for a whole dialogue."""
    instruction_words = "instruction_words"
    """The instruction speaks of a text instead of a video, or to a model."""
    instruction_length = "instruction_length"
    """The instruction is too short or too long."""
    instruction_copied = "instruction_copied"
    """The instruction repeats a run of the caption's or the title's words."""
    instruction_unanswerable = "instruction_unanswerable"
    """A question asks for what its answer does not give, or the answer says that nobody knows."""
    instruction_ungrounded = "instruction_ungrounded"
    """The instruction holds a thing, an action, a number, a colour or a name that the caption does not hold."""
    instruction_simple = "instruction_simple"
    """No question of the instruction asks for reasons."""


class Record(BaseModel):
    """Base of every record: immutable; an unknown field is an error, and so is NaN, which JSON would lose."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    question_id: str
    """Id of the question, unique within a run."""


class Part(BaseModel):
    """Base of what stands inside a record."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


# ── load ──────────────────────────────────────────────────────────────────────────────────────────


class Step(Part):
    """One step of the functional program that STAR-like benchmarks ship with a question."""

    function: str
    """STAR's name for the operation, e.g. `Filter_Actions_with_Verb`."""
    inputs: tuple[str, ...] = ()
    """Its literal inputs, e.g. `("open",)`."""


class EvidenceSpan(Part):
    """A stretch of the video in which the answer can be seen."""

    start_s: float
    """Start, in seconds of the video file."""
    end_s: float
    """End (exclusive), in seconds of the video file."""


class EvidenceBox(Part):
    """Where an annotated thing is at one moment."""

    label: str
    """Its class, in the words of the benchmark."""
    time_s: float
    """The moment, in seconds of the video file."""
    box: Box
    """Its box, in pixels of the original frame."""


class Evidence(Part):
    """What annotators marked for a question. Seen by `evaluate` and `select` only, never by a specialist."""

    spans: tuple[EvidenceSpan, ...] = ()
    """The true spans; empty where none are annotated."""
    boxes: tuple[EvidenceBox, ...] = ()
    """The true boxes on annotated frames."""


class Question(Record):
    """One question about one video (`load`)."""

    dataset: str
    """The benchmark it comes from, e.g. `playroom`, `nextqa`."""
    split: str
    """`train`, `val` or `test`."""
    video_id: str
    """The benchmark's id of the video."""
    video: str | None = None
    """The video file, relative to the dataset's root; None where perception is stored text."""
    start_s: float | None = None
    """Start of the part of the video the question is about; None is the beginning."""
    end_s: float | None = None
    """End of that part (exclusive); None is the end of the video."""
    question: str
    """The question as asked. Untrusted text."""
    type: str
    """The benchmark's question type, e.g. `Interaction_T1`, `TN`."""
    options: tuple[str, ...] = ()
    """The options of a multiple-choice question; empty for an open-ended one."""
    answer: str | None = None
    """The true answer; for multiple choice, one of `options`. None where it is not known."""
    steps: tuple[Step, ...] = ()
    """The benchmark's functional program, where it ships one."""
    evidence: Evidence | None = None
    """Annotated spans and boxes, where there are any."""

    @model_validator(mode="after")
    def _answer_is_an_option(self) -> Question:
        if len(set(self.options)) != len(self.options):
            raise ValueError("two options are the same")
        if self.options and self.answer is not None and self.answer not in self.options:
            raise ValueError(f"the answer {self.answer!r} is not one of the options")
        if len(self.options) > 26:
            raise ValueError("more than 26 options")
        return self


# ── select ────────────────────────────────────────────────────────────────────────────────────────


class Measured(Record):
    """One candidate of a sub-task on one question (`select`)."""

    score: float
    """The sub-task's metric, in [0, 1] (paper, Table 1)."""
    recall: float | None = None
    """Temporal grounding: the share of the true spans that was covered."""
    failed: str | None = None
    """Why it could not answer, which scores 0; None where it did."""
    seconds: float
    """What the item took."""
    memory_mb: float
    """The most memory its process had taken until then, in MiB; a GPU's where there is one."""


class Ranking(Part):
    """One candidate of a sub-task over its items; the best of each sub-task stands first (`select`)."""

    subtask: str
    candidate: str
    metric: str
    score: Estimate
    recall: Estimate | None = None
    failed: int
    """Items on which it failed; they score 0."""
    seconds: float
    """Median of an item."""
    memory_mb: float


# ── decompose ─────────────────────────────────────────────────────────────────────────────────────


class Program(Record):
    """The Python program written for a question (`decompose`, step 2 of the paper)."""

    code: str
    """Source of `execute_command(video_clip, query, possible_answers)`; has passed the check."""
    author: str
    """Who wrote it: `annotated`, `fixed` or `llm`."""
    attempts: int
    """How many programs the author wrote until this one passed the check (1 = the first)."""
    others: tuple[str, ...] = ()
    """Further candidates that passed the check, tried in this order where `code` does not lead to the true answer."""


# ── execute ───────────────────────────────────────────────────────────────────────────────────────


class Detection(Part):
    """One box found by the detector."""

    frame: int
    """Frame number."""
    box: Box
    """In pixels of the original frame, also when the clip was cropped."""
    label: str
    """The words that were looked for."""
    score: float
    """Confidence in [0, 1]."""


class _Kinded(Part):
    """A part that is read back by its `kind`, which is therefore written even though it is a default."""

    @model_serializer(mode="wrap")
    def _with_kind(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {"kind": type(self).model_fields["kind"].default, **handler(self)}


class SpanFinding(_Kinded):
    """A temporal span, `[start, end)` in frames."""

    kind: Literal["span"] = "span"
    start: int
    end: int
    score: float | None = None
    """Confidence in [0, 1]; None where no specialist was asked (`trim`)."""


class BoxesFinding(_Kinded):
    """Boxes found on frames; none is a valid finding."""

    kind: Literal["boxes"] = "boxes"
    boxes: tuple[Detection, ...]


class ActionsFinding(_Kinded):
    """Names of actions, most likely first."""

    kind: Literal["actions"] = "actions"
    actions: tuple[str, ...]


class TextFinding(_Kinded):
    """Free text from a specialist, or an option that was chosen."""

    kind: Literal["text"] = "text"
    text: str


class CountFinding(_Kinded):
    """A number of things or of times."""

    kind: Literal["count"] = "count"
    count: int


class FlagFinding(_Kinded):
    """Yes or no."""

    kind: Literal["flag"] = "flag"
    flag: bool


Finding = Annotated[
    SpanFinding | BoxesFinding | ActionsFinding | TextFinding | CountFinding | FlagFinding,
    Field(discriminator="kind"),
]


class Event(Part):
    """One tool call, written by the parent process; a program cannot write or change one."""

    step: int
    """Position in the trace, from 0."""
    tool: str
    """Name of the tool as the program called it."""
    frames: tuple[int, ...]
    """Numbers of the frames the tool was given; empty for a tool that is given no clip."""
    query: str
    """What was asked: the object, the action, or the question."""
    info: tuple[tuple[str, str], ...] = ()
    """What a tool was told that draws a conclusion (`select_answer`), as (name, text)."""
    finding: Finding
    """What came back."""
    thought: str = ""
    """What the agent thought before the call; empty for a program."""
    arguments: dict[str, JsonValue] = {}
    """The arguments by name, clips in words; empty for a tool of the paper that a program called."""
    observation: str = ""
    """What came back, in the words of the tool's own declaration; empty where the finding says it."""

    @model_serializer(mode="wrap")
    def _without_empty(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Lines of runs from before these fields are written as they were."""
        return _left_out(handler(self), "thought", "arguments", "observation")


def _left_out(fields: dict[str, Any], *names: str) -> dict[str, Any]:
    """Fields without some of them, where they are empty."""
    return {name: value for name, value in fields.items() if value or name not in names}


class Trace(Record):
    """What a program saw and said (`execute`)."""

    frames: int
    """How many frames were sampled from the question's part of the video."""
    start_s: float
    """Start of that part, in seconds of the video file."""
    end_s: float
    """End of that part. Frame `i` stands for `[i, i + 1) * (end_s - start_s) / frames` after `start_s`."""
    width: int
    """Width of the original frames in pixels; 0 where perception is stored text."""
    height: int
    """Height of the original frames in pixels; 0 where perception is stored text."""
    events: tuple[Event, ...]
    """The tool calls, in order."""
    answer: str
    """What the program returned."""
    tries: int = 1
    """How many programs of the question were run, this one included."""
    code: str | None = None
    """The program that ran, where it is not `Program.code`: another candidate, or one that was mended."""
    agent: str = ""
    """The agent that made it; empty for the one that runs a program."""

    @model_serializer(mode="wrap")
    def _without_empty(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _left_out(handler(self), "agent")


# ── convert, verify ───────────────────────────────────────────────────────────────────────────────


class Thought(Record):
    """The trace as a chain of thought (`convert`, step 3 of the paper)."""

    text: str
    """The chain of thought. Spans are written "from frame A to frame B", both included; boxes
    "[x1, y1, x2, y2] in frame N", rounded to whole pixels."""
    answer: str
    """The program's answer, carried over from the trace."""
    writer: str
    """Who wrote it: `template` or `llm`."""


class Check(Part):
    """One check of a thought."""

    passed: bool
    reason: str
    """One line: why it failed, or what it rests on."""


class Verdict(Record):
    """Whether a thought is kept, and each check by itself (`verify`)."""

    outcome: Outcome
    """`kept`, or the first check that failed."""
    answer: Check
    """(1) The program's answer is the true one (paper §3.3 i)."""
    faithful: Check
    """(2) Every box, frame, span and count in the text stands in the trace; it ends in the true answer."""
    coherent: Check
    """(3) It goes step by step and helps to answer (paper §3.3 ii)."""


class Dropped(Record):
    """A question that a verb could not carry further."""

    outcome: Outcome
    reason: str
    """One line: what happened."""


# ── instruct ──────────────────────────────────────────────────────────────────────────────────────


class InstructionKind(str, Enum):
    """What a dialogue about a video is for (Valley, section 3)."""

    detail = "detail"
    """A description of all of it."""
    conversation = "conversation"
    """Several questions, of which at least one asks for reasons."""
    reasoning = "reasoning"
    """One question that asks for more than what is seen."""
    other = "other"
    """A file of somebody else's does not say."""


class DialogueTurn(Part):
    """A question about a video and its answer."""

    question: str
    answer: str


class Instruction(Record):
    """A dialogue about a video, to train on (`instruct`). `question_id` is the dialogue's id."""

    kind: InstructionKind
    source: str
    """Where the video is from, e.g. `playroom`."""
    video_id: str
    video: str
    """The video file, relative to the folder of the videos."""
    turns: tuple[DialogueTurn, ...]
    author: str
    """Who wrote it: `template` or `llm`; empty where a file does not say."""


# ── what it costs ─────────────────────────────────────────────────────────────────────────────────


class Cost(Record):
    """What a question took at one verb, measured. It stands beside the records (`costs.jsonl`): it decides none of
    them, and no two runs measure the same."""

    seconds: float
    """Wall time without the loading of models; of what was done for several questions together, an equal share."""
    batch: int = 1
    """Over how many questions, or calls, the time was shared out at most."""
    llm_calls: int = 0
    """Replies that a language model, or a student, was really asked for."""
    prompt_tokens: int | None = 0
    """Of those calls, a student's video included; None where a server does not tell."""
    reply_tokens: int | None = 0
    tool_calls: int = 0
    """Tool calls of its programs, those that failed included."""
    specialist_calls: int = 0
    """Those of them for which a specialist was asked: `trim` and `Compare` ask none."""
    reused: int = 0
    """Things it was given that somebody else has paid for: a reply from `llm.record` or the cache, a finding of the
    cache or of another program, a program written for another question of the same text, a student's view of a video
    that does not say what it took."""
    memory_mb: float | None = None
    """The most memory of a GPU that the process held meanwhile, weights included, in MiB; None without a GPU."""
    machine: str = ""
    """What tells the machine from others; empty where several had a part in it."""


# ── distill, evaluate ─────────────────────────────────────────────────────────────────────────────


class Mode(str, Enum):
    """Which suffix prompt a student is given (paper appendix D.4)."""

    answer = "answer"
    rationale = "rationale"


class Example(Record):
    """One question as a student is trained on it (`distill`)."""

    prompt: str
    """Question and options, without a suffix."""
    answer: str
    """Target behind the answer suffix: the answer's words; for multiple choice a letter, or what `student.choice_reply`
    says."""
    rationale: str | None
    """Target behind the rationale suffix; None where no thought was kept, and then it has no loss term."""


class Prediction(Record):
    """What one arm said to one held-out question (`evaluate`)."""

    arm: str
    """A student's arm (`instruct`, `aotd`, …), `agent`, or a baseline without video."""
    mode: Mode
    text: str
    """The reply, without what the model reasoned aloud before it; of a student that replies in words
    (`student.choice_reply`), the option that it finds likeliest."""
    parsed: str | None
    """The option or words read from it, under the strict reading; None where none can be read (counted as wrong)."""
    rule: str | None = None
    """Multiple choice: by what the reply names an option, or why it names none (`aotd.scoring.answers.Rule`)."""
    correct: bool | None
    """None where the true answer is not known."""
    letter_correct: bool | None = None
    """Whether the letter is right that a student which replies in words gave beside, read strictly; None where it was
    not asked for one, or the true answer is not known."""
    temporal_iou: float | None = None
    """IoU of the span in the text with the true spans; None where the text has none or none is annotated."""
    temporal_recall: float | None = None
    """Share of the true spans that the text's span covers."""
    moment_iou: float | None = None
    """IoU of the span in the text with the true span that fits it best, as NExT-GQA counts it."""
    moment_iop: float | None = None
    """Share of the text's span that lies in the true span that fits it best (NExT-GQA's IoP)."""
    spatial_iou: float | None = None
    """Mean IoU of the boxes in the text with the true boxes of that label nearest in time."""


class Estimate(Part):
    """A mean with its 95 % interval."""

    mean: float
    low: float
    high: float
    n: int
    """How many questions it rests on."""


class Judgement(Record):
    """What a judge said of one arm's answer to an open-ended question, in one respect (`evaluate`)."""

    correct: bool | None = None
    """The verdict; None where none is asked for (every respect but `answer`), or the reply cannot be read."""
    score: int | None = None
    """0 to 5; None where the reply cannot be read."""
    text: str = ""
    """The judge's reply, or why it said nothing; empty where the arm had said nothing and no judge was asked."""
    tries: int = 0
    """How often the judge was asked until then; 0 where it was not."""
