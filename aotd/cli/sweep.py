"""Sweeps: one job for each point, started by a launcher of Hydra's (docs/decisions/0007-hydra-jobs.md).

    aotd distill -m run=runs/mine distill.rationale_weight=0.5,1,2
    runs/mine/sweep/distill.rationale_weight=0.5/distill/…        a run of its own for each point
    runs/mine/sweep/distill.rationale_weight=0.5/verify -> ../../verify        what the points have in common

Every point is composed and checked here, before the first is begun. The jobs get whole settings and compose none.
"""

from __future__ import annotations

import itertools
import logging
import re
import signal
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, ValueType
from hydra.errors import HydraException

from aotd.cli.launchers import Launcher
from aotd.cli.logs import configure
from aotd.commands.run import run_verb
from aotd.config.command_line import read_settings
from aotd.config.compose import one_line
from aotd.config.texts import is_text, split
from aotd.config.tree import Config
from aotd.distill.ranks import is_launched
from aotd.errors import QuestionError, UserError
from aotd.runtime.output import open_streams, say, wide_console
from aotd.runtime.signals import Stopped, listening, tell
from aotd.store.cache import cache_folder
from aotd.store.cache import key as digest
from aotd.store.files import disk_errors, make_folder
from aotd.store.run import Run
from aotd.verbs import STEPS, VERBS
from aotd.view.question import scores
from aotd.view.tables import arms_sheet, drawn

_HEEDED = {verb: () if verb == "select" else VERBS[verb].explains for verb in STEPS}
"""What decides a step's outcome, beside its own settings. No record depends on what `select` has ranked."""
MADE_BY = {
    **{part: verb for verb in reversed(STEPS) for part in (verb, *_HEEDED[verb]) if part != "shard"},
    "seed": "load",
}
"""Part of the settings -> the first verb whose outcome depends on it; verbs before that one are done once for all
points."""

_MOST = 1000
"""Points of a sweep; SLURM takes no longer array, if it is not told to."""


@dataclass(frozen=True)
class Point:
    """One job."""

    name: str
    """The swept settings, as its folder is called."""
    config: Config


@dataclass
class SweepJob:
    """What a job does; it is called with the number of its point."""

    verb: str
    points: list[Point]
    level: int = logging.INFO
    """How much is said (`aotd.cli.logs`)."""

    def __call__(self, told: Any) -> str:
        """Do the point; the words of a person's mistake, empty where there was none."""
        open_streams()
        configure(self.level)
        point = self.points[told.number]
        try:
            with listening():
                run_verb(self.verb, point.config)
        except (UserError, QuestionError) as error:
            return str(error)
        except Stopped as stopped:
            # Under submitit it has a handler of its own, which has the job queued again where that is wanted.
            handler = signal.getsignal(stopped.number)
            if callable(handler) and handler not in (tell, signal.default_int_handler):
                handler(stopped.number, None)
            raise
        except Exception:
            traceback.print_exc()  # into the job's log, where there is one
            raise
        return ""


def sweep(verb: str, words: Sequence[str]) -> None:
    """Do a verb for each combination of the swept settings, and print the points beside each other.

    Raises:
        UserError: nothing to sweep over, a point whose settings are wrong, a launcher that is not there; or a point
            that failed, after all are done.
    """
    if verb not in (*STEPS, "run"):
        raise UserError(f"-m: {verb} is no step of the flow: sweep one of run, {', '.join(STEPS)}")
    if is_launched():
        raise UserError("-m: a sweep is not for torchrun, which shares out one job: begin one sweep, without it")
    launcher = Launcher([word for word in words if word.lstrip("+~").startswith("hydra")])
    points = _points(verb, [word for word in words if not word.lstrip("+~").startswith("hydra")])
    run = Path(points[0].config.run)
    if any(point.config.shard.of for point in points):
        raise UserError("-m: a point is done as a whole: leave shard.number and shard.of out")
    shared = _shared(verb, points)
    launcher.check()
    points = [_placed(run, point, shared) for point in points]
    for point in points:
        done = point.config.verbs if verb == "run" else [verb]
        _link(run, Path(point.config.run), shared, bool({"distill", "evaluate"} & set(done)))
    failed = launcher.launch(
        SweepJob(verb, points, logging.getLogger("aotd").level), len(points), f"aotd-{verb}", run / "sweep" / "jobs"
    )
    _print(points)
    if any(failed):
        told = [f"{point.name}: {why}" for point, why in zip(points, failed, strict=True) if why]
        raise UserError(f"{len(told)} of {len(points)} points failed: {'; '.join(told)}")


def _points(verb: str, words: Sequence[str]) -> list[Point]:
    """The points, whose settings are whole and checked, and all different."""
    fixed, axes = [], []
    for word in words:
        key, value = word.split("=", 1)
        if key in ("configs", "run"):
            fixed.append(word)  # as typed: a comma in it is a comma
            continue
        found = _choices(key, value)
        axes.append([(word, False)] if found is None else [(f"{key}={one}", True) for one in found])
    count = 1
    for axis in axes:
        count *= len(axis)
    if not 1 <= count <= _MOST:
        raise UserError(f"-m: a sweep has 1 to {_MOST} points")
    if not any(swept for axis in axes for _, swept in axis):
        raise UserError("-m: nothing to sweep over: give a setting several values, as distill.rationale_weight=0.5,1,2")
    points = {}
    for chosen in itertools.product(*axes):
        config = read_settings(verb, [*fixed, *(word for word, _ in chosen)])
        name = _folder_name(",".join(word for word, swept in chosen if swept))
        if name in points:
            raise UserError(f"-m: {name} is there twice")
        points[name] = Point(name, config)
    if len({point.config.run for point in points.values()}) > 1:
        raise UserError("-m: the points name different runs: say in which they are to lie (run=…)")
    return list(points.values())


def _choices(key: str, value: str) -> list[str] | None:
    """The values that a setting is swept over; None where it has one value.

    Raises:
        UserError: they cannot be read, or cannot be counted.
    """
    text = is_text(key.lstrip("+"))
    try:
        (override,) = OverridesParser.create().parse_overrides([f"{key}={value}"])
    except (HydraException, ValueError) as error:
        if not text:
            raise UserError(one_line(error)) from None
        override = None
    if override is not None and override.is_sweep_override():
        if not text or override.value_type is not ValueType.SIMPLE_CHOICE_SWEEP:
            return _counted(override)
    elif not text:
        return None
    # Commas separate texts as they are typed.
    found = re.split(r"(?<=\])\s*,\s*(?=\[)", value) if value.startswith("[") else split(value)
    if len(found) < 2:
        return None
    if "" in found:
        raise UserError(f"-m: {key}={value}: a value is empty: take the comma away, or write ''")
    return found


def _counted(override: Override) -> list[str]:
    """Values of a sweep in Hydra's grammar; some more than a sweep may have, where there are too many."""
    if not override.is_discrete_sweep():
        raise UserError(f"-m: {override.input_line}: write the values, as 1,2,3 or range(1,4)")
    if override.value_type is ValueType.GLOB_CHOICE_SWEEP:
        raise UserError(f"-m: {override.input_line}: write the names out")
    return list(itertools.islice(override.sweep_string_iterator(), _MOST + 1))


def _folder_name(text: str) -> str:
    """A name of a folder for some settings: odd characters become `_`, and a digest then tells names apart."""
    plain = re.sub(r"[^A-Za-z0-9_.,=+-]", "_", text)
    return plain if plain == text and len(text) <= 120 else f"{plain[:110]}-{digest(text)[:8]}"


def _shared(verb: str, points: Sequence[Point]) -> list[str]:
    """The verbs of the flow that no swept setting bears on, in their order: their folders are the run's own.

    Raises:
        UserError: a point differs from the others in nothing that matters, or not to this verb; or the run lacks one.
    """
    first = points[0].config
    parts = {
        part.name
        for part in fields(Config)
        if any(getattr(point.config, part.name) != getattr(first, part.name) for point in points)
    }
    bearing = [STEPS.index(MADE_BY[part]) for part in parts if part in MADE_BY]
    if not bearing:
        raise UserError(f"-m: the points differ in {', '.join(sorted(parts)) or 'nothing'}, on which no result depends")
    if any(point.config.specialists.source is not first.specialists.source for point in points):
        bearing.append(STEPS.index("load"))
    begin = min(bearing)
    if verb in STEPS and STEPS.index(verb) < begin:
        raise UserError(f"-m: {verb} comes before {STEPS[begin]}, the first verb that the points differ in")
    shared, run = STEPS[:begin], Path(first.run)
    if verb == "run":
        missing = [one for one in shared if one in first.verbs and one != "select" and not (run / one).is_dir()]
        if missing:
            raise UserError(
                f"-m: {run / missing[0]} is not there: what the points have in common is made first, "
                f"by the same command without -m and the swept settings, and with verbs=[{','.join(missing)}]"
            )
        if not set(first.verbs) - set(shared):
            raise UserError(f"verbs: none of {', '.join(first.verbs)} is there to be done for each point")
    if "load" in shared and not (run / "load").is_dir() and not first.distill.mixture:
        raise UserError(f"{run / 'load'} is not there: run `aotd load` first")
    return list(shared)


def _placed(run: Path, point: Point, shared: Sequence[str]) -> Point:
    """The point in a run of its own; its cache is that of the run it belongs to."""
    config = point.config
    cache = replace(config.cache, folder=str(cache_folder(config.cache, Run(Path(config.run))) or ""))
    verbs = [verb for verb in config.verbs if verb not in shared]
    return replace(point, config=replace(config, run=str(run / "sweep" / point.name), cache=cache, verbs=verbs))


def _link(run: Path, own: Path, shared: Sequence[str], views: bool) -> None:
    """Have a point's folder hold what it has in common with the others, as links.

    Args:
        views: also what students keep of videos, which is named for all that decides it.
    """
    wanted = [verb for verb in shared if (run / verb).is_dir()]
    with disk_errors(own):
        make_folder(own)
        if views and "distill" not in shared:
            make_folder(run / "distill" / "views")
            make_folder(own / "distill")
            wanted.append("distill/views")
        for name in wanted:
            up = "../" * (2 + name.count("/"))
            with suppress(FileExistsError):
                (own / name).symlink_to(f"{up}{name}", target_is_directory=True)


def _print(points: Sequence[Point]) -> None:
    """The points' scores beside each other, as far as they have been evaluated; else where they lie."""
    console = wide_console()
    found = [
        one.model_copy(update={"arm": f"{point.name} {one.arm}"})
        for point in points
        for one in scores(Run(Path(point.config.run)))
    ]
    if found:
        console.print(drawn(arms_sheet(found)))
    for point in points:
        say(point.config.run)
