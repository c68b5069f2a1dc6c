"""aotd: verified chains of thought for videos, distilled into a Video-LLM.

`aotd.records` is the place to start reading; `aotd.cli.main` is the table of contents.
"""

__version__ = "0.1.0"
