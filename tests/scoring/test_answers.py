"""How answers are read out of replies: a table of replies, what holds for all of them, and the script that audits."""

from __future__ import annotations

import json
import os
import re
import string
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aotd.scoring.answers import LONGEST, STRICT, Parsed, Rule, parse, read_answer, read_choice, same_answer

OPTIONS = {
    "acts": ("The dog ran.", "The cat slept.", "The baby cries.", "A man left."),
    "things": ("the book", "the bag", "the phone/camera", "the door"),
    "nested": ("dog", "black dog", "black dog and cat", "cat"),
    "counts": ("2", "3", "4", "5"),
    "spelled": ("one", "two", "three"),
    "decimals": ("15", "1.5"),
    "signs": ("3", "-3"),
    "yesno": ("yes", "no"),
    "why": ("Yes, it was dropped.", "No, it was held.", "It cannot be seen."),
    "letters": ("C", "A", "B"),
    "nota": ("left", "right", "None of the above"),
    "colours": ("red", "green", "blue", "black", "white"),
    "cause": ("Because he was tired", "Because it rained", "To open the door"),
    "owner": ("the man's hat", "the man's coat"),
    "alike": ("well-known", "Well known."),
    "zh": ("一只狗", "一只猫"),
}
TABLE = (Path(__file__).parent / "answer_rows.txt").read_text(encoding="utf-8").splitlines()
ROWS = [line.split(" ¦ ", 3) for line in TABLE if line and not line.startswith("#")]
SCRIPT = Path(__file__).parents[2] / "benchmarks" / "parse_answers.py"


def written(reply: str) -> str:
    return reply.replace("⏎", "\n").replace("␣", " ")


def expected(options: tuple[str, ...], letter: str, rule: str) -> Parsed:
    return Parsed(None if letter == "-" else options[string.ascii_uppercase.index(letter)], Rule(rule))


@pytest.mark.parametrize(("name", "letter", "rule", "reply"), ROWS)
def test_parse_row_of_the_table(name: str, letter: str, rule: str, reply: str) -> None:
    assert parse(written(reply), OPTIONS[name]) == expected(OPTIONS[name], letter, rule)


def test_table_has_every_rule_and_no_row_twice() -> None:
    assert len(ROWS) >= 300
    assert {row[2] for row in ROWS} == {rule.value for rule in Rule} - {"too_long"}
    assert len({(row[0], row[3]) for row in ROWS}) == len(ROWS)


def test_rule_reads_an_option_or_names_the_reason() -> None:
    for name, letter, rule, reply in ROWS:
        parsed = parse(written(reply), OPTIONS[name])
        unparsed = list(Rule).index(Rule(rule)) >= list(Rule).index(Rule.empty)
        assert (letter == "-") == unparsed
        assert read_choice(written(reply), OPTIONS[name]) == (parsed.option if parsed.rule in STRICT else None)


@pytest.mark.parametrize("piece", ["A. x ", "B", "(A) or ", '{"answer": ', "**", "the answer is "])
def test_parse_refuses_too_long_replies_and_reads_the_longest_in_time(piece: str) -> None:
    assert parse(piece * 100_000, OPTIONS["acts"]) == Parsed(None, Rule.too_long)
    started = time.monotonic()
    parse((piece * LONGEST)[:LONGEST], OPTIONS["acts"])
    assert time.monotonic() - started < 10


def test_strict_reading_takes_whole_replies_only() -> None:
    acts = OPTIONS["acts"]
    for reply in ("B", "(b)", "The cat slept", "B. The cat slept."):
        assert read_choice(reply, acts) == acts[1]
    for reply in ("b", "Answer: B", "I think it is B.", "B because it lies still.", "In it the cat slept.", ""):
        assert read_choice(reply, acts) is None
    for reply in ("(A) or (B)", "(B) is wrong", "B: The dog ran."):  # were read by their first letter
        assert read_choice(reply, acts) is None


def test_read_answer_takes_the_words_of_open_ended_answers() -> None:
    assert read_answer(" The book. ", ()) == "The book."
    assert read_answer(" \n", ()) is None
    assert same_answer("The book.", "book", ())
    assert not same_answer(None, "book", ())
    assert not same_answer("the", "a", ())


# ── what holds for every reply ────────────────────────────────────────────────────────────────────

SHAPES = (
    *("{letter}", "({letter})", "{letter}.", "{letter}) {text}", "({letter}) {text}", "{letter} {text}", "{text}"),
    *(
        "Answer: {letter}",
        "The answer is ({letter}) {text}",
        "The answer is {text}",
        "**{letter}**",
        "{text} ({letter})",
    ),
    *("I think it is {letter} because of the light.", "Option {letter}", "{letter} is correct.", "not {letter}"),
    *("\\boxed{{{letter}}}", '{{"answer": "{letter}"}}', "In the video: {text}", "{letter} or {other}"),
    *("{letter}, not {other}", "Not {other}, but {letter}.", "({other}) is wrong. ({letter})", "{letter} man is here."),
    *("{letter}. {othertext}", "It is {text}, not {othertext}", "{text} and {othertext}", "{letter}: it can be seen"),
    *("{letter} as we saw", "person {letter}", "I'd go with {letter}.\n{othertext}", "{other}\n{letter}"),
)


@pytest.mark.slow
@given(
    st.sampled_from(sorted(set(OPTIONS) - {"letters"})),
    st.sampled_from(SHAPES),
    st.integers(0, 10**6),
    st.randoms(use_true_random=False),
)
@settings(max_examples=1500, deadline=None)
def test_parse_does_not_depend_on_the_order_of_options(name: str, shape: str, pick: int, random: Random) -> None:
    options = list(OPTIONS[name])
    text, other = random.sample(options, 2) if pick % 2 else (options[0], options[-1])

    def reply(order: list[str]) -> Parsed:
        letters = {option: string.ascii_uppercase[number] for number, option in enumerate(order)}
        said = {"letter": letters[text], "text": text, "other": letters[other], "othertext": other}
        return parse(shape.format(**said), order)

    shuffled = random.sample(options, len(options))
    assert reply(options).option == reply(shuffled).option


@given(st.lists(st.text(min_size=1), min_size=1, max_size=6, unique=True), st.randoms(use_true_random=False), st.text())
@settings(max_examples=500, deadline=None)
def test_parse_takes_any_options_and_any_text(options: list[str], random: Random, text: str) -> None:
    said = random.choice(options)
    parsed = parse(said, options)
    if said.strip():
        assert parsed == Parsed(said, Rule.option_text)
    else:
        assert parsed == Parsed(None, Rule.empty)
    assert parse(text, options).option in (None, *options)


@given(
    st.sampled_from(ROWS), st.sampled_from((" ", "\n", "\t", "  \n\n", "")), st.sampled_from((" ", "\n", "</s>", ""))
)
@settings(max_examples=600, deadline=None)
def test_parse_ignores_space_and_end_tokens(row: list[str], before: str, after: str) -> None:
    options, reply = OPTIONS[row[0]], written(row[3])
    assert parse(before + reply + after, options) == parse(reply, options)


@given(
    st.sampled_from([row for row in ROWS if row[2] in {rule.value for rule in STRICT}]),
    st.sampled_from(("**", "*", "`")),
)
def test_parse_ignores_markup(row: list[str], mark: str) -> None:
    options, reply = OPTIONS[row[0]], written(row[3]).strip()
    if not any(sign in reply for sign in "*`_#>\n<"):
        assert parse(mark + reply + mark, options).option == parse(reply, options).option


@given(st.text(alphabet=" \t\n\r\u00a0\u2003\u200b"), st.sampled_from(sorted(OPTIONS)))
def test_parse_reads_an_empty_reply_as_empty(reply: str, name: str) -> None:
    assert parse(reply, OPTIONS[name]) == Parsed(None, Rule.empty)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "piece", ["(", "A or ", "not ", "the answer is ", "**", "\\boxed{", '"answer": "', "I cannot ", " "]
)
def test_parse_reads_long_replies_in_time(piece: str) -> None:
    parse(piece * 4000 + "x", OPTIONS["acts"])


# ── the script ────────────────────────────────────────────────────────────────────────────────────


def script(lines: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(SCRIPT.parents[1])}
    return subprocess.run(
        [sys.executable, str(SCRIPT)], input=lines, capture_output=True, text=True, encoding="utf-8", env=environment
    )


def test_script_reads_lines_as_parse_does() -> None:
    lines = [json.dumps({"text": written(reply), "options": OPTIONS[name]}) for name, _, _, reply in ROWS]
    ran = script("\n".join(lines) + "\n")
    assert ran.returncode == 0
    read = [json.loads(line) for line in ran.stdout.splitlines()]
    assert read == [{"letter": None if letter == "-" else letter, "rule": rule} for _, letter, rule, _ in ROWS]
    without = sum(row[1] == "-" for row in ROWS)
    assert ran.stderr == f"{len(ROWS)} lines, {len(ROWS) - without} with an option, {without} without\n"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("B", "line 2: not JSON"),
        ("", "line 2: not JSON"),
        ("[]", "line 2: wants an object"),
        ('{"text": "B"}', "line 2: wants an object"),
        ('{"text": 3, "options": ["a", "b"]}', "line 2: text is a string"),
        ('{"text": "B", "options": "ab"}', "line 2: text is a string"),
        ('{"text": "B", "options": []}', "line 2: wants 1 to 26"),
        ('{"text": "B", "options": ["a", "a"]}', "line 2: wants 1 to 26"),
    ],
)
def test_script_names_a_malformed_line_and_ends(line: str, says: str) -> None:
    good = '{"text": "B", "options": ["a dog", "a cat"]}'
    ran = script(f"{good}\n{line}\n{good}\n")
    assert ran.returncode == 2
    assert ran.stderr.startswith(says)
    assert [json.loads(one)["letter"] for one in ran.stdout.splitlines()] == ["B"]


def test_script_streams() -> None:
    environment = {**os.environ, "PYTHONPATH": str(SCRIPT.parents[1])}
    with subprocess.Popen(
        [sys.executable, str(SCRIPT)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    ) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        for reply in (b"A", b"(B)"):
            running.stdin.write(b'{"text": "' + reply + b'", "options": ["a dog", "a cat"]}\n')
            running.stdin.flush()
            assert json.loads(running.stdout.readline())["rule"] == "letter"
        running.communicate()
    assert running.returncode == 0


# ── the documentation ─────────────────────────────────────────────────────────────────────────────

DOCS = (Path(__file__).parents[2] / "docs" / "evaluate.md").read_text(encoding="utf-8")
READ = DOCS.split("## How answers are read")[1].split("\n## ")[0]
EXAMPLES = re.findall(r"^\| `(\w+)` \| `(.+)`(.*) \| (.+) \|$", READ, re.MULTILINE)


def test_documented_examples_are_read_as_documented() -> None:
    assert [rule for rule, *_ in EXAMPLES] == [rule.value for rule in Rule if rule is not Rule.too_long]
    for rule, reply, given_options, read in EXAMPLES:
        name = "yesno" if "yes and no" in given_options else "counts" if "numbers" in given_options else "acts"
        options = OPTIONS[name]
        parsed = parse(reply, options)
        assert parsed.rule is Rule(rule)
        letter = None if parsed.option is None else string.ascii_uppercase[options.index(parsed.option)]
        assert read.split(",")[0] == {None: "–"}.get(letter, parsed.option if given_options else letter)
        assert ("strictly" in read) == (parsed.rule in STRICT)
