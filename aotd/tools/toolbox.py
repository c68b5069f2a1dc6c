"""What a tool is, and a set of tools as a value.

    @tool(ToolKind.frames, TextFinding, subtask="answering")
    def Read_sign(context: ToolContext, clip: Clip, query: str) -> str:
        \"\"\"Read the words on a sign in a clip.\"\"\"
        return context.specialists().answering.answer(clip, f"What stands on the {query}?")

    tools = VIDEO_TOOLS.with_tool(Read_sign)

A tool is a typed function with a docstring. Its declaration decides everything else: the prompt shows its signature and
docstring (`Toolbox.prompt_text`), the sandbox checks its name, and a `ToolSession` runs it in the parent and writes its
event. The declaration also holds the words in which its findings are told (`aotd.view.finding_text`).
"""

from __future__ import annotations

import functools
import importlib
import inspect
import math
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from aotd.errors import UserError
from aotd.records import (
    ActionsFinding,
    BoxesFinding,
    CountFinding,
    Detection,
    Event,
    Finding,
    FlagFinding,
    TextFinding,
)
from aotd.specialists.protocols import Specialists
from aotd.video.clip import Clip


class ToolError(Exception):
    """A tool was called wrongly. The program sees this as an exception and may end in it."""


class ToolKind(str, Enum):
    """What a tool's findings rest on."""

    frames = "frames"
    """It looks at the frames of a clip. Called without a frame, it is a step that led nowhere."""
    knowledge = "knowledge"
    """It looks something up that is no frame: a memory, a database."""
    reasoning = "reasoning"
    """It draws a conclusion from what other tools have found."""


@dataclass(frozen=True)
class Tool:
    """One tool, as declared by `tool`."""

    function: Callable[..., Any]
    """Takes a `ToolContext`, then what a program gives it."""
    kind: ToolKind
    finding: type[Any]
    """Class of its findings."""
    subtask: str = ""
    """The specialists' sub-task that it asks; empty where it asks none."""
    label: str = ""
    """What it was asked, in a list of findings; `{query}` stands for the query. Empty: by the kind of its finding."""
    sentence: str = ""
    """A call as a sentence of a chain of thought, with `{query}`, `{finding}` and `{info}`. Empty: by the kind of its
    finding. A call without info has no sentence where this names `{info}`."""
    sentences: Mapping[str, str] = field(default_factory=dict)
    """Words of a finding -> another sentence, for those that read badly in `sentence`."""
    spelled_out: bool = True
    """Whether its events hold its arguments, and its sentence as their observation, so that a reader who does not know
    the tool can tell what it did. The paper's twelve tools are known to every reader."""

    @property
    def name(self) -> str:
        """As programs call it."""
        return self.function.__name__

    @property
    def module(self) -> str:
        """Where a process can import it from."""
        return self.function.__module__

    @functools.cached_property
    def signature(self) -> inspect.Signature:
        """As a program sees it."""
        signature = inspect.signature(self.function)
        return signature.replace(parameters=list(signature.parameters.values())[1:])

    def prompt_text(self) -> str:
        """Signature and docstring as Python source."""
        body = textwrap.indent(inspect.getdoc(self.function) or "", "    ").strip()
        taken = ", ".join(_parameter(parameter) for parameter in self.signature.parameters.values())
        return f'def {self.name}({taken}) -> {_type(self.signature.return_annotation)}:\n    """{body}\n    """'

    def __reduce__(self) -> tuple[Callable[[str, str], Tool], tuple[str, str]]:
        """Another process imports a tool by its name."""
        return _imported, (self.module, self.name)


def tool(kind: ToolKind, finding: type[Any], **declared: Any) -> Callable[[Callable[..., Any]], Tool]:
    """Declare a function to be a tool.

    Its first argument is a `ToolContext`; the others are typed, and are what a program gives it. What it returns is
    what the program gets, and becomes the finding. Where it is not the finding itself, the function says what was found
    (`ToolContext.found`).

    Args:
        declared: the other fields of `Tool`.
    """

    def declare(function: Callable[..., Any]) -> Tool:
        assert inspect.getdoc(function), f"{function.__name__} has no docstring"
        return Tool(function, kind, finding, **declared)

    return declare


def _imported(module: str, name: str) -> Tool:
    found = getattr(importlib.import_module(module), name)
    assert isinstance(found, Tool)
    return found


@dataclass(frozen=True)
class Toolbox:
    """Tools in the order in which a prompt shows them."""

    tools: tuple[Tool, ...]
    left_out: frozenset[str] = frozenset()
    """Names of tools that were taken out. A program may not give them to anything else."""

    @functools.cached_property
    def by_name(self) -> Mapping[str, Tool]:
        """Name -> tool."""
        return {tool.name: tool for tool in self.tools}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the tools, in order."""
        return tuple(self.by_name)

    @property
    def reserved(self) -> frozenset[str]:
        """Names that a program may not give to anything else."""
        return frozenset(self.names) | self.left_out

    def without(self, names: Iterable[str]) -> Toolbox:
        """This toolbox without some tools; a name that it does not hold is passed over."""
        out = frozenset(names) & frozenset(self.names)
        left = tuple(tool for tool in self.tools if tool.name not in out)
        return replace(self, tools=left, left_out=self.left_out | out)

    def with_tool(self, added: Tool) -> Toolbox:
        """This toolbox with one more tool.

        Raises:
            UserError: it has a tool of that name.
        """
        if added.name in self.reserved:
            raise UserError(f"there is a tool {added.name} already; give that of {added.module} another name")
        return replace(self, tools=(*self.tools, added))

    def prompt_text(self) -> str:
        """The tools' signatures and docstrings as Python source, for prompts."""
        return "\n\n".join(tool.prompt_text() for tool in self.tools)


class ToolContext:
    """What a tool is given besides its arguments."""

    def __init__(self, tool: Tool, specialists: Specialists) -> None:
        self._tool, self._specialists = tool, specialists
        self.asked = 0
        """How often it has asked a specialist, also where that failed."""
        self.parts: dict[str, Any] = {}
        """What it has said of its event (`found`)."""

    def specialists(self) -> Specialists:
        """The specialists, for one question to the one that the tool declares."""
        assert self._tool.subtask, f"{self._tool.name} declares no sub-task of the specialists"
        self.asked += 1
        return self._specialists

    def found(
        self,
        finding: Finding,
        *,
        frames: tuple[int, ...] | None = None,
        query: str | None = None,
        info: tuple[tuple[str, str], ...] = (),
    ) -> None:
        """Say what was found, where that is not what the program gets.

        Args:
            frames: numbers of the frames that were looked at; by default those of the first clip.
            query: what was looked for; by default the first argument that is text.
            info: what the tool was told, as (name, text).
        """
        said = {"finding": finding, "frames": frames, "query": query, "info": info}
        self.parts = {name: part for name, part in said.items() if part is not None}


class ToolSession:
    """The tools of a toolbox for one question. It writes the trace, so that a program can leave nothing out of it."""

    def __init__(self, toolbox: Toolbox, specialists: Specialists) -> None:
        self.toolbox = toolbox
        self._specialists = specialists
        self.clear()

    def clear(self) -> None:
        """Begin again."""
        self.events: tuple[Event, ...] = ()
        """What the tools have found so far."""
        self.calls = 0
        """Tool calls, those that failed included."""
        self.specialist_calls = 0
        """Questions to specialists, those that failed included."""

    def call(self, name: str, arguments: Sequence[Any], keywords: Mapping[str, Any]) -> Any:
        """Call a tool; its event becomes part of the trace.

        Returns:
            What the program gets. Clips are real ones here.

        Raises:
            ToolError: no such tool, or wrong arguments.
            QuestionError: the tool ends the question.
        """
        self.calls += 1
        called = self.toolbox.by_name.get(name)
        if called is None:
            raise ToolError(f"there is no tool {name}")
        try:
            bound = called.signature.bind(*arguments, **keywords)
        except TypeError as error:
            raise ToolError(f"{name}: {error}") from None
        bound.apply_defaults()
        context = ToolContext(called, self._specialists)
        try:
            value = called.function(context, *arguments, **keywords)
        finally:
            self.specialist_calls += context.asked
        self.events = (*self.events, self._event(called, bound.arguments, value, context.parts))
        return value

    def _event(self, called: Tool, given: Mapping[str, Any], value: Any, parts: Mapping[str, Any]) -> Event:
        finding = parts["finding"] if "finding" in parts else _OF_VALUE[called.finding](value)
        assert isinstance(finding, called.finding), f"{called.name} found what it does not declare"
        clips = [item for item in given.values() if isinstance(item, Clip)]
        event = {
            "step": len(self.events),
            "tool": called.name,
            "frames": clips[0].numbers if clips else (),
            "query": next((item for item in given.values() if isinstance(item, str)), ""),
            "finding": finding,
            "arguments": {name: _json(item, called.kind) for name, item in given.items()} if called.spelled_out else {},
        }
        return Event(**event | dict(parts))


_OF_VALUE: Mapping[type[Any], Callable[[Any], Finding]] = {
    BoxesFinding: lambda value: BoxesFinding(boxes=tuple(value)),
    ActionsFinding: lambda value: ActionsFinding(actions=tuple(value)),
    TextFinding: lambda value: TextFinding(text=value),
    CountFinding: lambda value: CountFinding(count=value),
    FlagFinding: lambda value: FlagFinding(flag=value),
}
"""Class of a finding -> how it is made of what a tool returns. A tool with other findings calls `ToolContext.found`."""


def in_words(value: object) -> str:
    """A value that a program gives a tool, as words for a specialist or a reader."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Clip):
        return f"frames {value.numbers[0]} to {value.numbers[-1]}" if value.numbers else "no frames"
    if isinstance(value, Detection):
        return f"{value.label} in frame {value.frame}"
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {in_words(item)}" for name, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(in_words(item) for item in value) or "nothing"
    return "nothing" if value is None else str(value)


def _json(value: object, kind: ToolKind) -> Any:
    """An argument as JSON holds it; a box in words. A clip whose frames are looked at is `{"frames": [start, end]}`."""
    if isinstance(value, Clip) and kind is ToolKind.frames:
        return {"frames": [value.numbers[0], value.numbers[-1] + 1] if value.numbers else []}
    if isinstance(value, Mapping):
        return {str(name): _json(item, kind) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json(item, kind) for item in value]
    plain = value is None or isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value))
    return value if plain else in_words(value)


def _parameter(parameter: inspect.Parameter) -> str:
    default = "" if parameter.default is inspect.Parameter.empty else f" = {parameter.default!r}"
    return f"{parameter.name}: {_type(parameter.annotation)}{default}"


def _type(annotation: object) -> str:
    """A type in the words that a program's author knows."""
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    for ours, theirs in (("Sequence", "list"), ("Mapping[str, object]", "dict"), ("Detection", "Box")):
        text = text.replace(ours, theirs)
    return text
