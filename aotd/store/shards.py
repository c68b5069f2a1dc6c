"""A run in shards: one job of an array does its verbs for the questions about some of the videos.

    runs/big/load/                  all questions, read once
    runs/big/shards/3-of-4/load/    those of shard 3, the same lines
    runs/big/shards/3-of-4/execute/ …

A shard is a run folder like any other, so no verb knows of shards. Its `load` has the manifest of the whole run, since
no record depends on how the work is shared; so all later manifests equal those of a run in one process. A video is
assigned to a shard by the hash of its id. So one job decodes it, and a shard of a verb needs only the same shard of the
verb before. `aotd gather` merges the shards' files.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from aotd.errors import UserError
from aotd.records import Question
from aotd.store.files import whole_file, write_atomically
from aotd.store.run import Run
from aotd.store.stage import Stage
from aotd.store.state import Doing, state_of

MOST = 1000
"""The most shards of a run: SLURM's default limit for the jobs of an array."""


@dataclass
class ShardConfig:
    """A part of a run's questions, for one job of an array."""

    number: int = 0
    """Which shard, from 1; 0: the whole run."""
    of: int = 0
    """How many shards the run's videos fall into."""


@dataclass(frozen=True, order=True)
class ShardId:
    """Shard `number` (from 1) of `of`."""

    of: int
    number: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def run(self, whole: Run) -> Run:
        """The shard of a whole run, which is a run of its own."""
        return replace(whole, folder=whole.folder / "shards" / f"{self.number}-of-{self.of}")

    @property
    def words(self) -> str:
        """Its settings on the command line."""
        return f"shard.number={self.number} shard.of={self.of}"


def shards(of: int) -> list[ShardId]:
    """All shards of a division."""
    return [ShardId(of, number) for number in range(1, of + 1)]


def divisions(run: Run) -> list[int]:
    """The numbers of shards that a run was divided into, ascending."""
    names = (re.fullmatch(r"[1-9]\d*-of-([1-9]\d*)", path.name) for path in (run.folder / "shards").glob("*-of-*"))
    return sorted({int(name[1]) for name in names if name})


def number_of(video_id: str, of: int) -> int:
    """The shard, counted from 1, that a video is assigned to."""
    return int.from_bytes(hashlib.sha256(video_id.encode()).digest()[:8], "big") % of + 1


def deal(run: Run, shard: ShardId) -> None:
    """Copy a shard its questions, unless it has them.

    Raises:
        UserError: `load` has not come to its end, or the shard has questions of another one.
    """
    whole, part = run.questions, shard.run(run).questions
    text = whole.manifest_text()
    state = state_of(run, "load")
    if state is None or state.doing is not Doing.done:
        raise UserError(f"{whole.folder} may lack questions: run `aotd load` again, to its end, before its shards")
    if part.exists:
        check_dealt(run, shard)
        return
    with whole_file(part.records_path) as partial, partial.open("wb") as out:
        for line in _lines_of(whole, shard):
            out.write(line)
    part.write_index()
    write_atomically(part.manifest_path, text)


def check_dealt(run: Run, shard: ShardId) -> None:
    """
    Raises:
        UserError: a shard has questions of another `load`.
    """
    whole, part = run.questions, shard.run(run).questions
    if changed := part.changed_since(whole):
        raise UserError(f"{changed}, and {whole.folder} since: delete {run.folder / 'shards'}")


def _lines_of(whole: Stage[Question], shard: ShardId) -> Iterator[bytes]:
    for question, line in whole.stream_lines():
        if number_of(question.video_id, shard.of) == shard.number:
            yield line
