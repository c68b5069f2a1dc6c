"""Author `annotated`: the functional program that STAR-like benchmarks ship, as a Python program over the tools.

The functional program says what is asked over an annotated scene graph; the program written here asks the
same of the video: it finds the moment by grounding, the person and the thing by detection, asks what was
done, and lets `select_answer` choose (as the examples of the paper's appendix D do). Neither the annotated
scene nor the true answer is ever read.
"""

from __future__ import annotations

from aotd.datasets.star import STAR_VERBS
from aotd.decompose.functional import FunctionalQuery, FunctionalTarget, read
from aotd.errors import QuestionError
from aotd.records import Outcome, Question
from aotd.sandbox.check import check
from aotd.tools.video import VIDEO_TOOLS

ENDING = 6
"""How many of the last frames show what is about to happen."""


def write(question: Question) -> str:
    """The question's functional program as a program that has passed the check.

    Raises:
        QuestionError: `program_invalid`, where there is no functional program or it cannot be translated.
    """
    query = read(question.steps)
    if query.wanted is FunctionalTarget.count:
        body = _counting(query)
    elif query.both:
        body = _ordering(query)
    elif question.type.startswith("Prediction"):
        body = _prediction(query)
    elif query.things:
        body = _feasibility(query)
    elif query.wanted is FunctionalTarget.objects:
        body = _which_thing(query)
    elif query.wanted is FunctionalTarget.verbs:
        body = _what_with(query)
    else:
        body = _what_happened(query)
    lines = ["def execute_command(video_clip, query, possible_answers):", *(f"    {line}" for line in body)]
    code = "\n".join(lines) + "\n"
    check(code, VIDEO_TOOLS)
    return code


# ── what happened ─────────────────────────────────────────────────────────────────────────────────


def _which_thing(query: FunctionalQuery) -> list[str]:
    """The thing that something was done with: find the moment by the verb."""
    doing = _doing(query.verb)
    return [
        *(clip := _when(query))[1],
        f'moment = Filter_frames_with_act({clip[0]}, "person {doing} {_thing(query.obj)}")',
        'person = Find(moment, "person")',
        f'thing = Video_query(moment, "What is the person {doing}?")',
        "where = Find(moment, thing)",
        f'info = {{"the thing the person is {doing}": thing}}',
        "return select_answer(query, info, possible_answers)",
    ]


def _what_with(query: FunctionalQuery) -> list[str]:
    """What was done with a thing: find the moment by the thing."""
    obj = _object(query)
    return [
        *(clip := _when(query))[1],
        f'moment = Filter_frames_with_act({clip[0]}, "person interacting with the {obj}")',
        'person = Find(moment, "person")',
        f'thing = Find(moment, "{obj}")',
        f'actions = Query_Actions(moment, "{obj}", possible_answers)',
        f'info = {{"what the person did with the {obj}": actions}}',
        "return select_answer(query, info, possible_answers)",
    ]


def _what_happened(query: FunctionalQuery) -> list[str]:
    """Whole actions: of the likeliest, the one nearest in time to what is named, and where it happens."""
    clip, lines = _when(query)
    if query.after:
        better, fact = "found.start < moment.start", "what happened afterwards"
    elif query.before:
        better, fact = "found.end > moment.end", "what happened before"
    else:
        better, fact = "len(found.frames) > len(moment.frames)", "what the person did meanwhile"
    if query.verb or query.obj:
        lines.append(f'{clip} = Filter_frames_with_act({clip}, "person {_doing(query.verb)} {_thing(query.obj)}")')
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
        f'info = {{"{fact}": chosen}}',
        "return select_answer(query, info, possible_answers)",
    ]


def _when(query: FunctionalQuery) -> tuple[str, list[str]]:
    """The name of the clip in which to look, and the lines that make it."""
    clip, lines = "video_clip", []
    for number, (relation, obj) in enumerate(query.relations):
        name = "meanwhile" if number == 0 else f"meanwhile_{number + 1}"
        words = (relation or "interacting_with").replace("_", " ")
        lines.append(f'{name} = Filter_frames_with_act({clip}, "person {words} {_thing(obj)}")')
        lines += [f'{name}_thing = Find({name}, "{obj}")'] if obj else []
        clip = name
    if query.after:
        lines += [
            f'first = Filter_frames_with_act({clip}, "{_act(query.after)}")',
            f"after = trim({clip}, first.end, None)",
        ]
        clip = "after"
    if query.before:
        lines += [
            f'last = Filter_frames_with_act({clip}, "{_act(query.before)}")',
            f"before = trim({clip}, None, last.start)",
        ]
        clip = "before"
    return clip, lines


def _ordering(query: FunctionalQuery) -> list[str]:
    """Which of two actions came first (or last): ground both and compare."""
    if len(query.both) != 2 or query.pick is None:
        raise _untranslated("a union that is no question of order")
    one, other = (_act(act) for act in query.both)
    chosen = "first" if query.pick == "first" else "second"
    return [
        f'one = Filter_frames_with_act(video_clip, "{one}")',
        f'other = Filter_frames_with_act(video_clip, "{other}")',
        "earlier = Compare(one, other)",
        f'moment = one if earlier == "{chosen}" else other',
        'person = Find(moment, "person")',
        f'told = "{one}" if earlier == "{chosen}" else "{other}"',
        f'info = {{"what came {query.pick}": told}}',
        "return select_answer(query, info, possible_answers)",
    ]


# ── what comes, what could be, how many ───────────────────────────────────────────────────────────


def _prediction(query: FunctionalQuery) -> list[str]:
    """What comes next: look at how the person stands at the end."""
    clip, lines = "video_clip", []
    if query.after:
        lines = [
            f'first = Filter_frames_with_act(video_clip, "{_act(query.after)}")',
            "after = trim(video_clip, first.end, None)",
        ]
        clip = "after"
    lines += [f"ending = trim({clip}, {clip}.end - {ENDING}, None)", 'person = Find(ending, "person")']
    if query.wanted is FunctionalTarget.objects:
        question = f"Which thing is the person about to {_plain(query.verb)}?"
        lines += [f'thing = Video_query(ending, "{question}")', "where = Find(ending, thing)"]
        fact, value = f"the thing the person is about to {_plain(query.verb)}", "thing"
    else:
        on = f" with the {query.obj}" if query.obj else ""
        lines += [f'thing = Find(ending, "{query.obj}")'] if query.obj else []
        lines.append(f'coming = Video_query(ending, "What is the person about to do{on}?")')
        fact, value = f"what the person is about to do{on}", "coming"
    return [*lines, f'info = {{"{fact}": {value}}}', "return select_answer(query, info, possible_answers)"]


def _feasibility(query: FunctionalQuery) -> list[str]:
    """What could be done with what is there: look which things are there, and which were used already."""
    plain, doing = _plain(query.verb), _doing(query.verb)
    lines = []
    if query.other:
        lines = [
            f'moment = Filter_frames_with_act(video_clip, "person {doing} something")',
            'person = Find(moment, "person")',
            f'used = Video_query(moment, "What is the person {doing}?")',
        ]
    other = "other " if query.other else ""
    return [
        *lines,
        f'possible = Video_query(video_clip, "Which {other}things could the person {plain}?")',
        *(['possible = ", ".join([name for name in possible.split(", ") if name != used])'] if query.other else []),
        'for name in possible.split(", ")[:3]:',
        "    where = Find(video_clip, name)",
        f'info = {{"{other}things the person could {plain}": possible}}',
        "return select_answer(query, info, possible_answers)",
    ]


def _counting(query: FunctionalQuery) -> list[str]:
    """How many things of a class are there."""
    if not query.things or not query.obj:
        raise _untranslated("a count of what is no class of things")
    return [
        f'found = Query_Objs(trim(video_clip, None, video_clip.start + 1), "{query.obj}")',
        f'count = Count(video_clip, "{query.obj}")',
        f'info = {{"how many there are of {query.obj}": count}}',
        "return select_answer(query, info, possible_answers)",
    ]


# ── words ─────────────────────────────────────────────────────────────────────────────────────────


def _act(query: FunctionalQuery) -> str:
    """What a grounder is asked for a named action, e.g. `person opening the door`."""
    return f"person {_doing(query.verb)} {_thing(query.obj)}"


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


def _object(query: FunctionalQuery) -> str:
    if query.obj is None:
        raise _untranslated("a question for verbs without a thing")
    return query.obj


def _untranslated(what: str) -> QuestionError:
    return QuestionError(Outcome.program_invalid, f"no translation for {what}")
