from __future__ import annotations

import contextlib
import time

import pytest

from aotd.sandbox.check import InvalidProgramError, check
from aotd.tools.video import VIDEO_TOOLS

HEAD = "def execute_command(video_clip, query, possible_answers):\n"


def program(*lines: str) -> str:
    return HEAD + "".join(f"    {line}\n" for line in lines)


@pytest.mark.parametrize(
    "lines",
    [
        ["return select_answer(query, {'what': Video_summary(video_clip, query)}, possible_answers)"],
        ["boxes = Query_Objs(video_clip, 'cup')", "return str(max(box.x1 for box in boxes))"],
        ["event = query.split(' after ')[-1].strip('?')", "return f'{event:>3}'"],
        ["for _ in range(2):", "    first, _ = 'a', 'b'", "return first"],
        [
            "def longest(clips):",
            "    return max(clips, key=lambda clip: len(clip))",
            "return str(longest([video_clip]))",
        ],
        ["grid = [cell for row in [[1], [2]] for cell in row if cell]", "return str({n: n for n in grid})"],
        ["def outer(seen):", "    def inner():", "        return seen", "    return inner()", "return outer('x')"],
        ["n = 0", "while n < 3:", "    n += 1", "return str(sorted([3, 1], key=lambda x: -x)[0] + n)"],
    ],
)
def test_honest_programs_pass(lines: list[str]) -> None:
    check(program(*lines), VIDEO_TOOLS)


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (program("import os", "return os.getcwd()"), "Import"),
        (program("return ().__class__"), "__class__"),
        (program("return str(open('/etc/passwd'))"), "open is not a tool"),
        (program("return '{0.x}'.format(query)"), ".format"),
        (program("return __builtins__"), "underscore"),
        (program("return video_clip._handle"), "._handle"),
        (program("class A: pass", "return 'x'"), "ClassDef"),
        (program("try:", "    x = 1", "except ValueError:", "    pass", "return 'x'"), "Try"),
        (program("Find = 3", "return 'x'"), "may not be assigned"),
        (program("return (lambda Find: 'x')(1)"), "Find is a tool and may not be assigned"),
        ("def Find(a):\n    return a\n\n\n" + program("return 'x'"), "Find is a tool and may not be assigned"),
        (program("query.x = 3", "return 'x'"), "may not be assigned"),
        (program("global x", "return 'x'"), "Global"),
        (program("x = 1"), "returns nothing"),
        ("def execute_command(video_clip):\n    return 'x'\n", "must take"),
        ("def execute_command(a, /, video_clip, query, possible_answers):\n    return 'x'\n", "must take"),
        ("x = 1\n", "only function definitions"),
        ("def other(video_clip):\n    return 1\n", "exactly once"),
        ("def execute_command(video_clip, query, possible_answers)\n    return 1\n", "line 1: not Python"),
        ("@print\n" + program("return 'x'"), "decorators"),
        ("x" * 30_000, "longer than"),
        (program("return 'a\x00b'"), "not Python"),
        (program("return " + "(" * 300 + "1" + ")" * 300), "not Python"),
    ],
)
def test_forbidden_syntax_is_named_with_its_line(code: str, says: str) -> None:
    with pytest.raises(InvalidProgramError, match=says.replace(".", r"\.").replace("(", r"\(")):
        check(code, VIDEO_TOOLS)


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("def other(eval):\n    return 1\n\n\n" + program("return eval(query)"), 6),
        ("def other():\n    eval = 1\n    return eval\n\n\n" + program("return eval(query)"), 7),
        (program("f = lambda eval: 1", "return eval(query)"), 3),
        (program("f = lambda x=(lambda eval: 1): eval", "return 'x'"), 2),
        (program("x = [1 for eval in [1]]", "return eval(query)"), 3),
        (program("return str([eval for eval in eval(query)])"), 2),
        (program("return str({eval: 1 for x in [eval for eval in [1]]})"), 2),
        ("def other(eval=eval):\n    return eval\n\n\n" + program("return 'x'"), 1),
        ("def other(eval: eval):\n    return 1\n\n\n" + program("return 'x'"), 1),
        ("def other(x) -> eval:\n    eval = x\n    return 1\n\n\n" + program("return 'x'"), 1),
    ],
)
def test_name_is_known_only_in_its_scope(code: str, line: int) -> None:
    with pytest.raises(InvalidProgramError, match=f"line {line}: eval is not a tool"):
        check(code, VIDEO_TOOLS)


def test_check_time_grows_linearly() -> None:
    def seconds(statements: int) -> float:
        tried = []
        for _ in range(3):
            started = time.process_time()
            check(HEAD + "    " + "a=1;" * statements + "return 'x'\n", VIDEO_TOOLS)
            tried.append(time.process_time() - started)
        return min(tried)

    assert seconds(4900) < 20 * seconds(700)  # seven times as long; with the square it would be 49 times


@pytest.mark.parametrize("nested", ["lambda a=", "[x for x in ", "lambda a:", "[x for y in z for x in ", "1+"])
def test_check_of_deepest_nesting_is_fast(nested: str) -> None:
    started = time.process_time()
    for depth in (50, 90, 4000):
        closed = "]" * depth if nested.startswith("[") else ""
        with contextlib.suppress(InvalidProgramError):
            check(HEAD + f"    z = [1]\n    return {nested * depth}z{closed}\n", VIDEO_TOOLS)
    assert time.process_time() - started < 2


def test_parameter_cannot_bring_back_excluded_tool() -> None:
    with pytest.raises(InvalidProgramError, match="Find"):
        check(
            "def f(Find):\n    return 1\n\n\n" + program("return Find(video_clip, 'cup')"),
            VIDEO_TOOLS.without(["Find"]),
        )


def test_entry_parameters_may_have_other_names() -> None:
    check(
        "def execute_command(clip, question, options=None):\n    return select_answer(question, {}, options)\n",
        VIDEO_TOOLS,
    )


def test_check_cache_depends_on_toolbox() -> None:
    code = program("return str(Find(video_clip, 'cup'))")
    check(code, VIDEO_TOOLS)
    for _ in range(2):
        with pytest.raises(InvalidProgramError, match="Find is not a tool"):
            check(code, VIDEO_TOOLS.without(["Find"]))
    check(code, VIDEO_TOOLS)
