"""Write questions in the shape of STAR's own JSON, so that one reader serves both.

Two things STAR leaves to other files stand under one key of ours, `playroom`:

    "playroom": {"fps": 8, "spans": [[2.5, 3.375]], "objects": ["o000", "o017"]}

`fps` turns the keys of `situations` (frame numbers of the video) into seconds; `spans` are the parts of the
video, in its seconds, in which the answer can be seen (none where the whole part is needed); `objects` are
the classes whose boxes in `situations` are evidence. Actions are named by verb and thing ("open door")
instead of STAR's numbers. An open-ended question has no choices.
"""

from __future__ import annotations

from typing import Any

from aotd.datasets.playroom.balance import BalancedQuestion
from aotd.datasets.playroom.questions import Candidate, Steps
from aotd.datasets.playroom.scene import PlayroomScene
from aotd.datasets.playroom.things import FPS, PERSON_CODE, PLAYROOM_VERBS
from aotd.datasets.star import HOLDING
from aotd.records import Box

KEY = "playroom"
KEYFRAME_EVERY = FPS // 2


def entry(question: BalancedQuestion, scene: PlayroomScene, question_id: str) -> dict[str, Any]:
    """One question as STAR writes it."""
    item = question.candidate
    return {
        "question_id": question_id,
        "video_id": scene.name,
        "start": item.start / FPS,
        "end": item.end / FPS,
        "question": item.text,
        "answer": question.answer,
        "question_program": _program(item.steps),
        "choices": [
            {"choice_id": number, "choice": option, "choice_program": _choice_program(item, option)}
            for number, option in enumerate(question.options)
        ],
        "situations": _situations(item, scene),
        KEY: {
            "fps": FPS,
            "spans": [[start / FPS, end / FPS] for start, end in item.spans],
            "objects": sorted({PERSON_CODE, *(scene.things[thing].code for thing in item.items)})
            if item.type != "Counting"
            else sorted({scene.things[thing].code for thing in item.items}),
        },
    }


def _program(steps: Steps) -> list[dict[str, Any]]:
    return [{"function": function, "value_input": list(inputs)} for function, inputs in steps]


def _choice_program(item: Candidate, option: str) -> list[dict[str, Any]]:
    """Whether what the question's program gives is this option, in STAR's words for verbs and things."""
    words = option.removesuffix(".")
    values = [words.removeprefix("The ")]
    for verb in PLAYROOM_VERBS.values():
        for form in (verb.past.capitalize(), verb.plain.capitalize()):
            if words == form:
                values = [verb.name]
            elif words.startswith(f"{form} the "):
                values = [verb.name, words.removeprefix(f"{form} the ")]
    function = "Belong_to" if item.steps[-1][0] == "Except" else "Equal"
    return [{"function": function, "value_input": values}]


def _situations(item: Candidate, scene: PlayroomScene) -> dict[str, dict[str, Any]]:
    """What is seen on keyframes: every half second, and in the middle of each span."""
    frames = {*range(item.start, item.end, KEYFRAME_EVERY), *((start + end) // 2 for start, end in item.spans)}
    if item.coming is not None:
        frames.add(item.end - 1)
    shown = _shown(item, scene)
    return {f"{frame:06d}": _situation(item, scene, frame, shown) for frame in sorted(frames)}


def _shown(item: Candidate, scene: PlayroomScene) -> list[int]:
    """The things that are annotated: those of the question, those in play, and what could be in play as well."""
    used = {action.item for action in scene.actions if item.start <= action.start < item.end}
    possible = {
        thing
        for function, inputs in item.steps
        if function == "Filter_Objs_by_Verb"
        for thing, what in enumerate(scene.things)
        if what.name in PLAYROOM_VERBS[inputs[0]].objects
    }
    return sorted(used | possible | set(item.items) | scene.held_in(item.start, item.end))


def _situation(item: Candidate, scene: PlayroomScene, frame: int, shown: list[int]) -> dict[str, Any]:
    boxes: list[tuple[str, Box]] = []
    for thing in shown:
        box = scene.item_box(frame, thing)
        if box:
            boxes.append((scene.things[thing].code, box))
    for person in range(len(scene.shirts)):
        box = scene.person_box(frame, person)
        if box:
            boxes.append((PERSON_CODE, box))
    busy = [action for action in scene.actions if action.start <= frame < action.end and action.start < item.end]
    if item.coming is not None and scene.actions[item.coming].reach <= frame:
        busy.append(scene.actions[item.coming])
    held = [
        thing
        for thing in shown
        if scene.frames[frame].items[thing].holder is not None and all(action.item != thing for action in busy)
    ]
    return {
        "actions": [f"{action.verb} {scene.things[action.item].name}" for action in busy],
        "bbox": [list(box) for _, box in boxes],
        "bbox_labels": [code for code, _ in boxes],
        "rel_labels": [HOLDING for _ in held],
        "rel_pairs": [[PERSON_CODE, scene.things[thing].code] for thing in held],
    }
