"""Writer `template`: a trace as plain sentences, one per tool call, and nothing that is not in the trace.

    I look for person opening the door: it happens from frame 3 to frame 8. I look on from frame 9 to frame 31. I see
    person at [40, 31, 66, 118] in frame 12, [44, 30, 70, 118] in frame 20. The actions with the book: took the book.
    So the answer is Took the book.

Deterministic: the same trace gives the same text.
"""

from __future__ import annotations

from aotd.records import Trace
from aotd.view.finding_text import bare, sentence


def write(trace: Trace, boxes: int) -> str:
    """The trace as a chain of thought.

    Args:
        boxes: how many boxes of one finding are written, spread evenly over its frames.
    """
    sentences = [text for event in trace.events if (text := sentence(event, boxes))]
    return " ".join([*sentences, f"So the answer is {bare(trace.answer)}."])
