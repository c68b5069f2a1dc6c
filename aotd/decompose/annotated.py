"""Author `annotated`: the functional program that STAR-like benchmarks ship, as a Python program over the tools.

The functional program says what is asked over an annotated scene graph; the program written here asks the
same of the video: it finds the moment by grounding, the person and the thing by detection, asks what was
done, and lets `select_answer` choose (as the examples of the paper's appendix D do). Neither the annotated
scene nor the true answer is ever read.
"""

from __future__ import annotations

from aotd.datasets.star import STAR_VERBS
from aotd.decompose.functional import Asked, Wanted, read
from aotd.errors import QuestionError
from aotd.records import Outcome, Question
from aotd.sandbox.check import check

ENDING = 6
"""How many of the last frames show what is about to happen."""


def write(question: Question) -> str:
    """The question's functional program as a program that has passed the check.

    Raises:
        QuestionError: `program_invalid`, where there is no functional program or it cannot be translated.
    """
    asked = read(question.steps)
    if asked.wanted is Wanted.count:
        body = _counting(asked)
    elif asked.both:
        body = _ordering(asked)
    elif question.type.startswith("Prediction"):
        body = _prediction(asked)
    elif asked.things:
        body = _feasibility(asked)
    elif asked.wanted is Wanted.objects:
        body = _which_thing(asked)
    elif asked.wanted is Wanted.verbs:
        body = _what_with(asked)
    else:
        body = _what_happened(asked)
    lines = ["def execute_command(video_clip, query, possible_answers):", *(f"    {line}" for line in body)]
    code = "\n".join(lines) + "\n"
    check(code)
    return code


# ── what happened ─────────────────────────────────────────────────────────────────────────────────


def _which_thing(asked: Asked) -> list[str]:
    """The thing that something was done with: find the moment by the verb."""
    doing = _doing(asked.verb)
    return [
        *(clip := _when(asked))[1],
        f'moment = Filter_frames_with_act({clip[0]}, "person {doing} {_thing(asked.obj)}")',
        'person = Find(moment, "person")',
        f'thing = Video_query(moment, "What is the person {doing}?")',
        "where = Find(moment, thing)",
        f'info = {{"the thing the person is {doing}": thing}}',
        "return select_answer(query, info, possible_answers)",
    ]


def _what_with(asked: Asked) -> list[str]:
    """What was done with a thing: find the moment by the thing."""
    obj = _object(asked)
    return [
        *(clip := _when(asked))[1],
        f'moment = Filter_frames_with_act({clip[0]}, "person interacting with the {obj}")',
        'person = Find(moment, "person")',
        f'thing = Find(moment, "{obj}")',
        f'actions = Query_Actions(moment, "{obj}", possible_answers)',
        f'info = {{"what the person did with the {obj}": actions}}',
        "return select_answer(query, info, possible_answers)",
    ]


def _what_happened(asked: Asked) -> list[str]:
    """Whole actions: of the likeliest, the one nearest in time to what is named, and where it happens."""
    clip, lines = _when(asked)
    if asked.after:
        better, told = "found.start < moment.start", "what happened afterwards"
    elif asked.before:
        better, told = "found.end > moment.end", "what happened before"
    else:
        better, told = "len(found.frames) > len(moment.frames)", "what the person did meanwhile"
    if asked.verb or asked.obj:
        lines.append(f'{clip} = Filter_frames_with_act({clip}, "person {_doing(asked.verb)} {_thing(asked.obj)}")')
    return [
        *lines,
        f"actions = Query_Actions({clip}, None, possible_answers)",
        "moment, chosen = None, None",
        "for action in actions[:3]:",
        f"    found = Filter_frames_with_act({clip}, action)",
        f"    if found.frames and (moment is None or {better}):",
        "        moment, chosen = found, action",
        "if moment is not None:",
        '    person = Find(moment, "person")',
        '    thing = Find(moment, Video_query(moment, "Which thing is the person busy with?"))',
        f'info = {{"{told}": chosen}}',
        "return select_answer(query, info, possible_answers)",
    ]


def _when(asked: Asked) -> tuple[str, list[str]]:
    """The name of the clip in which to look, and the lines that make it."""
    clip, lines = "video_clip", []
    for number, (relation, obj) in enumerate(asked.relations):
        name = "meanwhile" if number == 0 else f"meanwhile_{number + 1}"
        words = (relation or "interacting_with").replace("_", " ")
        lines.append(f'{name} = Filter_frames_with_act({clip}, "person {words} {_thing(obj)}")')
        lines += [f'{name}_thing = Find({name}, "{obj}")'] if obj else []
        clip = name
    if asked.after:
        lines += [
            f'first = Filter_frames_with_act({clip}, "{_act(asked.after)}")',
            f"after = trim({clip}, first.end, None)",
        ]
        clip = "after"
    if asked.before:
        lines += [
            f'last = Filter_frames_with_act({clip}, "{_act(asked.before)}")',
            f"before = trim({clip}, None, last.start)",
        ]
        clip = "before"
    return clip, lines


def _ordering(asked: Asked) -> list[str]:
    """Which of two actions came first (or last): ground both and compare."""
    if len(asked.both) != 2 or asked.pick is None:
        raise _untranslated("a union that is no question of order")
    one, other = (_act(act) for act in asked.both)
    chosen = "first" if asked.pick == "first" else "second"
    return [
        f'one = Filter_frames_with_act(video_clip, "{one}")',
        f'other = Filter_frames_with_act(video_clip, "{other}")',
        "earlier = Compare(one, other)",
        f'moment = one if earlier == "{chosen}" else other',
        'person = Find(moment, "person")',
        f'told = "{one}" if earlier == "{chosen}" else "{other}"',
        f'info = {{"what came {asked.pick}": told}}',
        "return select_answer(query, info, possible_answers)",
    ]


# ── what comes, what could be, how many ───────────────────────────────────────────────────────────


def _prediction(asked: Asked) -> list[str]:
    """What comes next: look at how the person stands at the end."""
    clip, lines = "video_clip", []
    if asked.after:
        lines = [
            f'first = Filter_frames_with_act(video_clip, "{_act(asked.after)}")',
            "after = trim(video_clip, first.end, None)",
        ]
        clip = "after"
    lines += [f"ending = trim({clip}, {clip}.end - {ENDING}, None)", 'person = Find(ending, "person")']
    if asked.wanted is Wanted.objects:
        question = f"Which thing is the person about to {_plain(asked.verb)}?"
        lines += [f'thing = Video_query(ending, "{question}")', "where = Find(ending, thing)"]
        told, value = f"the thing the person is about to {_plain(asked.verb)}", "thing"
    else:
        on = f" with the {asked.obj}" if asked.obj else ""
        lines += [f'thing = Find(ending, "{asked.obj}")'] if asked.obj else []
        lines.append(f'coming = Video_query(ending, "What is the person about to do{on}?")')
        told, value = f"what the person is about to do{on}", "coming"
    return [*lines, f'info = {{"{told}": {value}}}', "return select_answer(query, info, possible_answers)"]


def _feasibility(asked: Asked) -> list[str]:
    """What could be done with what is there: look which things are there, and which were used already."""
    plain, doing = _plain(asked.verb), _doing(asked.verb)
    lines = []
    if asked.other:
        lines = [
            f'moment = Filter_frames_with_act(video_clip, "person {doing} something")',
            'person = Find(moment, "person")',
            f'used = Video_query(moment, "What is the person {doing}?")',
        ]
    other = "other " if asked.other else ""
    return [
        *lines,
        f'possible = Video_query(video_clip, "Which {other}things could the person {plain}?")',
        *(['possible = ", ".join([name for name in possible.split(", ") if name != used])'] if asked.other else []),
        'for name in possible.split(", ")[:3]:',
        "    where = Find(video_clip, name)",
        f'info = {{"{other}things the person could {plain}": possible}}',
        "return select_answer(query, info, possible_answers)",
    ]


def _counting(asked: Asked) -> list[str]:
    """How many things of a class are there."""
    if not asked.things or not asked.obj:
        raise _untranslated("a count of what is no class of things")
    return [
        f'found = Query_Objs(trim(video_clip, None, video_clip.start + 1), "{asked.obj}")',
        f'count = Count(video_clip, "{asked.obj}")',
        f'info = {{"how many there are of {asked.obj}": count}}',
        "return select_answer(query, info, possible_answers)",
    ]


# ── words ─────────────────────────────────────────────────────────────────────────────────────────


def _act(asked: Asked) -> str:
    """What a grounder is asked for a named action, e.g. `person opening the door`."""
    return f"person {_doing(asked.verb)} {_thing(asked.obj)}"


def _doing(verb: str | None) -> str:
    return _form(verb)[1] if verb else "interacting with"


def _plain(verb: str | None) -> str:
    return _form(verb)[0] if verb else "do something with"


def _form(verb: str) -> tuple[str, str]:
    if verb not in STAR_VERBS:
        raise _untranslated(f"the verb {verb!r}")
    return STAR_VERBS[verb].plain, STAR_VERBS[verb].doing


def _thing(obj: str | None) -> str:
    return f"the {obj}" if obj else "something"


def _object(asked: Asked) -> str:
    if asked.obj is None:
        raise _untranslated("a question for verbs without a thing")
    return asked.obj


def _untranslated(what: str) -> QuestionError:
    return QuestionError(Outcome.program_invalid, f"no translation for {what}")
