"""What a STAR-like functional program asks, read off its steps without running them.

STAR ships each question with a program in postfix order over an annotated scene graph: every step
pushes its literal inputs, then takes its arguments from a stack (csbobby/STAR_Benchmark,
`code/program_executor/executor.py`). Here the stack holds descriptions instead of annotation, so the
outcome is what is asked for, not the answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum

from aotd.errors import QuestionError
from aotd.records import Outcome, Step

_WORD = re.compile(r"[A-Za-z][A-Za-z /_-]*")
"""What may stand in a program: a step's inputs end up inside string literals there."""


class Wanted(Enum):
    """What the last step of a program gives."""

    objects = "objects"
    verbs = "verbs"
    actions = "actions"
    count = "count"


@dataclass(frozen=True)
class Asked:
    """A set of actions (or of things) under description, and at the end what is asked of it."""

    things: bool = False
    """Things that are there rather than actions that happen."""
    verb: str | None = None
    obj: str | None = None
    relations: tuple[tuple[str | None, str | None], ...] = ()
    """(relation, object) pairs that hold meanwhile, e.g. `("holding", "towel")`."""
    after: Asked | None = None
    before: Asked | None = None
    pick: str | None = None
    """`first` or `last` of several in time."""
    other: bool = False
    """All but those that were named (`Except`)."""
    both: tuple[Asked, ...] = ()
    """The sets of which this is the union, where there are several."""
    wanted: Wanted | None = None


def read(steps: tuple[Step, ...]) -> Asked:
    """What a functional program asks.

    Raises:
        QuestionError: `program_invalid`, where there is no program or a step cannot be read.
    """
    if not steps:
        raise _invalid("the question has no functional program")
    stack: list[Asked | str] = []
    for step in steps:
        if not all(_WORD.fullmatch(word) for word in step.inputs):
            raise _invalid(f"an input of {step.function} is no name of a verb, a relation or a thing")
        stack += step.inputs
        if step.function not in FUNCTIONS:
            raise _invalid(f"no translation for the step {step.function}")
        kinds, function = FUNCTIONS[step.function]
        if len(stack) < len(kinds):
            raise _invalid(f"{step.function} wants {len(kinds)} inputs")
        arguments = stack[len(stack) - len(kinds) :]
        del stack[len(stack) - len(kinds) :]
        if not all(isinstance(argument, kind) for argument, kind in zip(arguments, kinds, strict=True)):
            raise _invalid(f"{step.function} was given {', '.join(type(item).__name__ for item in arguments)}")
        stack.append(function(*arguments))
    asked = stack[-1]
    if not isinstance(asked, Asked) or asked.wanted is None:
        raise _invalid("the functional program asks for nothing")
    return asked


def _with_relation(asked: Asked, relation: str) -> Asked:
    return replace(asked, relations=(*asked.relations, (relation, None)))


def _with_relation_to(asked: Asked, obj: str) -> Asked:
    """STAR names the relation first and its object in the next step."""
    if asked.relations and asked.relations[-1][1] is None:
        return replace(asked, relations=(*asked.relations[:-1], (asked.relations[-1][0], obj)))
    return replace(asked, relations=(*asked.relations, (None, obj)))


def _union(first: Asked, second: Asked) -> Asked:
    return Asked(both=(*(first.both or (first,)), *(second.both or (second,))))


FUNCTIONS: dict[str, tuple[tuple[type, ...], Callable[..., Asked]]] = {
    "Situations": ((), Asked),
    "Actions": ((Asked,), lambda asked: asked),
    "Objs": ((Asked,), lambda asked: replace(asked, things=True)),
    "Filter_Actions_with_Verb": ((Asked, str), lambda asked, verb: replace(asked, verb=verb)),
    "Filter_Actions_with_Obj": ((Asked, str), lambda asked, obj: replace(asked, obj=obj)),
    "Filter_After_Actions": ((Asked, Asked), lambda asked, act: replace(asked, after=act)),
    "Filter_Before_Actions": ((Asked, Asked), lambda asked, act: replace(asked, before=act)),
    "Filter_Situations_with_Rel": ((Asked, str), _with_relation),
    "Filter_Situations_with_Obj": ((Asked, str), _with_relation_to),
    "Filter_Objs_by_Verb": ((Asked, str), lambda asked, verb: replace(asked, verb=verb, things=True)),
    "Unique": ((Asked,), lambda asked: asked),
    "Union": ((Asked, Asked), _union),
    "Filter_Objs_with_Class": ((Asked, str), lambda asked, obj: replace(asked, obj=obj, things=True)),
    "Except": ((Asked, Asked), lambda asked, named: replace(asked, other=True, wanted=asked.wanted or named.wanted)),
    "Count": ((Asked,), lambda asked: replace(asked, wanted=Wanted.count)),
    "Query_Earliest_Action": ((Asked,), lambda asked: replace(asked, pick="first")),
    "Query_Latest_Action": ((Asked,), lambda asked: replace(asked, pick="last")),
    "Query_Objs": ((Asked,), lambda asked: replace(asked, wanted=Wanted.objects)),
    "Query_Verbs": ((Asked,), lambda asked: replace(asked, wanted=Wanted.verbs)),
    "Query_Actions": ((Asked,), lambda asked: replace(asked, wanted=Wanted.actions)),
}
"""Name of a step -> what it takes from the stack, and what it makes of that. `Filter_Objs_with_Class` and `Count`
are playroom's; the rest is STAR's."""


def _invalid(reason: str) -> QuestionError:
    return QuestionError(Outcome.program_invalid, reason)
