"""Programs found in replies: every way of writing one, what is refused, and that hostile replies are read in time."""

from __future__ import annotations

import json
import time

import pytest

from aotd.agents.program.prompting import read_program
from aotd.agents.program.reply_code import extract, written
from aotd.llm.base import Reply
from aotd.sandbox.check import InvalidProgramError, check
from aotd.tools.video import VIDEO_TOOLS

HEAD = "def execute_command(video_clip, query, possible_answers):\n"
ENTRY = HEAD + "    return possible_answers[1]\n"
WRONG = HEAD + "    return possible_answers[0]\n"
HELPER = "def pick(xs):\n    return xs[1]\n"
USER = HEAD + "    return pick(possible_answers)\n"
BOTH = HELPER + "\n\n" + USER
USAGE = "answer = execute_command(clip, 'What?', ['a', 'b'])\nprint(answer)\n"


def fenced(code: str, info: str = "python", fence: str = "```") -> str:
    return f"{fence}{info}\n{code}{fence}"


def indented(code: str, by: str) -> str:
    return "".join(by + line for line in code.splitlines(keepends=True))


INFOS = (
    *("", "python", "Python", "PYTHON", "python3", "Python3", "py", "py3", "Py", "python ", " python", "{.python}"),
    *(
        'python title="program.py"',
        "python {linenos=true}",
        "python:program.py",
        "ipython",
        "python-repl",
        "text",
        "c++",
    ),
    *("{.python .numberLines}", "python\t", "pycon", "tool_code", "代码"),
)
AROUND = {
    # fences
    **{f"info {info!r}": fenced(ENTRY, info) for info in INFOS},
    "four backticks": fenced(ENTRY, fence="````"),
    "a fence in a longer one": f"````markdown\n{fenced(ENTRY)}\n````",
    "tildes": fenced(ENTRY, fence="~~~"),
    "five tildes": fenced(ENTRY, "", "~~~~~"),
    "tildes, indented": indented(fenced(ENTRY, fence="~~~"), "  "),
    "the fence ends the last line": "```python\n" + ENTRY.rstrip() + "```",
    "behind prose on one line": f"Here it is: {fenced(ENTRY)} Good luck!",
    "the program on the line of the fence": "```" + ENTRY + "```",
    "the program behind the language": "```python " + ENTRY + "```",
    "never closed": "Sure:\n```python\n" + ENTRY,
    "closed, never opened": ENTRY + "```\nThat is all.",
    "opened twice": "```\n```python\n" + ENTRY + "```",
    "closed twice": fenced(ENTRY) + "\n```",
    "quotes for backticks": "'''python\n" + ENTRY + "'''",
    "double quotes for backticks": '"""\n' + ENTRY + '"""',
    "two backticks": "``\n" + ENTRY + "``",
    # lists and quotes
    "in a list": "1. The program:\n" + indented(fenced(ENTRY), "   ") + "\n2. Done.",
    "on the line of a list": "- " + indented(fenced(ENTRY), "  ").strip(),
    "tildes in a list": "* " + indented(fenced(ENTRY, fence="~~~"), "  ").strip(),
    "deep in a list": "- a\n  - b\n" + indented(fenced(ENTRY), "    "),
    "in a quote": indented(fenced(ENTRY), "> "),
    "in a quote without spaces": indented(fenced(ENTRY), ">"),
    "indented by tabs": indented(fenced(ENTRY), "\t"),
    "indented as Markdown's code": "The program:\n\n" + indented(ENTRY, "    ") + "\nIt takes the second.",
    "an item of a list without a fence": "1. " + ENTRY.replace("\n    ", "\n       "),
    # signs that cannot be seen, and those of a word processor
    "CRLF": fenced(ENTRY).replace("\n", "\r\n"),
    "CRLF without a fence": ENTRY.replace("\n", "\r\n"),
    "CR": fenced(ENTRY).replace("\n", "\r"),
    "a byte order mark": "\ufeff" + ENTRY,
    "a byte order mark in a fence": fenced("\ufeff" + ENTRY),
    "zero-width space": fenced(ENTRY.replace("return", "\u200breturn")),
    "non-breaking spaces": fenced(ENTRY.replace("    ", "\u00a0\u00a0\u00a0\u00a0")),
    "narrow and wide spaces": fenced(ENTRY.replace("    ", "\u202f\u2003\u3000 ")),
    "tabs": fenced(ENTRY.replace("    ", "\t")),
    "tabs and spaces": fenced(HEAD + "    x = 1\n\treturn possible_answers[x]\n"),
    "curly quotes": fenced(HEAD + "    return ‘x’ or “y”\n"),
    "full-width brackets": fenced(ENTRY.replace("(", "（").replace(")", "）").replace(":", "：")),
    # stop tokens
    **{
        f"{token} {where}": {
            "behind": ENTRY + token,
            "on the line": ENTRY.rstrip() + token,
            "fenced": fenced(ENTRY) + token,
        }[where]
        for token in (
            "</s>",
            "<|im_end|>",
            "<|endoftext|>",
            "<|eot_id|>",
            "<|end|>",
            "<eos>",
            "<end_of_turn>",
            "<end_code>",
        )
        for where in ("behind", "on the line", "fenced")
    },
    "DeepSeek's end": ENTRY + "<｜end▁of▁sentence｜>",
    "gpt-oss's end": fenced(ENTRY) + "<|return|>",
    "an end inside a fence": "```python\n" + ENTRY + "<|im_end|>\n```",
    "a token before": "<|im_start|>assistant\n" + ENTRY + "<|im_end|>",
    "a first token": "<s>" + ENTRY + "</s>",
    "an instruction's end": "[/INST] " + fenced(ENTRY),
    "half a stop token": ENTRY + "</code",
    "half a token": ENTRY.rstrip() + "<|im_end",
    "another turn behind": ENTRY + "<|im_end|>\n<|im_start|>user\nAnother\n<|im_start|>assistant\n" + WRONG,
    "another question behind": fenced(ENTRY) + "</s>EXAMPLE\n" + fenced(WRONG),
    # tags
    "code tags": "<code>\n" + ENTRY + "</code>",
    "code tags on the line": "<code>" + ENTRY.rstrip() + "</code>",
    "pre and code": '<pre><code class="language-python">' + ENTRY.rstrip() + "</code></pre>",
    "tags around a fence": "<code>\n" + fenced(ENTRY) + "\n</code>",
    "a tag behind a fence": fenced(ENTRY) + "</code>",
    "an answer's tag": "<answer>" + fenced(ENTRY) + "</answer>",
    "a thought before": "Thought: the second will do.\nCode:\n```py\n" + ENTRY + "```<end_code>",
    # prose
    "prose behind": ENTRY + "\nThis picks the second one.",
    "prose right behind": ENTRY + "This doesn't look (at all: it picks.",
    "prose before": "Of course, here's the function you've asked for:\n" + ENTRY,
    "prose before and behind": "Sure!\n\n" + ENTRY + "\n\n**Explanation**: it isn't hard.\n- a\n- b",
    "a heading": "### Program\n" + ENTRY + "### Explanation\nIt picks.",
    "prose in a fence": "```\nHere is the program:\n" + ENTRY + "It picks the second one.\n```",
    "a shell's line in a fence": fenced("!pip install opencv-python\n" + ENTRY),
    # imports and examples of use
    "imports": fenced("import os\nfrom math import sqrt\n\n" + ENTRY),
    "imports in a block of their own": fenced("import os\n") + "\nand\n" + fenced(ENTRY),
    "imports without a fence": "import os\n\n" + ENTRY + "\nThat is it.",
    "an example of use": fenced(ENTRY + "\n" + USAGE),
    "an example of use in a block of its own": fenced(ENTRY) + "\nUsage:\n" + fenced(USAGE),
    "an example of use before": fenced(USAGE) + "\n" + fenced(ENTRY),
    "a main guard": fenced(ENTRY + '\nif __name__ == "__main__":\n    execute_command(1, 2, 3)\n'),
    "an example without a fence": ENTRY + "\nExample:\n>>> execute_command(clip, 'x', ['a', 'b'])\n'b'\n",
    "an output": fenced(ENTRY) + "\nOutput:\n```\nblue\n```",
    "a tool's stub in a block of its own": fenced("def Find(clip, what):\n    ...\n") + fenced(ENTRY),
    "the signature told of": fenced(ENTRY)
    + "\n`def execute_command(video_clip, query, possible_answers)` returns the 2nd.",
    "the signature in a fence": fenced(ENTRY) + "\nIts form:\n" + fenced(HEAD + "    ...\n    return answer\n"),
    "the signature first": fenced("def execute_command(...):\n    ...\n") + "\nIn full:\n" + fenced(ENTRY),
    # consoles and listings
    "a console": ">>> " + ENTRY.replace("\n    ", "\n...     ").rstrip() + "\n...\n",
    "a console in a fence": fenced(">>> " + ENTRY.replace("\n    ", "\n...     ").rstrip() + "\n"),
    "line numbers": "1 " + ENTRY.replace("\n    ", "\n2     ").rstrip(),
    "line numbers and bars": fenced("1 | " + ENTRY.replace("\n    ", "\n2 |     ").rstrip() + "\n"),
    "line numbers and colons": fenced("1: " + ENTRY.replace("\n    ", "\n2:     ").rstrip() + "\n"),
    # JSON
    "JSON": json.dumps({"code": ENTRY}),
    "JSON in a fence": "```json\n" + json.dumps({"thought": "second", "program": ENTRY}, indent=1) + "\n```",
    "JSON with a fence inside": json.dumps({"answer": f"Sure:\n{fenced(ENTRY)}\nDone."}),
    "JSON with real line breaks": '{"code": "' + ENTRY + '"}',
    "JSON of a tool call": f"<tool_call>{json.dumps({'name': 'python', 'arguments': {'code': ENTRY}})}</tool_call>",
    "JSON inside JSON": json.dumps({"arguments": json.dumps({"code": ENTRY})}),
    "a list of JSON": json.dumps([{"type": "text", "text": ENTRY}]),
    "a string of JSON": json.dumps(ENTRY),
    "written line breaks": ENTRY.replace("\n", "\\n"),
    "written line breaks in a fence": "```python\\n" + ENTRY.replace("\n", "\\n") + "```",
    # a program that was withdrawn
    "corrected": fenced(WRONG) + "\nWait, that is wrong. Here is the corrected version:\n" + fenced(ENTRY),
    "corrected without a fence": WRONG + "\nWait, that is wrong. Corrected:\n\n" + ENTRY,
    "corrected, one of each": fenced(WRONG) + "\nNo, this:\n\n" + ENTRY,
    "corrected in one block": fenced(WRONG + "\n\n# Corrected:\n" + ENTRY),
    "corrected twice": "\nNo:\n".join(map(fenced, (WRONG, WRONG, ENTRY))),
    "corrected a broken one": fenced(HEAD + "    return (\n") + "\nOops.\n" + fenced(ENTRY),
    "corrected, then used": fenced(WRONG) + "\nNo:\n" + fenced(ENTRY) + "\n" + fenced(USAGE),
}


@pytest.mark.parametrize("reply", AROUND.values(), ids=AROUND)
def test_extract_finds_the_program(reply: str) -> None:
    code = extract(reply, VIDEO_TOOLS.names)
    check(code, VIDEO_TOOLS)
    assert code.startswith(HEAD)
    assert WRONG not in code
    assert run(code) in ("b", "x")


HELPERS = {
    "one block": fenced(BOTH),
    "one block with imports": fenced("import os\n\n\n" + BOTH),
    "no fence": BOTH + "\nThat's it.",
    "before": fenced(HELPER) + "\nand then\n" + fenced(USER),
    "behind": fenced(USER) + "\nwith this helper:\n" + fenced(HELPER),
    "one without a fence": HELPER + "\nand then\n" + fenced(USER),
    "a helper's helper": fenced("def second(xs):\n    return xs[1]\n")
    + fenced("def pick(xs):\n    return second(xs)\n")
    + fenced(USER),
    "in a list": "1. Helper:\n" + indented(fenced(HELPER), "   ") + "\n2. Program:\n" + indented(fenced(USER), "   "),
    "CRLF": (fenced(HELPER) + "\n" + fenced(USER)).replace("\n", "\r\n"),
    "corrected": fenced("def pick(xs):\n    return xs[0]\n") + fenced(USER) + "\nFixed helper:\n" + fenced(HELPER),
    "of the withdrawn program": fenced(HELPER + "\n\n" + WRONG) + "\nBetter:\n" + fenced(USER),
    "told of in short": fenced(HELPER) + fenced(USER) + "\nHere:\n" + fenced("def pick(xs):\n    ...\n"),
}


@pytest.mark.parametrize("reply", HELPERS.values(), ids=HELPERS)
def test_extract_joins_helpers_with_the_program(reply: str) -> None:
    code = extract(reply, VIDEO_TOOLS.names)
    check(code, VIDEO_TOOLS)
    assert run(code) == "b"


def run(code: str) -> object:
    """What a program of this file returns; they are ours, so no sandbox is needed."""
    names: dict[str, object] = {}
    exec(compile(code, "program", "exec"), names)
    return names["execute_command"](None, "What?", ["a", "b", "c"])  # type: ignore[operator]


def test_extract_leaves_out_functions_that_the_program_does_not_need() -> None:
    spare = "def spare(xs):\n    return xs\n"
    assert extract(fenced(spare) + fenced(WRONG) + "\nNo:\n" + fenced(ENTRY)) == ENTRY
    assert extract(fenced("def Find(clip, what):\n    return []\n") + fenced(ENTRY), ["Find"]) == ENTRY


def test_extract_keeps_a_block_of_functions_as_it_stands() -> None:
    for block in (ENTRY, BOTH, "# note\n" + ENTRY, BOTH + "\n# end\n", HEAD + "    x = 1  \n    \n    return 'x'\n"):
        assert extract(fenced(block)) == block
        assert extract(f"Sure! Here it is:\n{fenced(block)}\nThis works because…") == block
    assert extract(f"Of course.\n{ENTRY}") == ENTRY
    assert extract("I cannot do that.") == "I cannot do that.\n"


def test_extract_keeps_functions_only() -> None:
    around = f'"""A program."""\nimport json\n\n\n{BOTH}\n\nif __name__ == "__main__":\n    print(1)\n'
    assert extract(f"Sure:\n{fenced(around)}\n") == BOTH
    assert written(fenced(around)) == around


def test_extract_keeps_unusual_signs_of_a_program_that_is_python() -> None:
    for sign in ("\u00a0", "\u200b", "“", "：", "\t", "</s>", "<|im_end|>", "[INST]", "</code>", "<think>", "{", "~~~"):
        code = HEAD + f"    return 'a{sign}b'\n"
        assert extract(fenced(code)) == code


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (fenced("import math\n" + HEAD + "    return str(math)\n"), "line 2: math is not a tool"),
        (fenced("import math\n@math\n" + ENTRY), "decorators"),
        ("@math\n" + ENTRY + "\nProse.", "decorators"),
        (fenced(HEAD + "    import os\n    return os.getcwd()\n") + "prose", "Import"),
        (json.dumps({"code": HEAD + "    return open('/etc/passwd')\n"}), "open is not a tool"),
        (fenced(HEAD + "    return ().__class__\n", "Python3"), "__class__"),
        ("~~~\n" + HEAD.replace("execute_command(", "execute_command(self, ") + "    return 'x'\n~~~", "must take"),
        (fenced("class A:\n" + indented(ENTRY, "    ")), "only function definitions"),
        (fenced("async " + ENTRY), "only function definitions"),
        (fenced(HEAD + "    if query:\n        return 'a'\nreturn 'b'\n"), "only function definitions"),
        (fenced(HEAD + "    if query:\n        return 'a'\n  return 'b'\n"), "not Python"),
        (fenced("def solve(clip):\n    return 'x'\n"), "defines it 0 times"),
        (fenced(HEAD + "    x = 1\n"), "returns nothing"),
        (fenced(WRONG) + "\nNo, wrong. Corrected:\n" + fenced(HEAD + "    return possible_answers[1\n"), "not Python"),
        (fenced(WRONG) + "\nFix:\n```diff\n " + HEAD + "-    return 'a'\n+    return 'b'\n```", "not Python"),
        (fenced(WRONG) + "\nNo:\n" + fenced("import os\n\n\n" + HEAD + "    return str(os)\n"), "os is not a tool"),
        (fenced(USER), "pick is not a tool"),
        ("", "defines it 0 times"),
        ("I'm sorry, I can't do that.", "not Python"),
    ],
)
def test_check_judges_what_was_found(reply: str, says: str) -> None:
    with pytest.raises(InvalidProgramError, match=says):
        check(extract(reply, VIDEO_TOOLS.names), VIDEO_TOOLS)


def test_read_program_reads_and_says_why_not() -> None:
    assert read_program(Reply(fenced(ENTRY, "Python"), True, 1, 1), 512, VIDEO_TOOLS) == (ENTRY, None)
    assert read_program(Reply(fenced(ENTRY), False, 1, 1), 512, VIDEO_TOOLS)[1] is not None
    assert read_program(Reply("no", True, 1, 1), 512, VIDEO_TOOLS)[1] is not None
    assert read_program(Reply(" \n", True, 1, 1), 512, VIDEO_TOOLS) == ("", "the reply was empty")


@pytest.mark.parametrize(
    "piece",
    [
        *(
            "def a(",
            "def a(\n",
            "def f():\n  return\n",
            "```\n",
            "```python\ndef f(\n",
            "> ",
            "@x\n",
            '{"a":',
            '["',
            "\\n",
        ),
        *(
            "def execute_command(a, b, c):\n",
            "1. ",
            "</s>",
            "<code>",
            "(" * 50 + "\n",
            ">>> def f(\n",
            "\\\\",
            '{"a":"\\"',
        ),
    ],
)
def test_extract_reads_hostile_replies_in_time(piece: str) -> None:
    started = time.process_time()
    for length in (3_000, 100_000):
        extract((piece * length)[:length])
    assert time.process_time() - started < 5
