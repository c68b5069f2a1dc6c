"""`aotd` and `python -m aotd`. Each process that a verb starts imports this first, so nothing else is imported here."""

from __future__ import annotations

import sys


def main() -> int:
    """The command line (`aotd.cli.main`). Returns the exit status."""
    from aotd.cli.main import main as command_line

    return command_line()


if __name__ == "__main__":
    sys.exit(main())
