"""What a STAR-like functional program asks: its steps are read, and not run.

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


class FunctionalTarget(Enum):
    """What the last step of a program gives."""

    objects = "objects"
    verbs = "verbs"
    actions = "actions"
    count = "count"


@dataclass(frozen=True)
class FunctionalQuery:
    """A description of a set of actions (or of things), and at the end what is asked of it."""

    things: bool = False
    """Things that are there rather than actions that happen."""
    verb: str | None = None
    obj: str | None = None
    relations: tuple[tuple[str | None, str | None], ...] = ()
    """(relation, object) pairs that hold meanwhile, e.g. `("holding", "towel")`."""
    after: FunctionalQuery | None = None
    before: FunctionalQuery | None = None
    pick: str | None = None
    """`first` or `last` of several in time."""
    other: bool = False
    """All but those that were named (`Except`)."""
    both: tuple[FunctionalQuery, ...] = ()
    """The sets of which this is the union, where there are several."""
    wanted: FunctionalTarget | None = None


def read(steps: tuple[Step, ...]) -> FunctionalQuery:
    """What a functional program asks.

    Raises:
        QuestionError: `program_invalid`, where there is no program or a step cannot be read.
    """
    if not steps:
        raise _invalid("the question has no functional program")
    stack: list[FunctionalQuery | str] = []
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
    query = stack[-1]
    if not isinstance(query, FunctionalQuery) or query.wanted is None:
        raise _invalid("the functional program asks for nothing")
    return query


def _with_relation(query: FunctionalQuery, relation: str) -> FunctionalQuery:
    return replace(query, relations=(*query.relations, (relation, None)))


def _with_relation_to(query: FunctionalQuery, obj: str) -> FunctionalQuery:
    """STAR names the relation first and its object in the next step."""
    if query.relations and query.relations[-1][1] is None:
        return replace(query, relations=(*query.relations[:-1], (query.relations[-1][0], obj)))
    return replace(query, relations=(*query.relations, (None, obj)))


def _except(query: FunctionalQuery, named: FunctionalQuery) -> FunctionalQuery:
    return replace(query, other=True, wanted=query.wanted or named.wanted)


def _union(first: FunctionalQuery, second: FunctionalQuery) -> FunctionalQuery:
    return FunctionalQuery(both=(*(first.both or (first,)), *(second.both or (second,))))


FUNCTIONS: dict[str, tuple[tuple[type, ...], Callable[..., FunctionalQuery]]] = {
    "Situations": ((), FunctionalQuery),
    "Actions": ((FunctionalQuery,), lambda query: query),
    "Objs": ((FunctionalQuery,), lambda query: replace(query, things=True)),
    "Filter_Actions_with_Verb": ((FunctionalQuery, str), lambda query, verb: replace(query, verb=verb)),
    "Filter_Actions_with_Obj": ((FunctionalQuery, str), lambda query, obj: replace(query, obj=obj)),
    "Filter_After_Actions": ((FunctionalQuery, FunctionalQuery), lambda query, act: replace(query, after=act)),
    "Filter_Before_Actions": ((FunctionalQuery, FunctionalQuery), lambda query, act: replace(query, before=act)),
    "Filter_Situations_with_Rel": ((FunctionalQuery, str), _with_relation),
    "Filter_Situations_with_Obj": ((FunctionalQuery, str), _with_relation_to),
    "Filter_Objs_by_Verb": ((FunctionalQuery, str), lambda query, verb: replace(query, verb=verb, things=True)),
    "Unique": ((FunctionalQuery,), lambda query: query),
    "Union": ((FunctionalQuery, FunctionalQuery), _union),
    "Filter_Objs_with_Class": ((FunctionalQuery, str), lambda query, obj: replace(query, obj=obj, things=True)),
    "Except": (
        (FunctionalQuery, FunctionalQuery),
        _except,
    ),
    "Count": ((FunctionalQuery,), lambda query: replace(query, wanted=FunctionalTarget.count)),
    "Query_Earliest_Action": ((FunctionalQuery,), lambda query: replace(query, pick="first")),
    "Query_Latest_Action": ((FunctionalQuery,), lambda query: replace(query, pick="last")),
    "Query_Objs": ((FunctionalQuery,), lambda query: replace(query, wanted=FunctionalTarget.objects)),
    "Query_Verbs": ((FunctionalQuery,), lambda query: replace(query, wanted=FunctionalTarget.verbs)),
    "Query_Actions": ((FunctionalQuery,), lambda query: replace(query, wanted=FunctionalTarget.actions)),
}
"""Name of a step -> what it takes from the stack, and what it makes of that. `Filter_Objs_with_Class` and `Count`
are playroom's; the rest is STAR's."""


def _invalid(reason: str) -> QuestionError:
    return QuestionError(Outcome.program_invalid, reason)
