"""Read options out of replies, as `evaluate` does under the lenient reading, to audit predictions of any model.

    python benchmarks/parse_answers.py < replies.jsonl > read.jsonl

Each line of the input is `{"text": "The answer is (B).", "options": ["the book", "the bag"]}`; for each, in order, a
line `{"letter": "B", "rule": "final_answer"}` is written at once. `letter` is null where no option is read, and `rule`
says why (docs/evaluate.md). A summary goes to standard error. A line that is not of this form ends it with status 2.
"""

from __future__ import annotations

import argparse
import json
import string
import sys

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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
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
