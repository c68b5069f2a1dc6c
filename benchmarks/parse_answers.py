"""Read options out of replies, as `evaluate` does under the lenient reading, to audit predictions of any model.

    python benchmarks/parse_answers.py < replies.jsonl > read.jsonl

Each line of the input is `{"text": "The answer is (B).", "options": ["the book", "the bag"]}`; for each, in order, a
line `{"letter": "B", "rule": "final_answer"}` is written at once. `letter` is null where no option is read, and `rule`
says why (docs/evaluate.md). A summary goes to standard error. A line that is not of this form ends it with status 2.

    python benchmarks/parse_answers.py --table tests/scoring/answer_phrases.txt

counts, by language, the phrases of a table that are read as the table says, those that are not read though a letter is
meant, and those that give a letter that is not meant; it prints the last two. A letter too many ends it with status 1.
"""

from __future__ import annotations

import argparse
import json
import string
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from aotd.errors import UserError
from aotd.scoring.answers import parse


def read(number: int, line: bytes) -> tuple[str, list[str]]:
    """A line's text and options.

    Raises:
        UserError: it is not of the form above.
    """
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        raise UserError(f"line {number}: not JSON in UTF-8") from None
    if not isinstance(entry, dict) or set(entry) != {"text", "options"}:
        raise UserError(f"line {number}: wants an object with text and options, and nothing else")
    text, options = entry["text"], entry["options"]
    if not isinstance(text, str) or not isinstance(options, list) or not all(isinstance(one, str) for one in options):
        raise UserError(f"line {number}: text is a string, options a list of strings")
    if not 1 <= len(options) <= len(string.ascii_uppercase) or len(set(options)) < len(options):
        raise UserError(f"line {number}: wants 1 to 26 options, all different")
    return text, options


def phrases(table: Path) -> Iterator[tuple[str, list[str], str, str]]:
    """(language, its options, expected letter or -, reply) of each line of a table; its first lines tell its form."""
    language, options = "", list[str]()
    for line in table.read_text(encoding="utf-8").splitlines():
        if line.startswith("= "):
            language, *options = line[2:].split(" ¦ ")
        elif line and not line.startswith("#"):
            letter, _, reply = line.partition(" ¦ ")
            yield language, options, letter, reply.replace("⏎", "\n")


def audit(table: Path) -> int:
    """Print how the phrases of a table are read; 1 where a letter is read that is not meant, else 0."""
    counts: dict[str, Counter[str]] = {}
    for language, options, letter, reply in phrases(table):
        parsed = parse(reply, options)
        read = "-" if parsed.option is None else string.ascii_uppercase[options.index(parsed.option)]
        kind = "right" if read == letter else "unread" if read == "-" else "wrong"
        counts.setdefault(language, Counter())[kind] += 1
        if kind != "right":
            print(f"{kind}: {language}, {letter} as {read} ({parsed.rule.value}): {reply!r}")
    total = sum(counts.values(), Counter[str]())
    for language, count in (*counts.items(), ("all", total)):
        shares = f"{100 * count['right'] / count.total():5.1f} % right"
        print(f"{language:20} {count.total():4} phrases {shares} {count['unread']:3} unread {count['wrong']:3} wrong")
    return int(total["wrong"] > 0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, help="a table of phrases")
    table = parser.parse_args().table
    if table is not None:
        return audit(table)
    lines = with_option = 0
    try:
        for number, line in enumerate(sys.stdin.buffer, start=1):
            text, options = read(number, line)
            parsed = parse(text, options)
            letter = None if parsed.option is None else string.ascii_uppercase[options.index(parsed.option)]
            print(json.dumps({"letter": letter, "rule": parsed.rule.value}), flush=True)
            lines, with_option = lines + 1, with_option + (letter is not None)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{lines} lines, {with_option} with an option, {lines - with_option} without", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
