"""gather: put the shards of a run together, as if one process had done it.

Reads load/ and shards/*-of-N/; writes decompose/, execute/, convert/ and verify/ of the run (those of them that
`verbs` names), byte for byte what a run without shards writes but for costs.jsonl, which holds the same questions'
measured times, shard by shard. As long as a shard is missing or has questions left it says which one, and writes
nothing. Killed and started again it goes on with the verb it was at; what is there is left alone, and the shards may
be deleted.
"""

from __future__ import annotations

import logging
import os
import platform
import resource
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from aotd.errors import UserError
from aotd.records import Record
from aotd.runtime.progress import progress
from aotd.store.files import whole_file, write_atomically
from aotd.store.run import Run
from aotd.store.shards import ShardConfig, ShardId, check_dealt, divisions, number_of, shards
from aotd.store.stage import Stage
from aotd.store.state import Doing, State, state_of, write_done
from aotd.store.untrusted import is_file, lines
from aotd.verbs import FLOW, SHARDED

_log = logging.getLogger(__name__)

_NAMED = 3
"""Shards that are named in an error before the rest is counted."""


def job(run: Run, *, shard: ShardConfig, verbs: Sequence[str]) -> None:
    """Write the folders of the divided verbs from those of the shards.

    Raises:
        UserError: a shard is not done, or was made otherwise than the others; it is not known how many there are.
    """
    if shard.number:
        raise UserError(f"shard.number={shard.number}: gather reads all shards: leave it out")
    todo = [verb for verb in SHARDED if verb in verbs and not _is_there(run, verb)]
    if not todo:
        _log.info(f"gather: {run} is whole")
        return
    every = shards(_division(run, shard.of))
    for verb in todo:
        _check(run, verb, every)
    for verb in todo:
        _merge(run, verb, every)


def _division(run: Run, of: int) -> int:
    """How many shards are to be gathered: as many as is said, or as the run was divided into."""
    found = divisions(run)
    if not of and len(found) > 1:
        raise UserError(f"{run} was divided into {' and into '.join(map(str, found))} shards: say shard.of={found[-1]}")
    if not found or of not in (0, *found):
        whole = f"{of} shards" if of else "shards"
        raise UserError(
            f"{run} was not divided into {whole}: run `aotd {SHARDED[0]} run={run} {ShardId(of or 4, 1).words}`"
        )
    return of or found[0]


def _is_there(run: Run, verb: str) -> bool:
    """Whether a verb of the whole run is done.

    Raises:
        UserError: it was begun without shards.
    """
    stage, before = run.stage(verb), _before(run, verb)
    if not stage.exists:
        return False
    reached, there = before.count(), stage.count() + stage.count_dropped()
    if there < reached:
        raise UserError(
            f"{stage.folder} was begun without shards and holds {there} of {reached} questions: "
            f"run `{stage.command} run={run}` to its end, or delete that folder"
        )
    return True


def _before(run: Run, verb: str) -> Stage[Record]:
    """What hands its questions on to a verb."""
    return run.stage(FLOW[FLOW.index(verb) - 1])


# ── is it all there? ──────────────────────────────────────────────────────────────────────────────


def _check(run: Run, verb: str, every: Sequence[ShardId]) -> None:
    """
    Raises:
        UserError: shards of a verb are not done; one was made otherwise, or from something else than what is there.
    """
    undone = [(shard, why) for shard in every if (why := _undone(run, verb, shard))]
    if undone:
        named = "; ".join(f"shard {shard} of {verb} is not done: {why}" for shard, why in undone[:_NAMED])
        more = f"; and {len(undone) - _NAMED} more" if len(undone) > _NAMED else ""
        raise UserError(f"{named}{more}: run `aotd {verb} run={run} {undone[0][0].words}`")
    first = every[0].run(run).stage(verb)
    for shard in every:
        check_dealt(run, shard)
        if changed := shard.run(run).stage(verb).changed_since(first):
            raise UserError(f"{changed} than {first.folder}: delete the one that is wrong, and do it again")
    for name, digest in first.manifest().get("inputs", {}).items():
        whole = run.stage(name)
        if whole.exists and whole.manifest_digest() != digest:
            raise UserError(f"{first.folder} was made from another {name} than {whole.folder}: delete what is wrong")


def _undone(run: Run, verb: str, shard: ShardId) -> str:
    """What a shard lacks of a verb, in words; empty where it lacks nothing."""
    part = shard.run(run)
    stage, before = part.stage(verb), _before(part, verb)
    if not stage.exists:
        why = "it was not begun"
    else:
        reached, there = before.count(), stage.count() + stage.count_dropped()
        if there == reached:
            return ""
        why = f"{there} of {reached} questions have a line"
    state = state_of(part, verb)
    return f"{why} ({state.error})" if state and state.doing is Doing.failed else why


# ── put together ──────────────────────────────────────────────────────────────────────────────────


def _merge(run: Run, verb: str, every: Sequence[ShardId]) -> None:
    """Write a verb's folder; the manifest comes last, so that there is no folder of a verb that is not whole.

    Raises:
        UserError: the shards' lines are not those of the questions that reached the verb.
    """
    started_s = time.time()
    _open_many(2 * len(every))
    parts = [shard.run(run).stage(verb) for shard in every]
    stage = run.stage(verb)
    with (
        whole_file(stage.records_path) as records,
        whole_file(stage.dropped_path) as dropped,
        records.open("wb") as kept,
        dropped.open("wb") as gone,
    ):
        hands = [_Hand(part) for part in parts]
        count = _before(run, verb).count()
        for question_id, number in progress(f"gather {verb}", _reached(run, verb, len(every)), count):
            line, is_kept = hands[number - 1].take(question_id)
            (kept if is_kept else gone).write(line)
        for hand in hands:
            hand.check_empty()
    stage.write_index()
    if any(is_file(part.costs_path) for part in parts):
        with whole_file(stage.costs_path) as partial, partial.open("wb") as costs:
            for part in parts:
                costs.writelines(_whole_lines(part.costs_path))
    write_atomically(stage.manifest_path, parts[0].manifest_text())
    write_done(run, verb, State(doing=Doing.done, started_s=started_s, host=platform.node(), pid=os.getpid()))


def _reached(run: Run, verb: str, of: int) -> Iterator[tuple[str, int]]:
    """The questions that reached a verb, in the order of `load`, each with the number of its shard."""
    coming = _before(run, verb).ids()
    awaited = next(coming, None)
    for question in run.questions.stream():
        if question.question_id == awaited:
            yield question.question_id, number_of(question.video_id, of)
            awaited = next(coming, None)
    if awaited is not None:
        before = _before(run, verb)
        raise UserError(
            f"{before.folder}: question {awaited!r} was never loaded, or stands out of the order: "
            f"run `{before.command} run={run}` again, to its end"
        )


class _Hand:
    """A shard's lines of a verb, taken one after the other in the order of their questions."""

    def __init__(self, stage: Stage[Record]) -> None:
        self._stage = stage
        self._records, self._dropped = stage.keyed_lines(), stage.keyed_dropped_lines()
        self._record, self._drop = next(self._records, None), next(self._dropped, None)

    def take(self, question_id: str) -> tuple[bytes, bool]:
        """The line of a question, and whether it is a record; False where the question was dropped.

        Raises:
            UserError: it is not the next one.
        """
        if self._record and self._record[0] == question_id:
            line, self._record = self._record[1], next(self._records, None)
            return line, True
        if self._drop and self._drop[0] == question_id:
            line, self._drop = self._drop[1], next(self._dropped, None)
            return line, False
        raise UserError(
            f"{self._stage.folder}: question {question_id!r} has no line, or stands out of the order: "
            f"run `{self._stage.command}` of that shard again, to its end"
        )

    def check_empty(self) -> None:
        """
        Raises:
            UserError: a line is left over.
        """
        if left := self._record or self._drop:
            raise UserError(
                f"{self._stage.folder}: question {left[0]!r} has a line too many: delete that folder and run "
                f"`{self._stage.command}` of that shard again"
            )


def _whole_lines(path: Path) -> Iterator[bytes]:
    if is_file(path):
        yield from (line for _, line in lines(path) if line.endswith(b"\n"))


def _open_many(files: int) -> None:
    """Let this process have so many files open, where the system allows it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = files + 100
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard)
        )
