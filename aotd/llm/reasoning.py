"""Reasoning in a model's reply: what a model thinks aloud is cut from what it says, once, where the reply enters.

    <think>Red or blue? It says red.</think>A        thinks "Red or blue? It says red.", says "A"
    Red or blue? It says red.</think>A               the same: the chat template had written `<think>`
    <think>Red or blue? It                           says nothing: it never ended its reasoning

Models mark their reasoning in many ways:

- tags: `<think>`, `<thinking>`, `<thought>`, `<reasoning>`, `<scratchpad>`, `<reflection>` in any case, in full-width
  signs too, with attributes, blanks or a prefix (`<seed:think>`, `<mm:think>`, `<longcat_think>`);
- `[THINK]` (Magistral), `◁think▷` (Kimi), `<|START_THINKING|>` (Command A), `<|begin_of_thought|>` (Sky-T1),
  `<|inner_prefix|>` (Apertus), `<|channel>thought` (Gemma 4), `<unused94>thought` (MedGemma), `[unused16]` (Pangu);
- channels (gpt-oss): `<|channel|>analysis<|message|>…<|end|><|start|>assistant<|channel|>final<|message|>…`, and what
  is left of them where special tokens were skipped: `analysis…assistantfinal…`;
- sentences at the beginning: "Here is my thought process:" … "Here is my response:" (Granite), "Thinking..." …
  "...done thinking." (what Ollama prints), `<details type="reasoning">` (Open WebUI).

A mark that is quoted, or stands in a string or a comment of a program, is a word as others are. What a model says
before it thinks counts as thought, where something is said behind. A reply without a mark is left as it is, byte for
byte, but for the box that GLM puts around the whole of what it says.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Collection, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Split:
    """A reply, parted into what the model thought and what it said."""

    reasoning: str
    """What it thought, without the marks around; empty where it did not think aloud."""
    text: str
    """What it said."""
    closed: bool = True
    """False where it never ended its reasoning: then it said nothing."""


_WORD = (
    r"(?:ant)?(?:think(?:ing)?(?:_process)?|thoughts?|reason(?:ing)?(?:_process)?|scratch_?pad|monologue|reflection)"
)
_TAG = rf"(?:[a-z]\w*[:_])?{_WORD}(?::\w+)?"
_OPENING = re.compile(
    rf"<\s*{_TAG}(?:\s[^<>\n]*)?(?<!/)>"
    r"|<\|(?:(?:begin|start)_(?:of_)?)?(?:think(?:ing)?|thought|reasoning)(?:_(?:start|begin))?\|>"
    r"|<\|inner_prefix\|>|<\|im_start\|>think\b|<\|?channel\|?>[ \t]*(?:thought|thinking)\b(?!<\|message\|>)"
    r"|<unused94>(?:thought\b)?|\[unused16\]|◁\s*think(?:ing)?\s*▷|(?-i:\[(?:THINK|REASONING)\])",
    re.IGNORECASE,
)
_CLOSING = re.compile(
    rf"<\s*/\s*{_TAG}\s*>"
    r"|<\|(?:/|end_(?:of_)?)(?:think(?:ing)?|thought|reasoning)\|>|<\|(?:think(?:ing)?|thought|reasoning)_end\|>"
    r"|<\|inner_suffix\|>|<\|im_start\|>answer\b|<channel\|>|<\|/channel\|>"
    r"|<\|end\|>\s*<\|begin\|>\s*assistant\s*<\|content\|>"
    r"|<unused95>|\[unused17\]|◁\s*/\s*think(?:ing)?\s*▷|(?-i:\[/(?:THINK|REASONING)\])",
    re.IGNORECASE,
)
_CHANNEL = re.compile(
    r"(?:<\|start\|>\s*)?(?:\bassistant\s*)?<\|channel\|>\s*(?P<name>[a-z]+)[^<>\n]{0,80}(?:<\|constrain\|>\s*\w+\s*)?"
    r"<\|message\|>"
)
_CHANNEL_END = re.compile(r"<\|(?:end|return|call|start|channel)\|>")
_BARE_CHANNELS = re.compile(
    r"\s*(?:assistant)?analysis(?=\S).*?assistantfinal|\s*(?:assistant)?analysis\s.*?[^\w\s]\s?assistantfinal"
    r"|\s*assistantfinal(?=\W|[A-Z])",
    re.DOTALL,
)
_BARE_OPENED = re.compile(r"\s*(?:assistant)?analysis(?=[A-Z])")
_FRAMES = tuple(
    re.compile(rf"\s*{begins}(?P<thought>.*?){ends}", re.IGNORECASE | re.DOTALL)
    for begins, ends in (
        (r"\**here(?:'s| is) my thought process:", r"\**here(?:'s| is) my response:\**"),
        (r"thinking\.\.\.[ \t]*\n", r"\n\.\.\.done thinking\."),
        (r"<details\b[^<>]{0,200}\btype=\"reasoning\"[^<>]{0,200}>", r"</details>"),
    )
)
"""What begins and ends the reasoning at the beginning of a reply, and is no mark elsewhere."""
_WIDE = str.maketrans("＜＞／｜▁", "<>/|_")
_LITERAL = re.compile(
    r'"""(?:.*?)"""|'
    r"'''(?:.*?)'''|"
    r"(?<!`)`[^`\n]+`(?!`)|"
    r'"(?:[^"\\\n]|\\.)*"|'
    r"(?<!\w)'(?:[^'\\\n]|\\.)*'(?!\w)|"
    r"“[^“”\n]*”|‘[^‘’\n]*’(?!\w)|«[^«»\n]*»|「[^「」\n]*」|『[^『』\n]*』|"
    r"^[ \t]+#[^\n]*$",
    re.DOTALL | re.MULTILINE,
)
"""Where a mark is a word: a string or a comment of a program, code in a line, a quotation."""
_WRAPPER = re.compile(
    r"\s*(?:<(?P<tag>answer|response|output|final(?:_answer)?)>"
    r"|<\|(?:begin_of_solution|begin_of_box|start_response|answer_prefix)\|>)"
    r"(?P<inside>.*?)"
    r"(?:</(?:answer|response|output|final(?:_answer)?)>"
    r"|<\|(?:end_of_solution|end_of_box|end_response|answer_suffix)\|>)?\s*",
    re.IGNORECASE | re.DOTALL,
)
"""What models of these families put around the whole of what they say."""
_BOXED = re.compile(r"\s*<\|begin_of_box\|>((?:(?!<\|(?:begin|end)_of_box\|>).)*)<\|end_of_box\|>\s*", re.DOTALL)
"""A reply of GLM-4.5V that thinks or does not."""
_FENCE = re.compile(r"\s*(?:`{3,}|~{3,})[ \t]*\w*\s*")
_QUOTES = {'"': '"', "'": "'", "`": "`", "“": "”", "‘": "’", "«": "»", "「": "」", "『": "』", "(": ")", "‹": "›"}
_BEFORE_A_WORD = "([{“‘«‹「『=/\\|-"
_ENDS = ".!?:;…。！？：；"


def reasoning_mark(text: str) -> str:
    """The first mark of reasoning in a text, as it is or made inert (`aotd.prompts.inert`); empty where there is none.

    >>> reasoning_mark("The end.</think> a red bar"), reasoning_mark("I think it is red.")
    ('</think>', '')
    """
    text = _INERT.sub(r"[\1]", text.translate(_SHARP | _WIDE))
    found = [hit for mark in (_OPENING, _CLOSING, _CHANNEL, _BARE_MARK) if (hit := mark.search(text))]
    return min(found, key=lambda hit: hit.start())[0] if found else ""


def holds_reasoning_marks(text: str) -> bool:
    """Whether a text holds a mark of reasoning, wherever it stands."""
    return bool(reasoning_mark(text))


_SHARP = str.maketrans("‹›", "<>")
_INERT = re.compile(r"\((/?(?:THINK|REASONING|unused1[67]))\)")
_BARE_MARK = re.compile(r"assistantfinal(?![a-z])|\banalysis(?=[A-Z])|<(?=\s*/?\s*think(?:ing)?\s*▷)")


def split_reasoning(text: str, *, opened: bool = False) -> Split:
    """Part a reply into what the model thought and what it said.

    Args:
        text: the reply as it came.
        opened: whether the prompt ended in a mark that opens reasoning.

    >>> split_reasoning("Red or blue? Red.</think>A")
    Split(reasoning='Red or blue? Red.', text='A', closed=True)
    >>> split_reasoning("The sign says '<think>'.").text
    "The sign says '<think>'."
    """
    return _channels(text) or _framed(text) or _blocks(text, opened)


def opens_reasoning(prompt: str) -> bool:
    """Whether a prompt ends in a mark that opens reasoning, so that the model's reply begins inside.

    >>> opens_reasoning("<|im_start|>assistant\\n<think>\\n"), opens_reasoning("<think>\\n\\n</think>\\n\\n")
    (True, False)
    """
    end = prompt.rstrip()[-200:]
    return any(hit.end() == len(end) for hit in _OPENING.finditer(end)) or end.endswith("analysis<|message|>")


_CHANNEL_TOKENS = {
    "<|channel|>": {"<|message|>", "<|start|>", "<|end|>", "<|return|>", "<|call|>", "<|constrain|>"},
    "<|channel>": {"<channel|>"},
    "<|content|>": {"<|begin|>", "<|end|>"},
}
"""A token of a family -> the others that part its reasoning from its reply."""


def reasoning_tokens(vocabulary: Collection[str]) -> set[str]:
    """The tokens without which a model's reasoning cannot be told from its reply.

    Args:
        vocabulary: special tokens of the model.
    """
    marks = {token for token in vocabulary if _OPENING.fullmatch(token) or _CLOSING.fullmatch(token)}
    for token, others in _CHANNEL_TOKENS.items():
        if token in vocabulary:
            marks |= {token, *others} & set(vocabulary)
    return marks


_CLOSED_BY = (
    (re.compile(r"<\|inner_prefix\|>$"), "<|inner_suffix|>"),
    (re.compile(r"<\|im_start\|>think$", re.IGNORECASE), "<|im_start|>answer"),
    (re.compile(r"<\|channel>[ \t]*\w+$"), "<channel|>"),
    (re.compile(r"<\|channel\|>[ \t]*\w+$"), "<|/channel|>"),
    (re.compile(r"analysis<\|message\|>$"), "<|end|><|start|>assistant<|channel|>final<|message|>"),
    (re.compile(r"<unused94>(?:thought)?$"), "<unused95>"),
    (re.compile(r"\[unused16\]$"), "[unused17]"),
    (re.compile(r"<\|begin_(\w+)\|>$"), r"<|end_\1|>"),
    (re.compile(r"<\|start_(\w+)\|>$"), r"<|end_\1|>"),
    (re.compile(r"<\|START_(\w+)\|>$"), r"<|END_\1|>"),
    (re.compile(r"<\|(\w+)_(?:start|begin)\|>$"), r"<|\1_end|>"),
    (re.compile(r"<\|think\|>$"), "<|end|><|begin|>assistant<|content|>"),
    (re.compile(r"<\|(\w+)\|>$"), r"<|/\1|>"),
    (re.compile(r"<\s*([^\s<>]+)[^<>]*>$"), r"</\1>"),
    (re.compile(r"\[(\w+)\]$"), r"[/\1]"),
    (re.compile(r"◁\s*(\w+)\s*▷$"), r"◁/\1▷"),
)
"""An opening mark, and the mark that closes what it opened; the first that fits."""


def closing_mark(prompt: str) -> str:
    """The mark that closes the reasoning in which a prompt ends; empty where it ends in none.

    >>> closing_mark("<|im_start|>assistant\\n<think>\\n")
    '</think>'
    """
    end = prompt.rstrip()[-200:]
    if not opens_reasoning(end):
        return ""
    opening, closing = next((hit, closing) for mark, closing in _CLOSED_BY if (hit := mark.search(end)))
    return opening.expand(closing)


def _channels(text: str) -> Split | None:
    """The channels of gpt-oss; None where a text has none."""
    heads = list(_CHANNEL.finditer(text))
    if not heads:
        return _bare_channels(text)
    thought, said, final = [text[: heads[0].start()]], [], False
    for head, following in zip(heads, [*heads[1:], None], strict=True):
        part = text[head.end() : following.start() if following else len(text)]
        end = _CHANNEL_END.search(part)
        body = part[: end.start()] if end else part
        if head["name"] == "final":
            final = True
            said.append(body)
        else:
            thought.append(body)
    return _split(thought, _trimmed("".join(said)) if final else None, text)


def _bare_channels(text: str) -> Split | None:
    """Channels of which the special tokens were skipped."""
    head = _BARE_CHANNELS.match(text)
    if head:
        thought = re.sub(r"^\s*(?:assistant)?analysis|assistantfinal$", "", head[0])
        return _split([re.sub(r"assistant(?:analysis|commentary)", "\n", thought)], _trimmed(text[head.end() :]), text)
    return _split([text], None, text) if _BARE_OPENED.match(text) else None


def _framed(text: str) -> Split | None:
    head = next((hit for frame in _FRAMES if (hit := frame.match(text))), None)
    return _split([head["thought"]], _trimmed(text[head.end() :]), text) if head else None


@dataclass(frozen=True)
class _Mark:
    start: int
    end: int
    opens: bool


def _blocks(text: str, opened: bool) -> Split:
    """Blocks between an opening and a closing mark."""
    marks = sorted(_marks(text), key=lambda mark: mark.start)
    if not marks and not opened:
        boxed = _BOXED.fullmatch(text)
        return Split("", boxed[1].strip() if boxed else text)
    literal = [hit.span() for hit in _LITERAL.finditer(text)]
    real = [mark for mark in marks if not _inside(mark, literal) or _stands_out(text, mark)]
    walked = _walk(text, real, opened)
    if not walked.closed:
        # A quotation mark that stands for inches, or is never closed, does not hide where the reasoning ends.
        hidden = [mark for mark in marks if not mark.opens and mark not in real and not _quoted(text, mark)]
        if hidden:
            walked = _walk(text, sorted([*real, hidden[-1]], key=lambda mark: mark.start), opened)
    return walked


def _inside(mark: _Mark, spans: list[tuple[int, int]]) -> bool:
    """Whether a mark begins in one of some spans, which are in order."""
    before = bisect_right(spans, mark.start, key=lambda span: span[0]) - 1
    return before >= 0 and mark.start < spans[before][1]


def _marks(text: str) -> Iterator[_Mark]:
    text = text.translate(_WIDE)
    for pattern, opens in ((_OPENING, True), (_CLOSING, False)):
        for hit in pattern.finditer(text):
            yield _Mark(hit.start(), hit.end(), opens)


def _walk(text: str, marks: list[_Mark], opened: bool) -> Split:
    thought: list[str] = []
    said: list[str] = []
    behind = opened
    depth, at, thinks = int(opened), 0, opened
    word: _Mark | None = None
    """An opening mark that is a word of the sentence."""
    last_closing = max((number for number, mark in enumerate(marks) if not mark.opens), default=-1)
    for number, mark in enumerate(marks):
        if mark.opens:
            if not depth:
                if not thinks and _is_word(text, mark):
                    word = mark
                    continue
                said.append(text[at : mark.start])
                at, thinks = mark.end, True
            depth += 1
        elif not depth and word and "\n" not in text[word.end : mark.start] and _is_word(text, mark):
            word = None
        elif not depth:
            # The template wrote the opening, or the model went on thinking: what stands before was not the reply.
            thought += [*said, text[at : mark.start]]
            said, at, thinks, behind = [], mark.end, True, True
        else:
            # An opening that is never closed, inside a block, ends with the block.
            depth = depth - 1 if number < last_closing else 0
            if not depth:
                thought.append(text[at : mark.start])
                at = mark.end
    if not thinks:
        return Split("", text)
    if depth:
        return _split([*thought, *said, text[at:]], None, text)
    said.append(text[at:])
    if not behind and any(piece.strip() for piece in said[1:]) and not _FENCE.fullmatch(said[0]):
        # Said before it thought, if it is not a thought itself: the last word counts.
        thought.insert(0, said.pop(0))
        behind = True
    return _split(thought, _joined(said, behind), text)


def _is_word(text: str, mark: _Mark) -> bool:
    """Whether a mark is a word of a sentence ("the <think> tag"): not at the beginning of a line, nor glued to text."""
    before = text[max(mark.start - 200, 0) : mark.start]
    words = before.rstrip(" \t")
    if not words.strip() or words[-1] in f"\r\n{_ENDS}":
        return False
    parted = before != words or words[-1] in _BEFORE_A_WORD
    return parted and not re.match(r"\w", text[mark.end :])


def _stands_out(text: str, mark: _Mark) -> bool:
    """Whether a closing mark ends reasoning for all the quotation marks around: these need not come in pairs."""
    if mark.opens or _quoted(text, mark):
        return False
    alone = text[mark.start - 1 : mark.start] in ("", "\n") and not text[mark.end :].partition("\n")[0].strip()
    return alone or text[mark.start - 1 : mark.start] in tuple(_ENDS)


def _quoted(text: str, mark: _Mark) -> bool:
    """Whether quotation marks stand right around a mark."""
    before, after = text[mark.start - 1 : mark.start], text[mark.end : mark.end + 1]
    return bool(before) and _QUOTES.get(before) == after


def _trimmed(text: str) -> str:
    """Without the blank lines, or the blanks, that part it from the reasoning; a first line keeps its indentation."""
    blank = re.match(r"\s*\n", text)
    return text[blank.end() :] if blank else text.lstrip(" \t")


def _joined(pieces: list[str], behind: bool) -> str:
    """What stands around blocks, as one text.

    Args:
        behind: whether a block stands before the first piece.
    """
    text = ""
    for number, piece in enumerate(pieces):
        words = _trimmed(piece) if number or behind else piece
        if not words.strip():
            continue
        breaks = text and not text.endswith("\n") and "\n" in piece[: len(piece) - len(words)]
        glued = text and not text[-1].isspace()
        text += ("\n" if breaks or glued else "") + words
    return text


def _split(thought: list[str], said: str | None, text: str) -> Split:
    """`said` is None where the reasoning was never closed."""
    reasoning = "\n".join(part.strip() for part in thought if part.strip())
    if said is None:
        return Split(reasoning or text.strip(), "", closed=False)
    wrapper = _WRAPPER.fullmatch(said)
    if wrapper and not re.search(r"</?(?:answer|response|output|final(?:_answer)?)>", wrapper["inside"], re.IGNORECASE):
        said = wrapper["inside"].strip()
    return Split(reasoning, said if said.strip() else "")
