"""Ask one question about one video from Python, as `aotd ask` does.

    python examples/one_question.py clip.mp4 "Which object was put down?" "the red ball" "the blue box"

A fixed program looks at the video through the specialists of the built-in world, so this needs no weights and no
network. Further settings name models: `specialists=paper decompose.author=llm llm=openai llm.model=…`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence

from aotd.commands.ask import reply
from aotd.config.command_line import read_settings
from aotd.errors import QuestionError, UserError

SETTINGS = ("by=agent", "mode=rationale", "specialists=playroom")


def ask(video: str, question: str, options: Sequence[str] = (), settings: Sequence[str] = SETTINGS) -> str:
    """The chain of thought about a question, or with `mode=answer` the answer alone.

    Args:
        settings: words as on the command line; `by=ARM run=RUN` asks a student that was distilled there.

    Raises:
        UserError: there is no such video, or a setting is wrong.
        QuestionError: the program came to no answer; `error.outcome` names how it ended.
    """
    config = read_settings("ask", [*settings, f"video={video}", f"question={question}"])
    config.ask.options = list(options)
    return reply(config)


def main(words: Sequence[str]) -> int:
    settings = [word for word in words if re.match(r"[\w.@/]+=", word)]
    if len(words) - len(settings) < 2:
        print((__doc__ or "").strip(), file=sys.stderr)
        return 2
    video, question, *options = [word for word in words if word not in settings]
    try:
        print(ask(video, question, options, [*SETTINGS, *settings]))
    except (UserError, QuestionError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
