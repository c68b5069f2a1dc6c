"""aotd: verified chains of thought for videos, distilled into a Video-LLM.

Start reading at `aotd.records` and `aotd.verbs`.
"""

__version__ = "0.1.0"
