"""Runs a functional program over the annotation it comes with: whether it suffices to answer its question."""

from __future__ import annotations

from collections import Counter
from typing import Any

from aotd.datasets.playroom.things import PLAYROOM_VERBS, THINGS

NAMES = {thing.code: thing.name for thing in THINGS.values()}
CODES = {thing.name: thing.code for thing in THINGS.values()}
RELATIONS = {"holding": "r009"}


class Action(tuple):  # type: ignore[type-arg]
    """(verb, thing, when it is first seen): doing the same twice is two actions."""


def run(entry: dict[str, Any]) -> Any:
    """What the question's program gives."""
    return _run(entry["question_program"], entry["situations"], [])


def says(entry: dict[str, Any], number: int) -> bool:
    """Whether the question's program, continued by a choice's, calls that choice right."""
    verdict = _run(entry["choices"][number]["choice_program"], entry["situations"], [run(entry)])
    assert isinstance(verdict, bool)
    return verdict


def _actions(situations: dict[str, Any]) -> list[Action]:
    found: list[Action] = []
    before: list[str] = []
    for frame in sorted(situations):
        now = situations[frame]["actions"]
        for name in now:
            if name not in before:
                verb, thing = name.split(" ", 1)
                found.append(Action((verb, thing, frame)))
        before = now
    return found


def _objs(situations: dict[str, Any]) -> list[str]:
    most: Counter[str] = Counter()
    for situation in situations.values():
        most |= Counter(NAMES[code] for code in situation["bbox_labels"] if code in NAMES)
    return list(most.elements())


def _with_rel(situations: dict[str, Any], relation: str) -> dict[str, Any]:
    return {frame: one for frame, one in situations.items() if RELATIONS[relation] in one["rel_labels"]}


def _with_obj(situations: dict[str, Any], thing: str) -> dict[str, Any]:
    return {frame: one for frame, one in situations.items() if CODES[thing] in one["bbox_labels"]}


def _unique(found: list[Any]) -> Any:
    assert len(found) == 1, f"not unique: {found}"
    return found[0]


def _query(found: Any, part: int) -> Any:
    return [one[part] for one in found] if isinstance(found, list) else found[part]


def _run(program: list[dict[str, Any]], situations: dict[str, Any], stack: list[Any]) -> Any:
    one = {
        "Actions": _actions,
        "Objs": _objs,
        "Unique": _unique,
        "Count": len,
        "Query_Earliest_Action": lambda found: min(found, key=lambda action: action[2]),
        "Query_Latest_Action": lambda found: max(found, key=lambda action: action[2]),
        "Query_Verbs": lambda found: _query(found, 0),
        "Query_Objs": lambda found: _query(found, 1),
        "Query_Actions": lambda action: [action[0], action[1]],
    }
    two = {
        "Filter_Actions_with_Verb": lambda found, verb: [action for action in found if action[0] == verb],
        "Filter_Actions_with_Obj": lambda found, thing: [action for action in found if action[1] == thing],
        "Filter_After_Actions": lambda found, action: [other for other in found if other[2] > action[2]],
        "Filter_Before_Actions": lambda found, action: [other for other in found if other[2] < action[2]],
        "Filter_Situations_with_Rel": _with_rel,
        "Filter_Situations_with_Obj": _with_obj,
        "Filter_Objs_by_Verb": lambda found, verb: [thing for thing in found if thing in PLAYROOM_VERBS[verb].objects],
        "Filter_Objs_with_Class": lambda found, name: [thing for thing in found if thing == name],
        "Union": lambda first, second: [first, second],
        "Except": lambda found, others: [thing for thing in found if thing not in others],
        "Belong_to": lambda group, item: item in group,
    }
    for step in program:
        name, inputs = step["function"], step["value_input"]
        if name == "Situations":
            stack.append(situations)
        elif name == "Equal":
            value = stack.pop()
            stack.append((value if isinstance(value, list) else [str(value)]) == inputs)
        elif name in one:
            stack.append(one[name](stack.pop()))
        else:
            second = inputs[0] if inputs else stack.pop()
            stack.append(two[name](stack.pop(), second))
    return stack[-1]
