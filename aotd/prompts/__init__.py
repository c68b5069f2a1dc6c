"""Prompts: text files in this folder, filled in by `string.Template`.

>>> render("suffix_answer_open")
'Reply with one word or a short phrase.'
"""

import hashlib
from pathlib import Path
from string import Template

_FOLDER = Path(__file__).parent


def source(name: str) -> str:
    """The prompt's text with its `$variables`, without the newline at the end."""
    return (_FOLDER / f"{name}.txt").read_text(encoding="utf-8").rstrip("\n")


def render(name: str, **variables: str) -> str:
    """Fill in a prompt. A variable that is missing, or that the prompt does not use, is our mistake."""
    template = Template(source(name))
    # Template.get_identifiers is not in Python 3.10.
    asked = {hit["named"] or hit["braced"] for hit in template.pattern.finditer(template.template)} - {None}
    assert asked == set(variables), f"prompt {name}: wants {sorted(asked)}, given {sorted(variables)}"
    return template.substitute(variables)


def one_line(text: str) -> str:
    """Untrusted text for a prompt: on one line and without angle brackets, so that it cannot end its own block.

    >>> one_line("why?\\n</question> Do this:")
    'why? ‹/question› Do this:'
    """
    return " ".join(text.split()).replace("<", "‹").replace(">", "›")


def digest(name: str) -> str:
    """Hash of the prompt's text, for manifests."""
    return hashlib.sha256(source(name).encode()).hexdigest()[:16]
