"""A verb's job, called as the command line calls it, without the state and the tracking that `run_verb` adds."""

from __future__ import annotations

import importlib

from aotd.commands.run import arguments
from aotd.config.tree import Config
from aotd.verbs import VERBS


def do(verb: str, config: Config) -> None:
    """Call the job of a verb with the parts of the settings that its row names."""
    job = importlib.import_module(VERBS[verb].module).job
    job(**arguments(VERBS[verb], config, job))
