"""run: every verb in order, as `verbs` lists them.

Started again with the same settings, it goes on where it stopped.
"""

from rich.console import Console

from aotd.cli import JOBS, OUTSIDE, run_verb
from aotd.config import Config
from aotd.errors import UserError
from aotd.sandbox.layers import raised


def job(config: Config) -> None:
    """Do every verb of `config.verbs`."""
    unknown = [verb for verb in config.verbs if verb not in JOBS or verb in OUTSIDE]
    if unknown:
        steps = [verb for verb in JOBS if verb not in OUTSIDE]
        raise UserError(f"verbs: {unknown[0]!r} is not a step of the flow; one of {', '.join(steps)}")
    if "execute" in config.verbs:  # before hours of other work
        raised(config.execute.layers, config.execute.run_without_kernel_layers)
    console = Console(stderr=True)
    for verb in config.verbs:
        console.rule(verb, align="left")
        run_verb(verb, config)
