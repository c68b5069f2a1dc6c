"""run: every verb in order, as `verbs` lists them.

Started again with the same settings, it goes on where it stopped. Before it begins it says what is there, what is to
do, and what stands in the way.
"""

from __future__ import annotations

import importlib
import inspect
import logging
import string
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aotd import tracking
from aotd.config.tree import Config, llm_roles
from aotd.datasets.benchmarks import CLIPS
from aotd.distill import DistillConfig
from aotd.errors import UserError
from aotd.llm import EngineName, LLMConfig, role_llm
from aotd.llm.load import release_engines
from aotd.records import Record
from aotd.runtime.gc import loading_modules
from aotd.runtime.output import say
from aotd.runtime.progress import console
from aotd.sandbox.layers import raised
from aotd.store.cache import cache_folder
from aotd.store.files import disk_errors
from aotd.store.run import Run
from aotd.store.shards import MOST, ShardConfig, ShardId, deal
from aotd.store.stage import Stage
from aotd.store.state import recorded
from aotd.verbs import FLOW, SHARDED, STEPS, VERBS, Verb

if TYPE_CHECKING:
    from aotd.tools.toolbox import Toolbox

_log = logging.getLogger(__name__)


def run_verb(name: str, config: Config, toolbox: Toolbox | None = None) -> None:
    """Do one verb, of the shard if there is one.

    How it ends is written down (`aotd.store.state`), and the tracker, where one is set, gets what came of it.

    Args:
        toolbox: the tools that programs may call; None: the paper's.
    """
    verb = VERBS[name]
    tracking.take_key()
    with disk_errors(Path(config.run)):
        config = narrowed(name, config)
    if not verb.in_run:
        _call(verb, config, toolbox)
        return
    run = Run(Path(config.run), config.first_losses)
    tracking.check(config.tracking, run)
    if config.tracking.tracker is tracking.TrackerName.none:
        _call(verb, config, toolbox)
        return
    from aotd.tracking.verbs import tracked

    root, split = config.dataset.root, config.evaluate.split
    with tracked(run, name, config.tracking, config.specialists, root, split):
        _call(verb, config, toolbox)


def narrowed(verb: str, config: Config) -> Config:
    """The settings with which a verb does the shard that they ask for: those of a run in the shard's folder.

    Its questions are dealt out if they have not been. What is not asked for a shard is left as it is.

    Raises:
        UserError: there is no such shard, the verb cannot be divided, or `load` has not come to its end.
    """
    number, of = config.shard.number, config.shard.of
    if (number, of) == (0, 0) or verb == "gather":
        return config
    stray = next((name for name in (config.verbs if verb == "run" else [verb]) if name not in SHARDED), "")
    if stray:
        raise UserError(
            f"shard.number={number} shard.of={of}: {stray} is not divided into shards, only {', '.join(SHARDED)} are: "
            + ("name those in verbs" if verb == "run" else "leave the shard out")
        )
    if not 1 <= number <= of <= MOST:
        raise UserError(
            f"shard.number={number} shard.of={of}: there is no such shard: of 1 to {MOST}, and number 1 to that"
        )
    run, shard = Run(Path(config.run), config.first_losses), ShardId(of, number)
    deal(run, shard)
    cache = cache_folder(config.cache, run)
    narrow = replace(deepcopy(config), run=str(shard.run(run)), shard=ShardConfig())
    if cache is not None:
        narrow.cache.folder = str(cache)
    narrow.llm.record = _record_of_shard(config.llm, shard)
    for setting, role in llm_roles(narrow).items():
        record = _record_of_shard(role_llm(config.llm, role, setting), shard)
        role.record = None if record == narrow.llm.record else record
    return narrow


def _record_of_shard(llm: LLMConfig, shard: ShardId) -> str:
    """The record of a language model in a shard: one process at a time records into a file."""
    if not llm.record or llm.engine is EngineName.replay:
        return llm.record
    path = Path(llm.record)
    return str(path.with_name(f"{path.stem}.{shard.number}-of-{shard.of}{path.suffix}"))


def _call(verb: Verb, config: Config, toolbox: Toolbox | None) -> None:
    run = Run(Path(config.run), config.first_losses)
    told = verb.in_run and not config.load.dry_run
    with disk_errors(run.folder), recorded(run, verb.name) if told else nullcontext():
        started = time.monotonic()
        with loading_modules():
            module = importlib.import_module(verb.module)
        if "specialists" in verb.settings:  # the verb loads other models: the memory is theirs
            release_engines()
        _log.debug("%s: modules loaded in %.1f s", verb.name, time.monotonic() - started)
        module.job(**arguments(verb, config, module.job, toolbox))
        _log.debug("%s: done in %.1f s", verb.name, time.monotonic() - started)
    if verb.name == "load" and config.load.dry_run and config.dataset.name != CLIPS:
        for line in _intentions(vars(config)):
            say(line)


def arguments(verb: Verb, config: Config, job: Callable[..., object], toolbox: Toolbox | None = None) -> dict[str, Any]:
    """What a verb's job is called with: the run, the settings that its row names, and the toolbox if it takes one."""
    given: dict[str, Any] = {"config": config}
    if verb.settings != ("*",):
        given = {
            "run": Run(Path(config.run), config.first_losses),
            **{name: getattr(config, name) for name in verb.settings},
        }
    if toolbox is not None and "toolbox" in inspect.signature(job).parameters:
        given["toolbox"] = toolbox
    return given


def job(config: Config, toolbox: Toolbox | None = None) -> None:
    """Do every verb of `config.verbs`, with the tools that programs may call."""
    unknown = [verb for verb in config.verbs if verb not in STEPS]
    if unknown:
        raise UserError(f"verbs: {unknown[0]!r} is not a step of the flow; one of {', '.join(STEPS)}")
    if "execute" in config.verbs:  # before hours of other work
        raised(config.execute.layers, config.execute.run_without_kernel_layers)
    for line in plan(config, toolbox):
        _log.info(line)
    for verb in config.verbs:
        if _log.isEnabledFor(logging.INFO):
            console.rule(verb, align="left")
        run_verb(verb, config, toolbox)


def _intentions(settings: Mapping[str, Any]) -> Iterator[str]:
    """What `aotd run` would do, with the settings that matter most."""
    yield f"aotd run would, in {settings['run']}:"
    for name in settings["verbs"]:
        sentence = VERBS[name].dry_run if name in VERBS else ""
        yield f"  {name:<10} {_Settings().format(sentence, **settings)}"
    yield "dry run: nothing was written"


class _Settings(string.Formatter):
    """Puts settings into a sentence of the table of verbs."""

    def format_field(self, value: Any, format_spec: str) -> str:
        return ", ".join(value) if isinstance(value, list) else str(value)


def plan(config: Config, toolbox: Toolbox | None = None) -> list[str]:
    """What a run will do, a line for each verb of the flow, and where the rest is found.

    Raises:
        UserError: a verb that is to be done has a folder that was made otherwise; or its settings are wrong.
    """
    run, lines = Run(Path(config.run), config.first_losses), []
    given: int | None = None
    """Questions that the verb before hands on, where that is known."""
    for verb in (verb for verb in FLOW if verb in config.verbs):
        stage = run.stage(verb)
        if not stage.exists:
            lines.append(f"{verb:10} {_left(given)}")
            given = None
            continue
        if verb != "load" and run.stage(FLOW[FLOW.index(verb) - 1]).exists:  # else the verb itself will say so
            decides = importlib.import_module(VERBS[verb].module).decides
            _check_unchanged(stage, decides(**arguments(VERBS[verb], config, decides, toolbox)))
        passed, dropped = stage.count(), stage.count_dropped()
        left = None if given is None else given - passed - dropped
        there = f"{passed} there" + (f", {dropped} dropped" if dropped else "")
        lines.append(f"{verb:10} {there}" + ("" if verb == "load" else f"; {_left(left)}"))
        given = passed if left == 0 or verb == "load" else None
    if "distill" in config.verbs:
        _check_mixtures(config.distill, Path(config.run))
        lines.append(f"{'distill':10} {len(run.students())} students there")
    folder = cache_folder(config.cache, run)
    if folder is not None:
        lines.append(f"what models said before stands in {folder}; they are not asked again")
    return lines


def _check_mixtures(distill: DistillConfig, run: Path) -> None:
    """Check that the runs that wanted arms learn from are there: before hours of other work."""
    mixtures = {"distill.mixture": distill.mixture}
    for name, arm in distill.arms.items():
        if not distill.only or name in distill.only:
            mixtures[f"distill.arms.{name}.mixture"] = arm.mixture or []
    for setting, mixture in mixtures.items():
        for part in mixture:
            if Path(part.run) != run and not Run(Path(part.run)).questions.folder.is_dir():
                raise UserError(
                    f"{setting}: there is no run at {part.run!r}: make it first, or run until then with verbs=[…]"
                )


def _left(given: int | None) -> str:
    """What is to do, of which may not be known yet how much it is."""
    return "to do" if given is None else f"{given or 'nothing'} to do"


def _check_unchanged(stage: Stage[Record], decides: Mapping[str, Any]) -> None:
    changed = stage.changed(**decides)
    if changed:
        behind = [
            verb for verb in list(VERBS)[list(VERBS).index(stage.name) :] if (stage.folder.parent / verb).is_dir()
        ]
        raise UserError(
            f"{changed}: give this run another name (run=…), then only what depends on the change is asked anew; "
            f"or delete what was made of it ({', '.join(behind)}) in {stage.folder.parent}"
        )
