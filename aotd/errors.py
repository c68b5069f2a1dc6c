"""What can go wrong, sorted by whose fault it is.

`UserError` is for the person at the keyboard: one line that says what is wrong, where, and how to
mend it; the CLI prints it and exits with status 2. `QuestionError` is data: it ends one question in
a named outcome and the run goes on. Anything else is a defect of ours and keeps its traceback.
"""

import difflib
from collections.abc import Iterable

from aotd.records import Outcome


class UserError(Exception):
    """Wrong input from a person: a setting, a file, a line of an annotation, a missing model."""


class QuestionError(Exception):
    """Ends one question in `outcome`; `reason` is one line for the ledger, whatever a program or a file put into it."""

    def __init__(self, outcome: Outcome, reason: str) -> None:
        self.outcome = outcome
        self.reason = spelt_out(reason)
        super().__init__(self.reason)


def spelt_out(text: str) -> str:
    """Text on one line, with line ends, what a terminal would obey, and what cannot be seen, spelt out.

    >>> spelt_out("no \\x1b[31mcup\\nhere")
    'no \\\\x1b[31mcup\\\\nhere'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def meant(word: str, known: Iterable[str], before: str = "") -> str:
    """The nearest of some names, as words to put behind a complaint; empty where none is near.

    Args:
        before: what stands before the name where it is typed.

    >>> meant("rot", ["root", "questions"], "dataset.")
    ': did you mean dataset.root?'
    """
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.65)
    return f": did you mean {before}{near[0]}?" if near else ""
