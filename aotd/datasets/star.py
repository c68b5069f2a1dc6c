"""STAR (Wu et al., NeurIPS 2021): its own JSON, and the CSV in which other projects pass its questions on.

The JSON is a list of entries such as (shortened)

    {"question_id": "Interaction_T1_13", "video_id": "6H78U", "start": 11.1, "end": 19.6,
     "question": "Which object was tidied up by the person?", "answer": "The clothes.",
     "question_program": [{"function": "Actions", "value_input": []}, …],
     "choices": [{"choice_id": 0, "choice": "The blanket.", "choice_program": […]}, …],
     "situations": {"000198": {"actions": […], "bbox": [[x1, y1, x2, y2], …], "bbox_labels": ["o019", …], …}}}

Boxes are evidence only where the frame numbers of `situations` can be turned into seconds: STAR keeps frame
rates elsewhere; playroom, which writes the same shape, gives its own and the true spans (see
`aotd/datasets/playroom/annotation.py`). The JSON's fields are those that github.com/csbobby/STAR_Benchmark documents.
The CSV (github.com/imagegridworth/IG-VLM, data/multiple_choice_qa/STAR.csv) has neither programs nor situations:

    video_name,question,answer_number,question_id,question_type,a0,a1,a2,a3,answer
    6H78U_11.1_19.6,Which object was tidied up by the person?,2,Interaction_T1_13,Interaction_T1,The box.,…,The clothes.

Some pass on the parts alone, each cut from its video: `6H78U_11.1_19.6.mp4`. Where the video itself is not there, such
a file is the whole of what a question is about.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from aotd.datasets.base import Benchmark, DatasetConfig, LoadedQuestions, collection
from aotd.datasets.json_files import json_entries
from aotd.datasets.reader import AnnotationEntry, bad_part, csv_rows, first_fault, questions_file
from aotd.datasets.video_files import VideoIndex
from aotd.errors import UserError
from aotd.records import Evidence, EvidenceBox, EvidenceSpan, Question, Step

_OBJECTS = (
    "person broom picture closet/cabinet blanket window table paper/notebook refrigerator pillow cup/glass/bottle "
    "shelf shoe medicine phone/camera box sandwich book bed clothes mirror sofa/couch floor bag dish laptop door "
    "towel food chair doorknob doorway groceries hands light vacuum television"
)
OBJECTS = tuple(_OBJECTS.split())
"""STAR's classes in the order of their codes, `o000` … `o036`."""


@dataclass(frozen=True)
class StarVerb:
    """A verb of STAR, which names it by its first word, in the forms that texts use."""

    plain: str
    past: str
    doing: str


STAR_VERBS: dict[str, StarVerb] = {
    "close": StarVerb("close", "closed", "closing"),
    "drink": StarVerb("drink from", "drank from", "drinking from"),
    "eat": StarVerb("eat", "ate", "eating"),
    "grasp": StarVerb("grasp", "grasped", "grasping"),
    "hold": StarVerb("hold", "held", "holding"),
    "lie": StarVerb("lie on", "lay on", "lying on"),
    "open": StarVerb("open", "opened", "opening"),
    "put": StarVerb("put down", "put down", "putting down"),
    "sit": StarVerb("sit on", "sat on", "sitting on"),
    "stand": StarVerb("stand on", "stood on", "standing on"),
    "take": StarVerb("take", "took", "taking"),
    "throw": StarVerb("throw", "threw", "throwing"),
    "tidy": StarVerb("tidy up", "tidied up", "tidying up"),
    "turn": StarVerb("turn on", "turned on", "turning on"),
    "walk": StarVerb("walk through", "walked through", "walking through"),
    "wash": StarVerb("wash", "washed", "washing"),
    "watch": StarVerb("watch", "watched", "watching"),
}


@dataclass(frozen=True)
class StarSituation:
    """What annotators marked in one frame."""

    time_s: float
    """The moment, in seconds of the video file."""
    actions: tuple[str, ...]
    """What is being done, in the file's own words or codes, e.g. `open door`, `a097`."""
    boxes: tuple[EvidenceBox, ...]
    held: tuple[str, ...] = ()
    """Classes of things that somebody holds."""


HOLDING = "r009"
"""STAR's code of the relation."""


class StarCall(AnnotationEntry):
    function: str
    value_input: tuple[str, ...] = ()


class StarChoice(AnnotationEntry):
    choice: str


class StarFrame(AnnotationEntry):
    actions: tuple[str, ...] = ()
    rel_labels: tuple[str, ...] = ()
    rel_pairs: tuple[tuple[str, str], ...] = ()
    bbox: tuple[tuple[float, float, float, float], ...] = ()
    bbox_labels: tuple[str, ...] = ()


class StarPlayroom(AnnotationEntry):
    fps: float = Field(gt=0)
    spans: list[tuple[float, float]]
    objects: list[str]


class StarEntry(AnnotationEntry):
    question_id: str
    video_id: str
    start: float
    end: float
    question: str
    answer: str | None = None
    question_program: tuple[StarCall, ...] = ()
    choices: tuple[StarChoice, ...] = ()
    situations: dict[str, StarFrame] = Field(default_factory=dict)
    playroom: StarPlayroom | None = None


def read(config: DatasetConfig) -> LoadedQuestions:
    """The questions of `config.questions`: STAR's JSON, or a table whose name ends in `.csv` or `.tsv`.

    Raises:
        UserError: the file is not there, or an entry is malformed; names the file, the entry and what is wrong.
    """
    path = questions_file(config, "STAR's JSON (STAR_val.json) or a CSV of it")
    if not path.name.lower().endswith((*_JSON, *_TABLES)):
        raise UserError(f"{path}: a STAR file ends in .json or .csv")
    rows = _csv_rows(path) if path.name.lower().endswith(_TABLES) else _json_rows(path)
    questions: list[Question] = []
    places: dict[str, str] = {}
    seen: dict[str, None] = {}
    videos = VideoIndex(config.root)
    for where, row in rows:
        try:
            entry = StarEntry.model_validate(row)
            question = _question(entry, config, videos, where)
        except ValidationError as error:
            raise UserError(f"{where}: {first_fault(error)}") from None
        except ValueError as error:
            raise UserError(f"{where}: {error}") from None
        if question.question_id in places:
            raise UserError(
                f"{where}: question_id {question.question_id!r} stands at {places[question.question_id]} too; "
                "ids must be unique in a file"
            )
        places[question.question_id] = where
        if config.limit is None or question.video_id in seen or len(seen) < config.limit:
            seen[question.video_id] = None
            questions.append(question)
    return LoadedQuestions(questions, [], videos.notes)


def _json_rows(path: Path) -> Iterator[tuple[str, Any]]:
    for where, row in json_entries(path, "", "STAR's file"):
        name = f" ({row['question_id']})" if isinstance(row, dict) and "question_id" in row else ""
        yield f"{where}{name}", row


_JSON, _TABLES = (".json", ".json.gz", ".jsonl"), (".csv", ".tsv", ".csv.gz")
_FOLDERS = ("videos", "", "Charades_v1_480")
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


def _question(entry: StarEntry, config: DatasetConfig, videos: VideoIndex, where: str) -> Question:
    """An entry as a record."""
    kind, _, number = entry.question_id.rpartition("_")
    if not kind or not number:
        raise ValueError(f"question_id {entry.question_id!r} is not <type>_<number>")
    if (flaw := bad_part(entry.start, entry.end)) is not None:
        raise ValueError(flaw)
    if not entry.question.strip():
        raise ValueError("the question is empty")
    video, is_cut = _video(entry, videos, where)
    return Question(
        question_id=entry.question_id,
        dataset="star",
        split=config.split,
        video_id=entry.video_id,
        video=video,
        start_s=None if is_cut else entry.start,
        end_s=None if is_cut else entry.end,
        question=entry.question,
        type=kind,
        options=tuple(choice.choice for choice in entry.choices),
        answer=entry.answer,
        steps=tuple(Step(function=call.function, inputs=call.value_input) for call in entry.question_program),
        evidence=_evidence(entry),
    )


def _video(entry: StarEntry, videos: VideoIndex, where: str) -> tuple[str, bool]:
    """The file of an entry's video, relative to the root, and whether it holds the entry's part alone.

    Raises:
        ValueError: its name is none.
        UserError: as `VideoIndex.stem`.
    """
    name = entry.video_id
    if not name or "/" in name or "\\" in name or "\0" in name:
        raise ValueError(f"video_id {name!r} is no plain name")
    if (whole := videos.cut(where, name, folders=_FOLDERS)) is None:
        times = {(f"{entry.start:g}", f"{entry.end:g}"), (str(entry.start), str(entry.end))}
        cut = videos.cut(where, *sorted(f"{name}_{start}_{end}" for start, end in times))
        if cut is not None:
            return cut, True
    return whole or videos.stem(where, name, folders=_FOLDERS), False


def _evidence(entry: StarEntry) -> Evidence | None:
    if entry.playroom is None:
        return None
    spans = tuple(EvidenceSpan(start_s=start, end_s=end) for start, end in entry.playroom.spans)
    boxes = []
    for frame, situation in entry.situations.items():
        time = _frame(frame) / entry.playroom.fps
        if not spans or any(span.start_s <= time < span.end_s for span in spans):
            boxes += _boxes(frame, situation, time, entry.playroom.objects)
    return Evidence(spans=spans, boxes=tuple(boxes))


def situations(config: DatasetConfig, fps_of: Callable[[str], float | None]) -> dict[str, tuple[StarSituation, ...]]:
    """Question id -> everything that is marked for it, in order of time: STAR's ground truth.

    Args:
        fps_of: frame rate of a video file, relative to the root; asked where the file of questions does not say.
            A question whose rate it does not know has no situations.

    Raises:
        UserError: the file is not there or malformed, or is a CSV, which holds no situations.
    """
    path = questions_file(config, "STAR's JSON (STAR_val.json)")
    if not path.name.lower().endswith(_JSON):
        raise UserError(f"{path}: holds no situations, as only STAR's own JSON does (STAR_val.json)")
    by_question: dict[str, tuple[StarSituation, ...]] = {}
    rates: dict[str, float | None] = {}
    videos = VideoIndex(config.root)
    for where, row in _json_rows(path):
        try:
            entry = StarEntry.model_validate(row)
            video, is_cut = _video(entry, videos, where)
            if video not in rates:
                rates[video] = entry.playroom.fps if entry.playroom else fps_of(video)
            rate, marked = rates[video], []
            for frame, situation in entry.situations.items():
                if rate is None:
                    break
                time = _frame(frame) / rate - (entry.start if is_cut else 0.0)
                boxes = tuple(_boxes(frame, situation, time, None))
                marked.append(StarSituation(time, situation.actions, boxes, _held(situation)))
        except ValidationError as error:
            raise UserError(f"{where}: {first_fault(error)}") from None
        except ValueError as error:
            raise UserError(f"{where}: {error}") from None
        by_question[entry.question_id] = tuple(sorted(marked, key=lambda situation: situation.time_s))
    return by_question


def _held(situation: StarFrame) -> tuple[str, ...]:
    pairs = zip(situation.rel_labels, situation.rel_pairs, strict=False)
    return tuple(_label(thing) for relation, (_, thing) in pairs if relation == HOLDING)


def _frame(name: str) -> int:
    if not (name.isascii() and name.isdigit()):
        raise ValueError(f"situations: {name!r} is not a frame number")
    return int(name)


def _boxes(frame: str, situation: StarFrame, time: float, codes: Sequence[str] | None) -> list[EvidenceBox]:
    """The boxes of some classes, or of all."""
    if len(situation.bbox) != len(situation.bbox_labels):
        raise ValueError(f"situations.{frame}: {len(situation.bbox)} boxes, {len(situation.bbox_labels)} labels")
    return [
        EvidenceBox(label=_label(code), time_s=time, box=box)
        for code, box in zip(situation.bbox_labels, situation.bbox, strict=True)
        if codes is None or code in codes
    ]


def _label(code: str) -> str:
    number = code.removeprefix("o")
    if not (number.isascii() and number.isdigit() and int(number) < len(OBJECTS)):
        raise ValueError(f"situations: {code!r} is not one of STAR's classes o000 to o{len(OBJECTS) - 1:03d}")
    return OBJECTS[int(number)]


def _groups(kind: str) -> Sequence[str]:
    """STAR's four question types: `Interaction_T1` is one of the templates of Interaction."""
    stem, separator, _ = kind.partition("_T")
    return (stem,) if separator else ()


BENCHMARK = Benchmark(read=read, origin=collection("charades"), groups=_groups)
