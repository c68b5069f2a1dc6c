"""A guesser without video that has read much: the option most like the question, by a sentence-embedding model.

It learns nothing from the questions. On NExT-QA it does better than the guessers that do (`blind`), and
so it is the one that answers from stored captions are to be held against.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aotd.records import Question
from aotd.specialists.embedder import Embedder


def guess_by_likeness(asked: Sequence[Question], embedder: Embedder) -> list[str]:
    """The option nearest to each question; empty for an open-ended one."""
    # Together, which is quicker than one by one; the embedder keeps what it has embedded.
    embedder.embed(sorted({text for question in asked for text in (question.question, *question.options)}))
    said = []
    for question in asked:
        if not question.options:
            said.append("")
            continue
        near = embedder.embed(question.options) @ embedder.embed([question.question])[0]
        said.append(question.options[int(np.round(near, 4).argmax())])
    return said
