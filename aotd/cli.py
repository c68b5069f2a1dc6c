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

import functools
import importlib
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from aotd import tracking
from aotd.config import Config, compose
from aotd.disk import disk_errors
from aotd.errors import QuestionError, UserError, spelt_out
from aotd.misspelt import meant
from aotd.modules import loading_modules
from aotd.shards import narrowed
from aotd.state import recorded
from aotd.stop import Stopped, gone_in_time, leave

JOBS = {
    "load": "aotd.load.job",
    "select": "aotd.select.job",
    "decompose": "aotd.decompose.job",
    "execute": "aotd.execute.job",
    "convert": "aotd.convert.job",
    "verify": "aotd.verify.job",
    "distill": "aotd.distill.job",
    "evaluate": "aotd.evaluate.job",
    "report": "aotd.report.job",
    "run": "aotd.run",
    "ask": "aotd.ask",
    "export": "aotd.export.job",
    "caption": "aotd.caption",
    "gather": "aotd.gather",
    "doctor": "aotd.doctor",
}
"""Verb -> module with `job(config)`; its docstring is the verb's help."""
OUTSIDE = ("run", "ask", "export", "caption", "gather", "doctor")
"""Verbs that are no steps of the flow."""

TEXT_OF_ASK = ("video", "question", "mode", "by")
TEXT_OF_DATASET = tuple(f"dataset.{key}" for key in ("root", "questions", "spans", "answers", "cuts", "type_by"))
TEXT_OF_DATA = (*TEXT_OF_DATASET, "specialists.captions", "specialists.embedder", "select.actions")
TEXT_OF_EVALUATE = ("evaluate.against", "evaluate.train_root")
TEXT = ("run", "export.to", *TEXT_OF_EVALUATE, *TEXT_OF_DATA, *(f"ask.{key}" for key in TEXT_OF_ASK))
"""Settings that are text or paths: taken as typed, never parsed as Hydra's grammar or interpolated."""
TEXT_BY_NAME = ("evaluate.others",)
"""The same of settings that hold one for each name: `evaluate.others.NAME=PATH`."""


def run_verb(verb: str, config: Config) -> None:
    """Do one verb, of the shard if there is one; how it ends is written down (`aotd.state`), and the tracker, where one
    is set, is told what came of it."""
    tracking.take_key()
    with disk_errors(Path(config.run)):
        config = narrowed(verb, config)
    if not _is_step(verb):
        _do(verb, config)
        return
    tracking.check(config.tracking, config.run)
    if config.tracking.tracker is tracking.TrackerName.none:
        _do(verb, config)
        return
    from aotd.tracking.verbs import tracked

    with tracked(config, verb):
        _do(verb, config)


def _do(verb: str, config: Config) -> None:
    run = Path(config.run)
    told = _is_step(verb) and not config.load.dry_run
    with disk_errors(run), recorded(run, verb) if told else nullcontext():
        with loading_modules():
            module = importlib.import_module(JOBS[verb])
        module.job(config)


def _is_step(verb: str) -> bool:
    """Whether it makes a part of the run."""
    return verb not in OUTSIDE or verb == "gather"


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of `aotd`. Returns the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    with gone_in_time():
        return _reported(words)


def _reported(words: list[str]) -> int:
    """Do what the words say; what ends it before its time is one line on standard error."""
    try:
        return _dispatch(words)
    except Stopped as told:
        return leave(told)
    except UserError as error:
        print(f"aotd: {_plain(error)}", file=sys.stderr)  # noqa: T201
        return 2
    except QuestionError as error:
        print(f"aotd: {error.outcome.value}: {_plain(error)}", file=sys.stderr)  # noqa: T201
        return 2
    except BrokenPipeError:
        # The reader (`| head`) has gone. Closing stderr keeps the interpreter from complaining at exit.
        sys.stderr.close()
        return 141


def _plain(error: Exception) -> str:
    """An error as one line for a terminal: names and ids in it may hold line ends and escapes, and be long."""
    text = spelt_out(str(error))
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN // 2]} … {text[-_SHOWN // 2 :]}"


_SHOWN = 2000


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        Console().print(_overview(), highlight=False, markup=False)
        return 0
    verb, rest = words[0], words[1:]
    if verb == "show":
        from aotd.show import show

        return show(rest)
    if verb == "status":
        from aotd.status import status

        return status(rest)
    if verb == "serve":
        from aotd.serve import serve

        return serve(rest)
    if verb not in JOBS:
        names = [*JOBS, "show", "status", "serve"]
        raise UserError(f"there is no verb {verb!r}{meant(verb, names) or ':'} one of {', '.join(names)}")
    if any(word in ("-h", "--help") for word in rest):
        from aotd.explain import describe

        about = importlib.import_module(JOBS[verb]).__doc__ or ""
        Console().print(describe(verb, about), highlight=False, markup=False, soft_wrap=True)
        return 0
    flags, settings = read_flags(verb, rest)
    if flags.sweep:
        from aotd.sweep import sweep

        sweep(verb, settings)
        return 0
    config = read_settings(verb, settings)
    if flags.show:
        from aotd.explain import settings_text

        print(settings_text(config, flags.part), end="")  # noqa: T201
        return 0
    run_verb(verb, config)
    return 0


@dataclass
class Flags:
    """What is asked of a verb beside its settings; named as Hydra names it."""

    sweep: bool = False
    """-m: one job for each point."""
    show: bool = False
    """--cfg job: print the settings."""
    part: str = ""
    """--package NAME: this part of them."""


def read_flags(verb: str, words: Sequence[str]) -> tuple[Flags, list[str]]:
    """What Hydra's own flags ask for, and the `key=value` words.

    Raises:
        UserError: a word is neither, or flags that do not go together.
    """
    flags, settings, left = Flags(), list[str](), iter(words)
    for word in left:
        flag, given, value = word.partition("=")
        if flag in ("-m", "--multirun") and not given:
            flags.sweep = True
        elif flag in ("-c", "--cfg"):
            if (value if given else next(left, "")) != "job":
                raise UserError(f"{word}: write --cfg job to see the settings of `aotd {verb}`")
            flags.show = True
        elif flag in ("-p", "--package"):
            flags.part = value if given else next(left, "")
        elif word.startswith("-") or not given:
            raise UserError(f"{word!r} is not a setting: write key=value, or see `aotd {verb} --help`")
        else:
            settings.append(word)
    if flags.sweep and flags.show:
        raise UserError("-m and --cfg do not go together: --cfg job shows the settings of one job")
    if flags.part and not flags.show:
        raise UserError(f"--package {flags.part} goes with --cfg job")
    return flags, settings


def read_settings(verb: str, words: Sequence[str]) -> Config:
    """The settings of a verb from `key=value` words. `ask` may leave out its own prefix.

    Raises:
        UserError: an unknown setting or a value of the wrong type.
    """
    texts, overrides, own = {}, [], ""
    for word in words:
        key, value = word.split("=", 1)
        if verb == "ask" and key in (*TEXT_OF_ASK, "options"):
            key = f"ask.{key}"
        if key == "configs":
            own = value
        elif key in TEXT or key.rpartition(".")[0] in TEXT_BY_NAME:
            texts[key] = value
        else:
            overrides.append(f"{key}={value}")
    config = compose(overrides, own)
    for key, value in texts.items():
        *parents, name = key.split(".")
        holder = functools.reduce(getattr, parents, config)
        if isinstance(holder, dict):
            holder[name] = value
        else:
            setattr(holder, name, value)
    return config


def _overview() -> str:
    lines = ["aotd: videos, questions and answers -> verified chains of thought -> a Video-LLM", "", "verbs:"]
    for verb, module in JOBS.items():
        doc = importlib.import_module(module).__doc__ or ""
        lines.append(f"  {verb:<10} {doc.strip().splitlines()[0].split(': ', 1)[-1]}")
    lines += [
        "  show       Print a run's funnel, or one question's whole way.",
        "  status     Print how far a run has come, and what has failed.",
        "  serve      Keep a model's server running beside a run.",
        "",
        "aotd VERB --help says more.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
