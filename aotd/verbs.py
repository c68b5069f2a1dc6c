"""The table of verbs: what `aotd` can do, in the order of the flow. A new verb is one row and one module."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Verb:
    """One verb of the command line.

    Its module has `job(run, **settings)`, or `main(words)` where it takes words instead of settings. The first line of
    the module's docstring is what the overview says of it; the whole docstring is its help.
    """

    name: str
    module: str
    reads: str
    """What it reads, in a few words."""
    writes: str
    """What it writes, in a few words."""
    settings: tuple[str, ...] = ()
    """Parts of the settings that are handed to its job, its own first. `*`: all of them."""
    explains: tuple[str, ...] = ()
    """Which of them its help lists, beside its own: those that a user sets for this verb."""
    dry_run: str = ""
    """What `load.dry_run` says that `aotd run` would do for it; names of settings stand in braces."""
    makes: str = ""
    """Type of the artifact that tracking makes of its folder; empty: none."""
    step: bool = False
    """Whether it is a step of the flow: `aotd run` can do it."""
    in_run: bool = False
    """Whether it makes a part of the run (each step, and gather): its state is written down, and it is tracked."""
    per_question: bool = False
    """Whether every question goes through it, and gets one line there: the ledger counts these."""
    sharded: bool = False
    """Whether it can do one shard of a run."""
    takes_words: bool = False
    """Whether it reads words of its own instead of settings."""


_TABLE = (
    Verb(
        "load",
        "aotd.load.job",
        "a benchmark's own files",
        "questions",
        settings=("load", "dataset", "specialists", "seed"),
        explains=("dataset",),
        dry_run="write the questions above",
        makes="questions",
        step=True,
        in_run=True,
        per_question=True,
    ),
    Verb(
        "select",
        "aotd.select.job",
        "questions, ground truth",
        "a ranking of specialists",
        settings=("select", "dataset", "specialists", "execute", "seed"),
        explains=("specialists",),
        makes="rankings",
        step=True,
        in_run=True,
    ),
    Verb(
        "decompose",
        "aotd.decompose.job",
        "questions, programs/",
        "a program each",
        settings=("decompose", "llm", "cache"),
        explains=("llm", "shard"),
        dry_run="a program for each question, by author {decompose.author.value}",
        makes="programs",
        step=True,
        in_run=True,
        per_question=True,
        sharded=True,
    ),
    Verb(
        "execute",
        "aotd.execute.job",
        "programs, videos",
        "traces",
        settings=("execute", "dataset", "specialists", "decompose", "llm", "cache"),
        explains=("specialists", "shard"),
        dry_run="run the programs on {specialists.frames} frames of {specialists.source.value}; "
        "grounding by {specialists.grounding.name}, answering by {specialists.answering.name}",
        makes="traces",
        step=True,
        in_run=True,
        per_question=True,
        sharded=True,
    ),
    Verb(
        "convert",
        "aotd.convert.job",
        "traces",
        "chains of thought",
        settings=("convert", "llm", "cache"),
        explains=("llm", "shard"),
        dry_run="a chain of thought for each trace, by writer {convert.writer.value}",
        makes="thoughts",
        step=True,
        in_run=True,
        per_question=True,
        sharded=True,
    ),
    Verb(
        "verify",
        "aotd.verify.job",
        "chains of thought",
        "verdicts",
        settings=("verify", "llm", "cache"),
        explains=("llm", "shard"),
        dry_run="keep the thoughts that are right, faithful and coherent",
        makes="verdicts",
        step=True,
        in_run=True,
        per_question=True,
        sharded=True,
    ),
    Verb(
        "distill",
        "aotd.distill.job",
        "kept chains of thought, questions",
        "students",
        settings=("distill", "student", "dataset", "specialists", "evaluate", "seed", "tracking"),
        explains=("student",),
        dry_run="train student {student.name.value}, arms {distill.arms}",
        makes="student",
        step=True,
        in_run=True,
    ),
    Verb(
        "evaluate",
        "aotd.evaluate.job",
        "students, held-out questions",
        "predictions, scores",
        settings=("evaluate", "llm", "student", "dataset", "specialists", "cache", "seed"),
        explains=("llm",),
        dry_run="score {evaluate.arms} on the split {evaluate.split}",
        makes="scores",
        step=True,
        in_run=True,
    ),
    Verb(
        "report",
        "aotd.report.job",
        "the run",
        "report.html",
        settings=("report", "dataset", "specialists"),
        dry_run="one page to read it all in",
        step=True,
        in_run=True,
    ),
    Verb("run", "aotd.commands.run", "", "all of these, in order", settings=("*",)),
    Verb(
        "ask",
        "aotd.commands.ask",
        "one video, one question",
        "an answer, or reasons",
        settings=("*",),
        explains=("specialists", "llm"),
    ),
    Verb(
        "export",
        "aotd.export.job",
        "kept chains of thought, questions",
        "files for other trainers, tasks for lmms-eval",
        settings=("export", "dataset", "specialists"),
    ),
    Verb(
        "instruct",
        "aotd.instruct.job",
        "titles and captions of videos",
        "dialogues about the videos, to train on",
        settings=("instruct", "dataset", "llm", "cache"),
        explains=("llm",),
    ),
    Verb(
        "grow",
        "aotd.grow.job",
        "nothing: it renders scenes",
        "a student that sees",
        settings=("grow", "student", "specialists", "seed"),
        explains=("student",),
    ),
    Verb(
        "caption",
        "aotd.commands.caption",
        "videos",
        "a caption per second",
        settings=("caption", "dataset", "specialists"),
        explains=("dataset", "specialists"),
    ),
    Verb(
        "gather",
        "aotd.commands.gather",
        "the shards of a run",
        "the run",
        settings=("shard", "verbs"),
        explains=("shard",),
        in_run=True,
    ),
    Verb("doctor", "aotd.commands.doctor", "settings, this machine", "what is missing", settings=("*",)),
    Verb("show", "aotd.commands.show", "a run", "its funnel, or one question's way", takes_words=True),
    Verb("status", "aotd.commands.status", "a run", "what is done, running, failed", takes_words=True),
    Verb("serve", "aotd.serve", "a model's server, or a run's specialists", "where it is", takes_words=True),
)

VERBS: dict[str, Verb] = {verb.name: verb for verb in _TABLE}
"""Name -> verb, in the order of the flow."""
STEPS = tuple(verb.name for verb in _TABLE if verb.step)
"""The verbs that `aotd run` can do, in order."""
FLOW = tuple(verb.name for verb in _TABLE if verb.per_question)
"""The verbs that every question goes through, in order."""
SHARDED = tuple(verb.name for verb in _TABLE if verb.sharded)
"""The verbs that a shard can do: each looks at one question after the other."""
ARTIFACTS = {verb.name: verb.makes for verb in _TABLE if verb.makes}
"""Verb -> the type of the artifact that it makes."""
