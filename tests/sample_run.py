"""A run folder made by hand: eight questions, one for each way through the flow, and two arms' answers."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from aotd.records import (
    BoxesFinding,
    Check,
    Detection,
    Dropped,
    Estimate,
    Event,
    Evidence,
    EvidenceBox,
    EvidenceSpan,
    Mode,
    Outcome,
    Prediction,
    Program,
    Question,
    Record,
    SpanFinding,
    TextFinding,
    Thought,
    Trace,
    Verdict,
)
from aotd.scoring.tables import CostSummary, Scores, Speedup
from aotd.store.stage import Stage

CODE = """def execute_command(video_clip, query, possible_answers):
    opening = Filter_frames_with_act(video_clip, "person opening the door")
    boxes = Query_Objs(opening, "door")
    return select_answer(query, {"door": boxes}, possible_answers)
"""
PASSED = Check(passed=True, reason="as it should be")


def question(
    key: str, split: str = "train", kind: str = "Interaction_T1", words: str = "Which was opened?"
) -> Question:
    return Question(
        question_id=key,
        dataset="playroom",
        split=split,
        video_id=f"v_{key}",
        video=f"{key}.mp4",
        question=words,
        type=kind,
        options=("The door.", "The book."),
        answer="The door.",
        evidence=Evidence(
            spans=(EvidenceSpan(start_s=1.0, end_s=2.0),),
            boxes=(EvidenceBox(label="door", time_s=1.1, box=(10, 10, 50, 90)),),
        ),
    )


def program(key: str) -> Program:
    return Program(question_id=key, code=CODE, author="annotated", attempts=1)


def trace(key: str, boxes: int = 3) -> Trace:
    found = tuple(
        Detection(frame=8 + n % 8, box=(10.0 + n, 10, 50.0 + n, 90), label="door", score=0.9) for n in range(boxes)
    )
    events = (
        Event(
            step=0,
            tool="Filter_frames_with_act",
            frames=tuple(range(32)),
            query="person opening the door",
            finding=SpanFinding(start=8, end=16, score=0.8),
        ),
        Event(step=1, tool="Query_Objs", frames=tuple(range(8, 16)), query="door", finding=BoxesFinding(boxes=found)),
        Event(
            step=2,
            tool="select_answer",
            frames=(),
            query="Which was opened?",
            info=(("door", "door in frame 8"),),
            finding=TextFinding(text="The door."),
        ),
    )
    return Trace(
        question_id=key, frames=32, start_s=0.0, end_s=4.0, width=160, height=120, events=events, answer="The door."
    )


def thought(key: str) -> Thought:
    text = "The door is opened from frame 8 to frame 15. [10, 10, 50, 90] in frame 8 shows it. So: The door."
    return Thought(question_id=key, text=text, answer="The door.", writer="template")


def verdict(key: str, outcome: Outcome = Outcome.kept) -> Verdict:
    failed = Check(passed=False, reason=f"not so: {outcome.value}")
    return Verdict(
        question_id=key,
        outcome=outcome,
        answer=failed if outcome is Outcome.wrong_answer else PASSED,
        faithful=failed if outcome is Outcome.unfaithful else PASSED,
        coherent=failed if outcome is Outcome.incoherent else PASSED,
    )


def drop(key: str, outcome: Outcome, reason: str = "this is why") -> Dropped:
    return Dropped(question_id=key, outcome=outcome, reason=reason)


def write(run: Path, name: str, record: type[Record], lines: Iterable[Record]) -> None:
    """Write a stage's lines; one stage may be written in several calls."""
    with Stage(run, name, record).open({"settings": "of a test"}) as writer:
        for line in lines:
            writer.write(line)


def sample_run(run: Path, questions: list[Question] | None = None) -> Path:
    """`a`, `t` are kept; `b`…`f` end in five other ways, each at its own verb; `g` is still to be converted."""
    asked = questions or [*(question(key) for key in "abcdefg"), question("t", "test", "Sequence_T2")]
    write(run, "load", Question, asked)
    write(run, "decompose", Program, [program(k) for k in "acdefgt"])
    write(run, "decompose", Program, [drop("b", Outcome.program_invalid, "line 3: unknown name Fnd")])
    write(run, "execute", Trace, [trace(k) for k in "adefgt"])
    write(run, "execute", Trace, [drop("c", Outcome.program_timeout, "stopped after 10 s")])
    write(run, "convert", Thought, [thought(k) for k in "aeft"])
    write(run, "convert", Thought, [drop("d", Outcome.thought_cut, "cut at 512 tokens")])
    write(run, "verify", Verdict, [verdict(k) for k in "at"])
    write(run, "verify", Verdict, [verdict("e", Outcome.wrong_answer), verdict("f", Outcome.unfaithful)])
    return run


def evaluated(run: Path, key: str = "t") -> Path:
    """Three arms' answers to one held-out question: `aotd` grounds its reasons, `instruct` cannot, `blind` has none."""
    for arm, right in (("blind", False), ("instruct", True), ("aotd", True)):
        parsed = "The door." if right else "The book."
        said = Prediction(
            question_id=key, arm=arm, mode=Mode.answer, text="A" if right else "B", parsed=parsed, correct=right
        )
        write(run, f"evaluate/{arm}/answer", Prediction, [said])
        if arm != "blind":
            text = f"{arm} sees it from frame 8 to frame 15. So the answer is The door."
            grounded = {"temporal_iou": 0.8, "temporal_recall": 1.0, "spatial_iou": 0.6} if arm == "aotd" else {}
            reasons = said.model_copy(update={"mode": Mode.rationale, "text": text, **grounded})
            write(run, f"evaluate/{arm}/rationale", Prediction, [reasons])
        (run / "evaluate" / arm / "scores.json").write_text(arm_scores(arm, right).model_dump_json())
    return run


def spent() -> CostSummary:
    """Of a student that answers in 0.021 s where the agent takes 0.35 s; tokens were not counted."""
    times = Estimate(mean=0.35 / 0.021, low=15.1, high=18.4, n=1)
    return CostSummary(
        seconds=Estimate(mean=0.021, low=0.02, high=0.022, n=1),
        batch=64,
        llm_calls=1.0,
        prompt_tokens=1187.0,
        reply_tokens=None,
        tool_calls=0.0,
        specialist_calls=0.0,
        reused=0.0,
        memory_mb=None,
        faster=Speedup(
            seconds=0.021, agent_seconds=0.35, times=times, batch=64, reused=0.0, agent_reused=0.25, same_machine=True
        ),
    )


def arm_scores(arm: str, right: bool) -> Scores:
    accuracy = Estimate(mean=float(right), low=0.2, high=1.0, n=1)
    grounds = Estimate(mean=0.8, low=0.7, high=0.9, n=1) if arm == "aotd" else None
    return Scores(
        arm=arm,
        chance=0.5,
        multiple_choice=accuracy,
        open_ended=None,
        by_type={"Sequence_T2": accuracy},
        rationale_accuracy=None if arm == "blind" else accuracy,
        temporal_iou=grounds,
        temporal_recall=grounds,
        spatial_iou=grounds,
        rationales=0 if arm == "blind" else 1,
        rationales_with_span=int(arm == "aotd"),
        rationales_with_box=int(arm == "aotd"),
        choice_strict=accuracy,
        choice_lenient=accuracy,
        unparsed_strict=3,
        unparsed_lenient=1,
        cost={Mode.answer: spent()} if arm == "aotd" else None,
    )
