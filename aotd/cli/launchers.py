"""Hydra's launchers: the same work done here, in processes of their own, or as jobs of a SLURM cluster.

A launcher is found and built by Hydra itself, from its own files and the command line's `hydra.launcher.…`. No file of
configs=DIR is where it looks, so none can name a class; and what a job is to do comes to it whole, not as settings that
Hydra would compose there anew (docs/decisions/0007-hydra-jobs.md).
"""

from __future__ import annotations

import importlib
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from secrets import token_hex
from typing import Any

from hydra import initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from aotd.config.compose import one_line, without_environment
from aotd.errors import UserError, meant
from aotd.store.files import disk_errors
from aotd.store.shipped import shipped

LAUNCHERS = ("basic", "submitit_local", "submitit_slurm")
_OURS = ("submitit_folder", "nodes", "tasks_per_node")
"""Settings of launchers that are not for the user: a point is one process, and its logs have their place."""


@dataclass
class _Number:
    """All that Hydra composes for a job."""

    number: int = 0


ConfigStore.instance().store(name="point", node=_Number)


class Launcher:
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

    def launch(self, work: Callable[[Any], str], count: int, name: str, folder: Path) -> list[str]:
        """Do a work `count` times, and wait for all of it.

        Args:
            work: called with what holds the `number` of the job, from 0; it is pickled, where that is another process.
            name: of the jobs.
            folder: where the launcher may leave its own files.

        Returns:
            What the work returned, in the order of the numbers.

        Raises:
            UserError: the launcher's settings are wrong, or a job ended without an answer.
        """
        if not re.fullmatch(r"[\w./ ,=+@:~-]+", str(folder)):
            raise UserError(f"run={folder.parents[1]}: a sweep's run has a plain name, of letters, digits and ./_-")
        # Of a new name, which nobody can know: submitit reads pickles from there, and the run may be a stranger's.
        folder = folder / f"{datetime.now():%Y%m%d}-{token_hex(6)}"
        numbers = ",".join(str(number) for number in range(count))
        words = [f"hydra/launcher={self.name}", *self._settings.values(), "hydra.output_subdir=null"]
        words += ["hydra/job_logging=none", "hydra/hydra_logging=none"]
        words += [f"hydra.sweep.dir='{folder}'", "hydra.sweep.subdir='.'"]
        if self.name != "basic":
            words.append(f"hydra.launcher.submitit_folder='{folder}/%j'")
            os.environ["SUBMITIT_PREEMPT_SIGNAL"] = "USR1"  # which `aotd.runtime.signals` listens to
        with disk_errors(folder), _jobs_that_end(self.name, folder), without_environment():
            try:
                with initialize_config_dir(str(shipped("configs")), job_name=name, version_base="1.3"):
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
