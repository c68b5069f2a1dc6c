"""The command line, and the table of contents: each verb and the job behind it, in the order of the flow.

    aotd run experiment=demo                    every verb, in order
    aotd decompose run=runs/mine llm=openai     one verb
    aotd decompose --help                       what it reads, writes and can be told
    aotd decompose experiment=star --cfg job    its settings, and nothing is done
    aotd distill -m run=runs/mine distill.rationale_weight=0.5,1,2      one point for each value
    aotd show runs/mine QUESTION_ID             one question's whole way

Settings are Hydra overrides (`key=value`); `configs=DIR` adds a folder of config files of one's own. A
person's mistake is one line on standard error and exit status 2; what is left is a defect of ours and
keeps its traceback.
"""

from __future__ import annotations

import errno
import importlib
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from aotd import __version__
from aotd.cli.logs import configure, take_level
from aotd.commands.documents import evaluation_printed
from aotd.commands.run import run_verb
from aotd.config.command_line import read_flags, read_settings
from aotd.errors import QuestionError, UserError, meant, spelt_out
from aotd.runtime.output import drop_output, is_unicode, open_streams, say
from aotd.runtime.signals import Stopped, gone_in_time, leave
from aotd.store.files import sync_shards
from aotd.store.run import Run
from aotd.verbs import VERBS

if TYPE_CHECKING:
    from aotd.tools.toolbox import Toolbox


def main(arguments: Sequence[str] | None = None, toolbox: Toolbox | None = None) -> int:
    """Entry point of `aotd`.

    Args:
        arguments: words of the command line; None: those of this process.
        toolbox: the tools that programs may call; None: the paper's.

    Returns:
        The exit status.
    """
    open_streams()
    words = list(sys.argv[1:] if arguments is None else arguments)
    with gone_in_time(sync_shards):
        return _reported(words, toolbox)


def _reported(words: list[str], toolbox: Toolbox | None) -> int:
    """Do what the words say; what ends it before its time is one line on standard error."""
    try:
        status = _dispatch(words, toolbox)
        sys.stdout.flush()
        return status
    except Stopped as told:
        return leave(told, sync_shards)
    except UserError as error:
        print(f"aotd: {_plain(error)}", file=sys.stderr)  # noqa: T201
        return 2
    except QuestionError as error:
        print(f"aotd: {error.outcome.value}: {_plain(error)}", file=sys.stderr)  # noqa: T201
        return 2
    except BrokenPipeError:
        drop_output()  # the reader (`| head`) has gone
        return 141
    except OSError as error:
        if error.errno != errno.ENOSPC or error.filename is not None:
            raise
        drop_output()
        print(f"aotd: {error.strerror}: make room where output is written to", file=sys.stderr)  # noqa: T201
        return 2


def _plain(error: Exception) -> str:
    """An error as one line for a terminal: names and ids in it may hold line ends and escapes, and be long."""
    text = spelt_out(str(error))
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN // 2]} … {text[-_SHOWN // 2 :]}"


_SHOWN = 2000


def _dispatch(words: list[str], toolbox: Toolbox | None) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        say(_overview())
        return 0
    if words[0] in ("-V", "--version", "version"):
        say(f"aotd {__version__}")
        return 0
    name, rest = words[0], words[1:]
    verb = VERBS.get(name)
    if verb is None:
        raise UserError(f"there is no verb {name!r}{meant(name, VERBS) or ':'} one of {', '.join(VERBS)}")
    level, rest = take_level(rest)
    configure(level)
    if verb.takes_words:
        status: int = importlib.import_module(verb.module).main(rest)
        return status
    if any(word in ("-h", "--help") for word in rest):
        from aotd.config.help import describe

        about = importlib.import_module(verb.module).__doc__ or ""
        say(describe(verb, about))
        return 0
    flags, settings = read_flags(name, rest)
    if flags.sweep:
        from aotd.cli.sweep import sweep

        if toolbox is not None:
            raise UserError("-m starts other processes, which do not know the tools of this script: leave it out")
        sweep(name, settings)
        return 0
    config = read_settings(name, settings)
    if flags.show:
        from aotd.config.help import settings_text

        print(settings_text(config, flags.part, ascii_only=not is_unicode()), end="")  # noqa: T201
        return 0
    if flags.json and name == "doctor":
        importlib.import_module(verb.module).job(config, as_json=True)
        return 0
    with evaluation_printed(Run(Path(config.run)), config.evaluate) if flags.json else nullcontext():
        run_verb(name, config, toolbox)
    return 0


def _overview() -> str:
    lines = ["aotd: videos, questions and answers -> verified chains of thought -> a Video-LLM", "", "verbs:"]
    for verb in VERBS.values():
        doc = importlib.import_module(verb.module).__doc__ or ""
        lines.append(f"  {verb.name:<10} {doc.strip().splitlines()[0].split(': ', 1)[-1]}")
    lines += ["", "aotd VERB --help says more; behind any verb, -v has it say more, -q less."]
    return "\n".join(lines)
