"""Add a tool of your own: it reads the words that can be seen in a clip.

    python examples/my_tool.py run run=runs/signs dataset=files dataset.questions=signs.jsonl dataset.root=videos \\
        decompose.author=llm llm=transformers llm.model=… verbs=[load,decompose,execute,convert,verify,report]

The script takes every verb of `aotd`; programs may call `Read_text` beside the paper's tools. A program that calls it:

    def execute_command(video_clip, query, possible_answers):
        sign = trim(video_clip, None, 8)
        words = Read_text(sign, "sign")
        return select_answer(query, {"the words on the sign": words}, possible_answers)

Other processes cannot import a tool from a script. So `execute` uses one worker here, and refuses execute.workers=2;
a tool that stands in a module of yours knows no such limit.
"""

from __future__ import annotations

from aotd.cli.main import main
from aotd.records import TextFinding
from aotd.tools.toolbox import ToolContext, ToolError, ToolKind, tool
from aotd.tools.video import VIDEO_TOOLS
from aotd.video.clip import Clip, Pixels


def read_words(frames: Pixels) -> str:
    """Read the words in some frames. A stand-in, which takes what is white for one sign; a real one is an OCR model."""
    return "EXIT" if len(frames) and frames.max() > 200 else ""


@tool(
    ToolKind.frames,
    TextFinding,
    sentence="The words on the {query}: {finding}.",
    sentences={"": "I can read nothing on the {query}."},
)
def Read_text(context: ToolContext, clip: Clip, thing: str) -> str:
    """Read the words on a thing in a clip.

    Example:
        words = Read_text(video_clip, "sign")
    """
    if not isinstance(clip, Clip):
        raise ToolError("wants a clip")  # the program sees this as an exception
    return read_words(clip.video.pixels()[list(clip.numbers)])


TOOLS = VIDEO_TOOLS.with_tool(Read_text)

if __name__ == "__main__":
    raise SystemExit(main(toolbox=TOOLS))
