"""The table of sub-tasks: what a specialist of each can be asked, how `select` measures it, and who there is.

    SUBTASKS["detection"].methods["detect"].finding

A new sub-task is one row, a part of the settings under the same name, and its specialists. A new specialist is one
entry in its sub-task's builders (`register` adds one from outside). Builders are named here, and imported when they
are used. No name of code ever comes from settings: those only choose among the names in this table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from pydantic import TypeAdapter

from aotd.records import Detection, SpanFinding

Named = str | Callable[..., Any]
"""A class or function of ours, as `module:name`, or one that is at hand."""


@dataclass(frozen=True)
class Method:
    """One method of a sub-task's protocol (`aotd.specialists.protocols`)."""

    arguments: TypeAdapter[Any]
    """The arguments behind the clip, a tuple."""
    finding: TypeAdapter[Any]
    """The result."""
    takes_clip: bool = True
    """Whether its first argument is a clip."""


@dataclass(frozen=True)
class Builder:
    """How a specialist is built.

    The builder is called with those of these arguments that its signature names:

    - `config`: the settings of the sub-task (`specialists.<sub-task>`);
    - `setting`: their dotted name, for errors;
    - `settings`: the settings of all specialists;
    - `models`: the cache of models that all specialists share (`aotd.models.model_cache.ModelCache`).
    """

    build: Named
    weights: bool = True
    """Whether it reads the checkpoint that the setting `model` names."""
    hosted: bool = False
    """Whether another program's server holds its model, which is known by a bare name only."""


@dataclass(frozen=True)
class SubTask:
    """One row of the table."""

    name: str
    """Its part of the settings is `specialists.<name>`."""
    methods: Mapping[str, Method]
    metric: str
    """Name of the score by which `select` ranks."""
    items: Named
    """Draws the items that `select` asks: (questions, ground truth, random numbers) -> items."""
    score: Named
    """Scores a specialist on one item: (item, specialist, video) -> score, and recall or None."""
    builders: dict[str, Builder] = field(default_factory=dict)
    """Name in the settings -> builder."""


_CAPTIONS = Builder("aotd.specialists.captions:captions_specialist", weights=False)
_MOCK = Builder("aotd.specialists.mock:mock_specialist", weights=False)
_TRIVIAL = Builder("aotd.specialists.trivial:Trivial", weights=False)
_VIDEO_LLM = Builder("aotd.specialists.video_llm:VideoLLMSpecialist")
_SERVER = Builder("aotd.specialists.video_server:VideoServer", hosted=True)

_VIDEO_LLMS = {
    "llava_next_video": _VIDEO_LLM,
    "llava_onevision": _VIDEO_LLM,
    "video_llava": _VIDEO_LLM,
    "qwen_vl": _VIDEO_LLM,
    "server": _SERVER,
}

_TABLE = (
    SubTask(
        "detection",
        methods={"detect": Method(TypeAdapter(tuple[str]), TypeAdapter(list[Detection]))},
        metric="IoU",
        items="aotd.select.items:detection_items",
        score="aotd.select.measure:score_detection",
        builders={
            "playroom": Builder("aotd.specialists.playroom.detection:PlayroomDetector", weights=False),
            "captions": _CAPTIONS,
            "mock": _MOCK,
            "trivial": _TRIVIAL,
            "owlv2": Builder("aotd.specialists.owl:OWLv2"),
            "owlvit": Builder("aotd.specialists.owl:OWLViT"),
            "grounding_dino": Builder("aotd.specialists.grounding_dino:GroundingDino"),
        },
    ),
    SubTask(
        "grounding",
        methods={"ground": Method(TypeAdapter(tuple[str]), TypeAdapter(SpanFinding | None))},
        metric="IoU",
        items="aotd.select.items:grounding_items",
        score="aotd.select.measure:score_grounding",
        builders={
            "playroom": Builder("aotd.specialists.playroom.grounding:PlayroomGrounder", weights=False),
            "captions": _CAPTIONS,
            "mock": _MOCK,
            "trivial": _TRIVIAL,
            "univtg": Builder("aotd.specialists.univtg:load_univtg"),
            "similarity": Builder("aotd.specialists.similarity:SimilarityGrounder"),
        },
    ),
    SubTask(
        "action",
        methods={"actions": Method(TypeAdapter(tuple[str | None, tuple[str, ...]]), TypeAdapter(list[str]))},
        metric="top-1",
        items="aotd.select.items:action_items",
        score="aotd.select.measure:score_action",
        builders={
            "playroom": Builder("aotd.specialists.playroom.action:PlayroomRecogniser", weights=False),
            "captions": _CAPTIONS,
            "mock": _MOCK,
            "trivial": _TRIVIAL,
            "xclip": Builder("aotd.specialists.xclip:XCLIPRecogniser"),
            **_VIDEO_LLMS,
        },
    ),
    SubTask(
        "answering",
        methods={
            "answer": Method(TypeAdapter(tuple[str]), TypeAdapter(str)),
            "summarise": Method(TypeAdapter(tuple[str]), TypeAdapter(str)),
            "choose": Method(
                TypeAdapter(tuple[str, dict[str, str], tuple[str, ...]]), TypeAdapter(str | None), takes_clip=False
            ),
        },
        metric="accuracy",
        items="aotd.select.items:answering_items",
        score="aotd.select.measure:score_answering",
        builders={
            "playroom": Builder("aotd.specialists.playroom.answering:PlayroomAnswerer", weights=False),
            "captions": _CAPTIONS,
            "mock": _MOCK,
            "trivial": _TRIVIAL,
            **_VIDEO_LLMS,
        },
    ),
)

SUBTASKS: dict[str, SubTask] = {subtask.name: subtask for subtask in _TABLE}
"""Name -> sub-task."""


def register(subtask: str, name: str, build: Callable[..., Any], weights: bool = False) -> None:
    """Add a specialist of your own, to be chosen as `specialists.<subtask>.name=<name>`.

    Call it at the top of the script that starts a verb: the verb's worker processes import that script again.

    Args:
        build: its class, or a function that returns one; called as `Builder` says.
        weights: whether it reads the checkpoint that `specialists.<subtask>.model` names.
    """
    SUBTASKS[subtask].builders[name] = Builder(build, weights)


def resolve(named: Named) -> Any:
    """Import what the table names."""
    if not isinstance(named, str):
        return named
    module, _, name = named.partition(":")
    return getattr(import_module(module), name)
