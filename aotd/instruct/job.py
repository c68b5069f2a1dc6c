"""instruct: write dialogues about videos, to train on, from what is told of the videos.

    aotd instruct run=runs/told
        of playroom's scenes, by a template: no model, no file
    aotd instruct run=runs/told instruct.captions=mine.jsonl instruct.author=llm llm=openai llm.model=…
        of any videos with a title and a caption each, by a language model
    aotd export run=runs/told export.format=llava
        the dialogues as LLaVA's JSON, which dataset=llava reads

Of each caption it writes a description (detail), a conversation and a question
that needs reasoning, as Valley does. A dialogue is kept if it has the form
and the length, copies nothing, speaks of a video and not of a text, and holds
nothing that the caption does not hold. Any other is named in
<run>/instruct/dropped.jsonl with what is wrong with it. Stopped and started
again, it goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any

from aotd.datasets.base import DatasetConfig
from aotd.datasets.captions import VideoCaption, read_captions
from aotd.datasets.reader import given_file
from aotd.errors import QuestionError, UserError, meant
from aotd.instruct import InstructAuthor, InstructConfig, template
from aotd.instruct.check import fault, unusable
from aotd.instruct.llm import PROMPTS, write_all
from aotd.instruct.scenes import ToldScene, told_scenes, write_videos
from aotd.instruct.words import lines
from aotd.llm import LLMConfig, role_llm, thinking_setting
from aotd.llm.base import Engine, Reply
from aotd.llm.load import load_engine
from aotd.prompts import digest
from aotd.records import DialogueTurn, Dropped, Instruction, InstructionKind, Outcome
from aotd.runtime.batches import batches
from aotd.runtime.meter import Meter
from aotd.runtime.output import say
from aotd.runtime.progress import progress
from aotd.store.cache import Cache, CacheConfig, load_cache
from aotd.store.run import Run

KINDS = {kind.value: kind for kind in PROMPTS}
_LISTS = (
    *("abstract", "actions", "colours", "concrete", "forbidden", "forms", "function", "meanings", "reasoning"),
    *("requests", "telling", "unknown"),
)
"""The lists of words that decide what is kept."""
Task = tuple[VideoCaption, InstructionKind]
Written = tuple[Instruction | Dropped, list[Reply]]


def job(
    run: Run,
    *,
    instruct: InstructConfig,
    dataset: DatasetConfig,
    llm: LLMConfig,
    cache: CacheConfig,
) -> None:
    """Write the dialogues of each caption.

    Raises:
        UserError: the captions or the author's model are not there, or settings that make no sense.
    """
    _check(instruct)
    scenes = {} if instruct.captions else _scenes(instruct, dataset)
    captions = [scene.caption for scene in scenes.values()] or _captions(instruct, dataset)
    engine = load_author(instruct, llm, load_cache(cache, run))
    batch_size = max(role_llm(llm, instruct.llm, "instruct.llm").batch, 1) if engine else 1
    tasks = [(caption, KINDS[kind]) for caption in captions for kind in instruct.kinds]
    with run.instructions.open(**_decides(instruct, llm, engine, captions)) as out:
        todo = [task for task in tasks if key_of(task) not in out.done]
        for batch in batches(progress("instruct", todo), batch_size):
            with Meter() as meter:
                written = write_dialogues(batch, scenes, instruct, engine)
            for record, replies in written:
                out.write(record, meter.cost(record.question_id, batch=len(batch), replies=replies))
        out.sort(key_of(task) for task in tasks)
    if instruct.render:
        write_videos(Path(dataset.root), instruct.seed, instruct.scenes, dataset.playroom.difficulty)
    _print_summary(run, len(captions))


def load_author(settings: InstructConfig, llm: LLMConfig, cache: Cache | None = None) -> Engine | None:
    """The language model that writes dialogues; None where the template does.

    Raises:
        UserError: it is not there.
    """
    if settings.author is not InstructAuthor.llm:
        return None
    return load_engine(role_llm(llm, settings.llm, "instruct.llm"), "instruct.author=llm", cache)


def key_of(task: Task) -> str:
    """The id of a dialogue."""
    caption, kind = task
    return f"{caption.key}/{kind.value}"


def write_dialogues(
    tasks: Sequence[Task], scenes: Mapping[str, ToldScene], settings: InstructConfig, engine: Engine | None
) -> list[Written]:
    """A dialogue for each task, or why there is none, in order; with each the replies that it took.

    Args:
        scenes: playroom's scenes by the key of their caption, for the template.
        engine: the language model that writes; None for the template.

    Raises:
        UserError: the model cannot be reached.
    """
    flaws = [unusable(caption) for caption, _ in tasks]
    usable = [task for task, flaw in zip(tasks, flaws, strict=True) if flaw is None]
    dialogues: list[tuple[tuple[DialogueTurn, ...] | QuestionError, list[Reply]]]
    if engine is None:
        dialogues = [(template.write(scenes[caption.key], kind, settings), []) for caption, kind in usable]
    else:
        dialogues = write_all(engine, usable, settings) if usable else []
    following, written = iter(dialogues), list[Written]()
    for task, flaw in zip(tasks, flaws, strict=True):
        turns, replies = next(following) if flaw is None else (QuestionError(Outcome.caption_unusable, flaw), [])
        written.append((_record(task, turns, settings), replies))
    return written


def _record(
    task: Task, turns: tuple[DialogueTurn, ...] | QuestionError, settings: InstructConfig
) -> Instruction | Dropped:
    caption, kind = task
    wrong = turns if isinstance(turns, QuestionError) else fault(kind, turns, caption, settings)
    if wrong is not None:
        return Dropped(question_id=key_of(task), outcome=wrong.outcome, reason=wrong.reason)
    assert not isinstance(turns, QuestionError)
    return Instruction(
        question_id=key_of(task),
        kind=kind,
        source=caption.source,
        video_id=caption.video_id,
        video=caption.video,
        turns=turns,
        author=settings.author.value,
    )


def _check(settings: InstructConfig) -> None:
    for kind in settings.kinds:
        if kind not in KINDS:
            raise UserError(f"instruct.kinds: {kind!r} is none of {', '.join(KINDS)}{meant(kind, KINDS)}")
    if not settings.kinds or len(set(settings.kinds)) < len(settings.kinds):
        raise UserError(f"instruct.kinds: name each of {', '.join(KINDS)} once at most, and one of them at least")
    if settings.detail_min_words > settings.detail_max_words:
        raise UserError(
            f"instruct.detail_min_words={settings.detail_min_words} is more than "
            f"instruct.detail_max_words={settings.detail_max_words}"
        )
    if settings.captions and settings.author is InstructAuthor.template:
        raise UserError(
            "instruct.author=template knows playroom's scenes alone: "
            "leave out instruct.captions, or add instruct.author=llm"
        )
    if settings.captions and settings.render:
        raise UserError("instruct.render=true renders playroom's scenes: leave it out with instruct.captions")


def _captions(settings: InstructConfig, dataset: DatasetConfig) -> list[VideoCaption]:
    path = given_file("instruct.captions", settings.captions, "a file with video, title and caption (.jsonl, .csv)")
    captions = read_captions(path, dataset.limit)
    if not captions:
        raise UserError(f"instruct.captions: {path} holds no caption")
    return captions


def _scenes(settings: InstructConfig, dataset: DatasetConfig) -> dict[str, ToldScene]:
    scenes = told_scenes(settings.seed, settings.scenes, dataset.playroom.difficulty)
    return {scene.caption.key: scene for scene in scenes}


def _decides(
    settings: InstructConfig, llm_settings: LLMConfig, engine: Engine | None, captions: Sequence[VideoCaption]
) -> dict[str, Any]:
    """What decides the dialogues, as `Stage.open` takes it."""
    told = hashlib.sha256(json.dumps([astuple(caption) for caption in captions]).encode()).hexdigest()[:16]
    words = hashlib.sha256(json.dumps([lines(name) for name in _LISTS]).encode()).hexdigest()[:16]
    values: dict[str, Any] = {
        "author": settings.author.value,
        "kinds": list(settings.kinds),
        "seed": settings.seed,
        "detail_words": [settings.detail_min_words, settings.detail_max_words],
        "copied_words": settings.copied_words,
    }
    made_from = {"inputs": {"captions": told, "words": words}}
    if engine is not None:
        values["max_tokens"] = settings.max_tokens
        values |= thinking_setting(role_llm(llm_settings, settings.llm, "instruct.llm"))
        made_from |= {
            "prompts": {name: digest(name) for name in PROMPTS.values()},
            "models": {"author": engine.model},
        }
    return {"settings": values, **made_from}


def _print_summary(run: Run, captions: int) -> None:
    kept = Counter(instruction.kind.value for instruction in run.instructions.stream())
    dropped = Counter(drop.outcome.value for drop in run.instructions.stream_dropped())
    say(f"{captions} captions; kept: " + (", ".join(f"{kept[name]} {name}" for name in KINDS if kept[name]) or "none"))
    if dropped:
        say("dropped: " + ", ".join(f"{count} {name}" for name, count in dropped.most_common()))
    say(str(run.instructions.records_path))
