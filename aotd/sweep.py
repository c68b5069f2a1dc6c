"""Sweeps: one job for each point, started by a launcher of Hydra's (docs/decisions/0007-hydra-jobs.md).

    aotd distill -m run=runs/mine distill.rationale_weight=0.5,1,2
    runs/mine/sweep/distill.rationale_weight=0.5/distill/…        a run of its own for each point
    runs/mine/sweep/distill.rationale_weight=0.5/verify -> ../../verify        what the points have in common

Every point is composed and checked here, before the first is begun. The jobs get whole settings and compose none: what
Hydra itself composes to find its launcher are its own files and the command line's `hydra.launcher.…`, and never a file
of configs=DIR.
"""

from __future__ import annotations

import importlib
import itertools
import os
import re
import shutil
import signal
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, replace
from datetime import datetime
from pathlib import Path
from secrets import token_hex
from typing import Any

from hydra import initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console

from aotd.cache import cache_folder
from aotd.cache import key as digest
from aotd.cli import JOBS, OUTSIDE, TEXT, TEXT_BY_NAME, read_settings, run_verb
from aotd.config import Config, one_line, shipped, without_environment
from aotd.disk import disk_errors, make_folder
from aotd.distill.processes import is_launched
from aotd.errors import QuestionError, UserError
from aotd.misspelt import meant
from aotd.stop import Stopped, listening, tell
from aotd.story import scores
from aotd.tables import arms_sheet, drawn, wide_console

FLOW = [verb for verb in JOBS if verb not in OUTSIDE]

MADE_BY = {
    **dict.fromkeys(("dataset", "load", "seed"), "load"),
    **dict.fromkeys(("llm", "decompose"), "decompose"),
    **dict.fromkeys(("specialists", "execute"), "execute"),
    **dict.fromkeys(("student", "distill"), "distill"),
    **{part: part for part in ("select", "convert", "verify", "evaluate", "report")},
}
"""Part of the settings -> the first verb whose outcome hangs on it; what stands before it points can have in common."""

LAUNCHERS = ("basic", "submitit_local", "submitit_slurm")
_OURS = ("submitit_folder", "nodes", "tasks_per_node")
"""Settings of launchers that are not for the user: a point is one process, and its logs have their place."""
_MOST = 1000
"""Points of a sweep; SLURM takes no longer array, if it is not told to."""


@dataclass(frozen=True)
class Point:
    """One job."""

    name: str
    """The swept settings, as its folder is called."""
    config: Config


@dataclass
class Work:
    """What a job does; it is called with the number of its point."""

    verb: str
    points: list[Point]

    def __call__(self, told: Any) -> str:
        """Do the point; the words of a person's mistake, empty where there was none."""
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


@dataclass
class _Number:
    """All that Hydra composes for a job."""

    number: int = 0


ConfigStore.instance().store(name="point", node=_Number)


def sweep(verb: str, words: Sequence[str]) -> None:
    """Do a verb for each combination of the swept settings, and print the points beside each other.

    Raises:
        UserError: nothing to sweep over, a point whose settings are wrong, a launcher that is not there; or a point
            that failed, after all are done.
    """
    if verb not in (*FLOW, "run"):
        raise UserError(f"-m: {verb} is no step of the flow: sweep one of run, {', '.join(FLOW)}")
    if is_launched():
        raise UserError("-m: a sweep is not for torchrun, which shares out one job: begin one sweep, without it")
    launcher = _Launcher([word for word in words if word.lstrip("+~").startswith("hydra")])
    points = _points(verb, [word for word in words if not word.lstrip("+~").startswith("hydra")])
    run = Path(points[0].config.run)
    shared = _shared(verb, points)
    launcher.check()
    points = [_placed(run, point, shared) for point in points]
    for point in points:
        done = point.config.verbs if verb == "run" else [verb]
        _link(run, Path(point.config.run), shared, bool({"distill", "evaluate"} & set(done)))
    # Of a new name, which nobody can know: submitit reads pickles from there, and the run may be a stranger's.
    failed = launcher.launch(Work(verb, points), run / "sweep" / "jobs" / f"{datetime.now():%Y%m%d}-{token_hex(6)}")
    _print(points)
    if any(failed):
        told = [f"{point.name}: {why}" for point, why in zip(points, failed, strict=True) if why]
        raise UserError(f"{len(told)} of {len(points)} points failed: {'; '.join(told)}")


def _points(verb: str, words: Sequence[str]) -> list[Point]:
    """The points, whose settings are whole and checked, and all different."""
    fixed, axes = [], []
    for word in words:
        name = word.split("=", 1)[0]
        if name == "configs" or name in TEXT or name.rpartition(".")[0] in TEXT_BY_NAME:
            fixed.append(word)  # as typed: a comma in it is a comma
            continue
        try:
            (override,) = OverridesParser.create().parse_overrides([word])
            swept = override.is_sweep_override()
            values = list(itertools.islice(_values(override), _MOST + 1)) if swept else []
        except (HydraException, ValueError) as error:
            raise UserError(one_line(error)) from None
        axes.append([(f"{override.get_key_element()}={value}", True) for value in values] if swept else [(word, False)])
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


def _values(override: Override) -> Iterator[str]:
    if not override.is_discrete_sweep():
        raise UserError(f"-m: {override.input_line}: write the values, as 1,2,3 or range(1,4)")
    if override.value_type is not None and override.value_type.name == "GLOB_CHOICE_SWEEP":
        raise UserError(f"-m: {override.input_line}: write the names out")
    yield from override.sweep_string_iterator()


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
    bearing = [FLOW.index(MADE_BY[part]) for part in parts if part in MADE_BY]
    if not bearing:
        raise UserError(f"-m: the points differ in {', '.join(sorted(parts)) or 'nothing'}, on which no result depends")
    if any(point.config.specialists.source is not first.specialists.source for point in points):
        bearing.append(FLOW.index("load"))
    begin = min(bearing)
    if verb in FLOW and FLOW.index(verb) < begin:
        raise UserError(f"-m: {verb} comes before {FLOW[begin]}, the first verb that the points differ in")
    shared, run = FLOW[:begin], Path(first.run)
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
    return shared


def _placed(run: Path, point: Point, shared: Sequence[str]) -> Point:
    """The point in a run of its own; its cache is that of the run it belongs to."""
    config = point.config
    cache = replace(config.cache, folder=str(cache_folder(config.cache, config.run) or ""))
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


class _Launcher:
    """The launcher that the command line names, with its settings."""

    def __init__(self, words: Sequence[str]) -> None:
        """
        Raises:
            UserError: a launcher that is none, or a setting of Hydra's that is not a launcher's.
        """
        self.name, self._settings = "basic", dict[str, str]()
        for word in words:
            name, _, value = word.partition("=")
            setting = re.fullmatch(r"\+?hydra\.launcher\.([a-z][a-z_]*)", name)
            if name == "hydra/launcher":
                if value not in LAUNCHERS:
                    near = meant(value, LAUNCHERS, "hydra/launcher=") or ":"
                    raise UserError(f"settings: there is no {word}{near} it can be {', '.join(LAUNCHERS)}")
                self.name = value
            elif setting and setting[1] not in _OURS and not _holds_names(word):
                self._settings[setting[1]] = word
            else:
                raise UserError(
                    f"settings: there is no setting {name}: of Hydra's own aotd takes hydra/launcher=… and its settings"
                )

    def check(self) -> None:
        """
        Raises:
            UserError: it has no such setting; what it needs is not installed, or not on this machine.
        """
        known = list[str]()
        if self.name != "basic":
            try:
                queues = importlib.import_module("hydra_plugins.hydra_submitit_launcher.config")
            except ImportError:
                raise UserError(f"hydra/launcher={self.name} needs submitit: pip install 'aotd[slurm]'") from None
            queue = queues.SlurmQueueConf if self.name == "submitit_slurm" else queues.LocalQueueConf
            known = [item.name for item in fields(queue)]
        for name in self._settings:
            if name not in known:
                near = meant(name, known, "hydra.launcher.")
                raise UserError(f"settings: hydra/launcher={self.name} has no setting hydra.launcher.{name}{near}")
        if self.name == "submitit_slurm" and not (shutil.which("srun") and shutil.which("sbatch")):
            raise UserError("hydra/launcher=submitit_slurm: there is no sbatch here: submit from a node of the cluster")

    def launch(self, work: Work, folder: Path) -> list[str]:
        """Do the work and wait for its end. What each point failed of; empty where it did not.

        Args:
            folder: where the launcher may leave its own files.

        Raises:
            UserError: the launcher's settings are wrong, or a job ended without an answer.
        """
        if not re.fullmatch(r"[\w./ ,=+@:~-]+", str(folder)):
            raise UserError(f"run={folder.parents[2]}: a sweep's run has a plain name, of letters, digits and ./_-")
        numbers = ",".join(str(number) for number in range(len(work.points)))
        words = [f"hydra/launcher={self.name}", *self._settings.values(), "hydra.output_subdir=null"]
        words += ["hydra/job_logging=none", "hydra/hydra_logging=none"]
        words += [f"hydra.sweep.dir='{folder}'", "hydra.sweep.subdir='.'"]
        if self.name != "basic":
            words.append(f"hydra.launcher.submitit_folder='{folder}/%j'")
            os.environ["SUBMITIT_PREEMPT_SIGNAL"] = "USR1"  # which `aotd.stop` listens to
        with disk_errors(folder), _jobs_that_end(self.name, folder), without_environment():
            try:
                with initialize_config_dir(str(shipped("configs")), job_name=f"aotd-{work.verb}", version_base="1.3"):
                    hydra = GlobalHydra.instance().hydra
                    assert hydra is not None
                    (done,) = hydra.multirun("point", work, [*words, f"number={numbers}"], with_log_configuration=False)
            except (HydraException, OmegaConfBaseException) as error:
                raise UserError(one_line(error)) from None
        return [one.return_value for one in done]


def _holds_names(word: str) -> bool:
    """Whether a value of a setting holds keys that Hydra would act on, such as `_target_`."""

    def within(value: Any) -> bool:
        if isinstance(value, dict):
            return any(str(name).startswith("_") or within(one) for name, one in value.items())
        return isinstance(value, list) and any(within(one) for one in value)

    try:
        (override,) = OverridesParser.create().parse_overrides([word])
    except (HydraException, ValueError) as error:
        raise UserError(one_line(error)) from None
    return override.is_sweep_override() or within(override.value())


@contextmanager
def _jobs_that_end(launcher: str, folder: Path) -> Iterator[None]:
    """
    Raises:
        UserError: a job of submitit's was killed, or could not be submitted.
    """
    if launcher == "basic":
        yield
        return
    from submitit.core.utils import UncompletedJobError

    try:
        yield
    except UncompletedJobError as error:
        last = next((line for line in reversed(str(error).splitlines()) if line.strip()), "")
        raise UserError(
            f"jobs were not taken, or one ended without an answer ({last.strip()}): logs are in {folder}; "
            "the same command goes on"
        ) from None


def _print(points: Sequence[Point]) -> None:
    """The points' scores beside each other, as far as they have been evaluated; else where they lie."""
    console = wide_console()
    found = [
        one.model_copy(update={"arm": f"{point.name} {one.arm}"})
        for point in points
        for one in scores(Path(point.config.run))
    ]
    if found:
        console.print(drawn(arms_sheet(found)))
    for point in points:
        Console().print(point.config.run, highlight=False, markup=False, soft_wrap=True)
