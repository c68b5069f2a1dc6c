"""STAR (Wu et al., NeurIPS 2021): its own JSON, and the CSV in which other projects pass its questions on.

The JSON is a list of entries such as (shortened)

    {"question_id": "Interaction_T1_13", "video_id": "6H78U", "start": 11.1, "end": 19.6,
     "question": "Which object was tidied up by the person?", "answer": "The clothes.",
     "question_program": [{"function": "Actions", "value_input": []}, …],
     "choices": [{"choice_id": 0, "choice": "The blanket.", "choice_program": […]}, …],
     "situations": {"000198": {"actions": […], "bbox": [[x1, y1, x2, y2], …], "bbox_labels": ["o019", …], …}}}

Boxes are evidence only where the frame numbers of `situations` can be turned into seconds: STAR keeps frame
rates elsewhere; playroom, which writes the same shape, gives its own and the true spans (see
`aotd/datasets/playroom/annotation.py`). The CSV (as in IG-VLM) has the columns `video_name` (video, start and
end joined by `_`), `question`, `question_id`, `question_type`, `a0` … `a3`, `answer`, and neither programs
nor situations. The videos are `<dataset.root>/videos/<video_id>.mp4`, or `<dataset.root>/<video_id>.mp4`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from aotd.datasets.annotation_files import Entry, csv_rows, first_fault, given_file, json_list
from aotd.datasets.base import DatasetConfig, Loaded, locate
from aotd.errors import UserError
from aotd.records import Evidence, EvidenceBox, EvidenceSpan, Question, Step

_OBJECTS = (
    "person broom picture closet/cabinet blanket window table paper/notebook refrigerator pillow cup/glass/bottle "
    "shelf shoe medicine phone/camera box sandwich book bed clothes mirror sofa/couch floor bag dish laptop door "
    "towel food chair doorknob doorway groceries hands light vacuum television"
)
OBJECTS = tuple(_OBJECTS.split())
"""STAR's classes in the order of their codes, `o000` … `o036`."""

VERBS: dict[str, tuple[str, str]] = {
    "close": ("close", "closing"),
    "drink": ("drink from", "drinking from"),
    "eat": ("eat", "eating"),
    "grasp": ("grasp", "grasping"),
    "hold": ("hold", "holding"),
    "lie": ("lie on", "lying on"),
    "open": ("open", "opening"),
    "put": ("put down", "putting down"),
    "sit": ("sit on", "sitting on"),
    "stand": ("stand on", "standing on"),
    "take": ("take", "taking"),
    "throw": ("throw", "throwing"),
    "tidy": ("tidy up", "tidying up"),
    "turn": ("turn on", "turning on"),
    "walk": ("walk through", "walking through"),
    "wash": ("wash", "washing"),
    "watch": ("watch", "watching"),
}
"""STAR names a verb by its first word; this is the whole verb, and its -ing form."""


class _Call(Entry):
    function: str
    value_input: tuple[str, ...] = ()


class _Choice(Entry):
    choice: str


class _Situation(Entry):
    bbox: tuple[tuple[float, float, float, float], ...] = ()
    bbox_labels: tuple[str, ...] = ()


class _Playroom(Entry):
    fps: float = Field(gt=0)
    spans: list[tuple[float, float]]
    objects: list[str]


class _Entry(Entry):
    question_id: str
    video_id: str
    start: float = Field(ge=0)
    end: float
    question: str
    answer: str | None = None
    question_program: tuple[_Call, ...] = ()
    choices: tuple[_Choice, ...] = ()
    situations: dict[str, _Situation] = Field(default_factory=dict)
    playroom: _Playroom | None = None


def read(config: DatasetConfig) -> Loaded:
    """The questions of `config.questions`, whose name ends in `.json` or `.csv`.

    Raises:
        UserError: the file is not there, or an entry is malformed; names the file, the entry and what is wrong.
    """
    path = given_file("dataset.questions", config.questions, "STAR's JSON (STAR_val.json) or a CSV of it")
    if path.suffix not in (".json", ".csv"):
        raise UserError(f"{path}: a STAR file ends in .json or .csv")
    rows = _csv_rows(path) if path.suffix == ".csv" else _json_rows(path)
    questions: list[Question] = []
    seen: dict[str, str] = {}
    videos: dict[str, str] = {}
    for where, row in rows:
        try:
            entry = _Entry.model_validate(row)
            question = _question(entry, config, videos)
        except ValidationError as error:
            raise UserError(f"{where}: {first_fault(error)}") from None
        except ValueError as error:
            raise UserError(f"{where}: {error}") from None
        except UserError as error:
            raise UserError(f"{where}: {error}") from None
        if question.question_id in seen:
            raise UserError(
                f"{where}: question_id {question.question_id!r} stands at {seen[question.question_id]} too; "
                "ids must be unique in a file"
            )
        seen[question.question_id] = where
        if config.limit is None or list(videos).index(question.video_id) < config.limit:
            questions.append(question)
    return Loaded(questions, [])


def _json_rows(path: Path) -> Iterator[tuple[str, Any]]:
    for number, row in enumerate(json_list(path, "STAR's file"), start=1):
        name = f" ({row['question_id']})" if isinstance(row, dict) and "question_id" in row else ""
        yield f"{path}: entry {number}{name}", row


COLUMNS = ("video_name", "question", "question_id", "question_type", "a0", "a1", "a2", "a3", "answer")
VIDEO_NAME = re.compile(r"(?P<video>.+)_(?P<start>\d+(\.\d+)?)_(?P<end>\d+(\.\d+)?)")


def _csv_rows(path: Path) -> Iterator[tuple[str, Any]]:
    for where, row in csv_rows(path, COLUMNS, "a CSV of STAR"):
        yield where, _from_csv(where, row)


def _from_csv(where: str, row: dict[str, str]) -> dict[str, Any]:
    """A line of the CSV as an entry of the JSON."""
    name = VIDEO_NAME.fullmatch(row["video_name"])
    if name is None:
        raise UserError(f"{where}: video_name {row['video_name']!r} is not <video>_<start>_<end>")
    return {
        "question_id": row["question_id"],
        "video_id": name["video"],
        "start": float(name["start"]),
        "end": float(name["end"]),
        "question": row["question"],
        "answer": row["answer"] or None,
        "choices": [{"choice": row[f"a{number}"]} for number in range(4)],
    }


def _question(entry: _Entry, config: DatasetConfig, videos: dict[str, str]) -> Question:
    """An entry as a record; `videos` remembers where each video was found."""
    kind, _, number = entry.question_id.rpartition("_")
    if not kind or not number:
        raise ValueError(f"question_id {entry.question_id!r} is not <type>_<number>")
    if entry.end <= entry.start:
        raise ValueError(f"the part ends ({entry.end:g} s) before it starts ({entry.start:g} s)")
    if not entry.question.strip():
        raise ValueError("the question is empty")
    if entry.video_id not in videos:
        videos[entry.video_id] = _video(config.root, entry.video_id)
    return Question(
        question_id=entry.question_id,
        dataset="star",
        split=config.split,
        video_id=entry.video_id,
        video=videos[entry.video_id],
        start_s=entry.start,
        end_s=entry.end,
        question=entry.question,
        type=kind,
        options=tuple(choice.choice for choice in entry.choices),
        answer=entry.answer,
        steps=tuple(Step(function=call.function, inputs=call.value_input) for call in entry.question_program),
        evidence=_evidence(entry),
    )


def _video(root: str, video_id: str) -> str:
    """A video's file, relative to the root; where none is there, the name it should have."""
    if not video_id or "/" in video_id or "\\" in video_id or "\0" in video_id:
        raise ValueError(f"video_id {video_id!r} is no plain name")
    inner = f"videos/{video_id}.mp4"
    outer = f"{video_id}.mp4"
    locate(root, inner)
    return outer if locate(root, outer).is_file() and not locate(root, inner).is_file() else inner


def _evidence(entry: _Entry) -> Evidence | None:
    if entry.playroom is None:
        return None
    spans = tuple(EvidenceSpan(start_s=start, end_s=end) for start, end in entry.playroom.spans)
    boxes = []
    for frame, situation in entry.situations.items():
        if not (frame.isascii() and frame.isdigit()):
            raise ValueError(f"situations: {frame!r} is not a frame number")
        if len(situation.bbox) != len(situation.bbox_labels):
            raise ValueError(f"situations.{frame}: {len(situation.bbox)} boxes, {len(situation.bbox_labels)} labels")
        time = int(frame) / entry.playroom.fps
        if spans and not any(span.start_s <= time < span.end_s for span in spans):
            continue
        for code, box in zip(situation.bbox_labels, situation.bbox, strict=True):
            if code in entry.playroom.objects:
                boxes.append(EvidenceBox(label=_label(code), time_s=time, box=box))
    return Evidence(spans=spans, boxes=tuple(boxes))


def _label(code: str) -> str:
    number = code.removeprefix("o")
    if not (number.isascii() and number.isdigit() and int(number) < len(OBJECTS)):
        raise ValueError(f"situations: {code!r} is not one of STAR's classes o000 to o{len(OBJECTS) - 1:03d}")
    return OBJECTS[int(number)]
