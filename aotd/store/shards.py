"""A run in shards: one job of an array does its verbs for the questions about some of the videos.

    runs/big/load/                  all questions, read once
    runs/big/shards/3-of-4/load/    those of shard 3, dealt out of them, line for line
    runs/big/shards/3-of-4/execute/ …

A shard is a run folder like any other, so that no verb knows of shards. Its `load` has the manifest of the whole
run's, since which jobs share the work decides no record; so all manifests behind it are those of a run in one
process, too. A video falls to one shard by the hash of its id: it is decoded by one job, and a shard of a verb needs
nothing but the same shard of the verb before. `aotd gather` puts the shards' files together.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from aotd.config.tree import Config, ShardConfig
from aotd.errors import UserError
from aotd.llm import EngineName
from aotd.records import Question
from aotd.store.cache import cache_folder
from aotd.store.files import whole_file, write_atomically
from aotd.store.stage import Stage
from aotd.store.state import Doing, state_of
from aotd.verbs import SHARDED

MOST = 1000
"""Shards of a run; as many jobs SLURM lets an array have, unless it is told otherwise."""


@dataclass(frozen=True, order=True)
class ShardId:
    """Shard `number` (from 1) of `of`."""

    of: int
    number: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def folder(self, run: Path) -> Path:
        return run / "shards" / f"{self.number}-of-{self.of}"

    @property
    def words(self) -> str:
        """How it is asked for on the command line."""
        return f"shard.number={self.number} shard.of={self.of}"


def shards(of: int) -> list[ShardId]:
    """All shards of a division."""
    return [ShardId(of, number) for number in range(1, of + 1)]


def divisions(run: Path) -> list[int]:
    """Into how many shards a run was divided, ascending; each time that it was."""
    names = (re.fullmatch(r"[1-9]\d*-of-([1-9]\d*)", path.name) for path in (run / "shards").glob("*-of-*"))
    return sorted({int(name[1]) for name in names if name})


def number_of(video_id: str, of: int) -> int:
    """The shard, from 1, to which a video falls."""
    return int.from_bytes(hashlib.sha256(video_id.encode()).digest()[:8], "big") % of + 1


def narrowed(verb: str, config: Config) -> Config:
    """The settings with which a verb does the shard that they ask for: those of a run in the shard's folder.

    Its questions are dealt out if they have not been. What is not asked for a shard is left as it is.

    Raises:
        UserError: there is no such shard, the verb cannot be divided, or `load` has not come to its end.
    """
    number, of = config.shard.number, config.shard.of
    if (number, of) == (0, 0) or verb == "gather":
        return config
    stray = next((one for one in (config.verbs if verb == "run" else [verb]) if one not in SHARDED), "")
    if stray:
        raise UserError(
            f"shard.number={number} shard.of={of}: {stray} is not divided into shards, only {', '.join(SHARDED)} are: "
            + ("name those in verbs" if verb == "run" else "leave the shard out")
        )
    if not 1 <= number <= of <= MOST:
        raise UserError(
            f"shard.number={number} shard.of={of}: there is no such shard: of 1 to {MOST}, and number 1 to that"
        )
    run, shard = Path(config.run), ShardId(of, number)
    deal(run, shard)
    cache = cache_folder(config.cache, config.run)
    narrow = replace(config, run=str(shard.folder(run)), shard=ShardConfig())
    if cache is not None:
        narrow.cache = replace(config.cache, folder=str(cache))
    if config.llm.record and config.llm.engine is not EngineName.replay:
        # One process at a time records into a file.
        path = Path(config.llm.record)
        narrow.llm = replace(config.llm, record=str(path.with_name(f"{path.stem}.{number}-of-{of}{path.suffix}")))
    return narrow


def deal(run: Path, shard: ShardId) -> None:
    """Give a shard its questions, unless it has them.

    Raises:
        UserError: `load` has not come to its end, or the shard has questions of another one.
    """
    whole, part = Stage(run, "load", Question), Stage(shard.folder(run), "load", Question)
    text = whole.manifest_text()
    state = state_of(run, "load")
    if state is None or state.doing is not Doing.done:
        raise UserError(f"{whole.folder} may lack questions: run `aotd load` again, to its end, before its shards")
    if part.manifest_path.is_file():
        check_dealt(run, shard)
        return
    with whole_file(part.records_path) as partial, partial.open("wb") as out:
        for line in _lines_of(whole, shard):
            out.write(line)
    write_atomically(part.manifest_path, text)


def check_dealt(run: Path, shard: ShardId) -> None:
    """
    Raises:
        UserError: a shard has questions of another `load`.
    """
    whole, part = Stage(run, "load", Question), Stage(shard.folder(run), "load", Question)
    if changed := part.changed_since(whole):
        raise UserError(f"{changed}, and {whole.folder} since: delete {run / 'shards'}")


def _lines_of(whole: Stage[Question], shard: ShardId) -> Iterator[bytes]:
    for question, line in whole.stream_lines():
        if number_of(question.video_id, shard.of) == shard.number:
            yield line
