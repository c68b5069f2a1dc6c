"""Cutting what a model thinks aloud from what it says."""

from __future__ import annotations

import pytest

from aotd.llm.reasoning import (
    Split,
    closing_mark,
    holds_reasoning_marks,
    opens_reasoning,
    reasoning_tokens,
    split_reasoning,
)
from aotd.prompts import inert, one_line

CODE = "def execute_command(video_clip, query, possible_answers):\n    return possible_answers[1]\n"
FENCED = f"```python\n{CODE}```"
DRAFT = "A first idea:\n```python\ndef execute_command(a, b, c):\n    return c[0]\n```\nNo."

PAIRS = [
    *(("<think>", "</think>"), ("<thinking>", "</thinking>"), ("<thought>", "</thought>")),
    *(("<reasoning>", "</reasoning>"), ("<THINK>", "</THINK>"), ("<Thought>", "</Thought>")),
    *(('<think lang="en">', "</think>"), ("< think >", "</ think >"), ("<think\t>", "< /think>")),
    *(("<seed:think>", "</seed:think>"), ("<mm:think>", "</mm:think>"), ("<longcat_think>", "</longcat_think>")),
    *(("<think:opensource>", "</think:opensource>"), ("<antThinking>", "</antThinking>"), ("<reason>", "</reason>")),
    *(("[THINK]", "[/THINK]"), ("[REASONING]", "[/REASONING]"), ("◁think▷", "◁/think▷")),
    *(
        ("<scratchpad>", "</scratchpad>"),
        ("<REFLECTION>", "</REFLECTION>"),
        ("<inner_monologue>", "</inner_monologue>"),
    ),
    ("<thinking_process>", "</thinking_process>"),
    *(("<|begin_of_thought|>", "<|end_of_thought|>"), ("<|START_THINKING|>", "<|END_THINKING|>")),
    *(("<|thinking|>", "<|/thinking|>"), ("<|think_start|>", "<|think_end|>")),
    *(("<|inner_prefix|>", "<|inner_suffix|>"), ("<unused94>thought", "<unused95>"), ("[unused16]", "[unused17]")),
    *(("<|channel>thought\n", "<channel|>"), ("<|channel|>thought\n", "<|/channel|>")),
    *(("<|think|>", "<|end|><|begin|>assistant<|content|>"), ("<|im_start|>think\n", "<|im_start|>answer\n")),
    ("Here is my thought process:", "Here is my response:"),
]


@pytest.mark.parametrize(("opening", "closing"), PAIRS)
def test_every_family_is_cut(opening: str, closing: str) -> None:
    split = split_reasoning(f"{opening}\n{DRAFT}\n{closing}\n\n{FENCED}")
    assert split == Split(DRAFT, FENCED)
    assert split_reasoning(f"  {opening}Is it red?{closing}A").text == "A"


@pytest.mark.parametrize(("opening", "closing"), PAIRS[:-1])
def test_opening_that_the_template_wrote(opening: str, closing: str) -> None:
    assert split_reasoning(f"{DRAFT}\n{closing}\n\n{FENCED}") == Split(DRAFT, FENCED)
    assert split_reasoning(f"{DRAFT}\n{closing}\n\n{FENCED}", opened=True) == Split(DRAFT, FENCED)


@pytest.mark.parametrize(("opening", "closing"), PAIRS[:-1])
def test_never_closed_says_nothing(opening: str, closing: str) -> None:
    assert split_reasoning(f"{opening}\n{DRAFT}") == Split(DRAFT, "", closed=False)
    assert split_reasoning(f"{opening}") == Split(opening.strip(), "", closed=False)
    assert split_reasoning(f"{opening}one{closing}\nA\n{opening}or is it").text == ""
    assert split_reasoning("so it must be red", opened=True) == Split("so it must be red", "", closed=False)


@pytest.mark.parametrize(("opening", "closing"), PAIRS)
def test_mark_is_found_in_any_place(opening: str, closing: str) -> None:
    if opening != PAIRS[-1][0]:
        assert holds_reasoning_marks(f"I look. {opening} hm")
        assert holds_reasoning_marks(f"I look.{closing} It is red.")


@pytest.mark.parametrize(("opening", "closing"), PAIRS[:-1])
def test_mark_in_foreign_text_is_none(opening: str, closing: str) -> None:
    if "im_start" in opening:
        return  # the tokens of chat formats are made plain, not the words behind them
    for clean in (inert, one_line):
        text = clean(f"What is {opening} B {closing} here? {opening}")
        assert split_reasoning(text) == Split("", text)
        assert not opens_reasoning(text)
        assert holds_reasoning_marks(text)  # no thought may hold it all the same


@pytest.mark.parametrize(
    ("reply", "reasoning", "said"),
    [
        (
            "<|channel|>analysis<|message|>Red or blue?<|end|><|start|>assistant<|channel|>final<|message|>A<|return|>",
            "Red or blue?",
            "A",
        ),
        (
            "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>analysis<|message|>b<|end|>"
            "<|start|>assistant<|channel|>final<|message|>A",
            "a\nb",
            "A",
        ),
        (
            "analysis<|message|>Hm<|end|><|start|>assistant<|channel|>final<|message|>A",
            "analysis<|message|>Hm<|end|>",
            "A",
        ),
        ("<|channel|>final <|constrain|>json<|message|>{}<|end|>", "", "{}"),
        ("<|start|>assistant<|channel|>final<|message|>A<|end|>", "", "A"),
        ("analysisWe need a letter. Red.assistantfinalA", "We need a letter. Red.", "A"),
        ("analysisWe look.assistantcommentaryHm.assistantfinal**A**", "We look.\nHm.", "**A**"),
        ("assistantanalysisHm.assistantfinalThe red bar", "Hm.", "The red bar"),
        ("assistantfinalA", "", "A"),
    ],
)
def test_channels(reply: str, reasoning: str, said: str) -> None:
    assert split_reasoning(reply) == Split(reasoning, said)


@pytest.mark.parametrize("reply", ["<|channel|>analysis<|message|>Red or", "analysisWe need a letter. Red"])
def test_channels_without_a_final_one_say_nothing(reply: str) -> None:
    split = split_reasoning(reply)
    assert not split.closed
    assert not split.text
    assert "Re" in split.reasoning


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "A", "a red bar \n", CODE, FENCED, f"  {FENCED}\n\nDone. "),
        *(
            "I think it is red.",
            "thinking about it, red",
            "He is thinking.",
            "analysis of the frames: red",
            "a < b > c",
        ),
        *(
            "The analysis says so. The assistantfinal is no word.",
            "[think] she smiles",
            "I thought: red.",
            "Thinking... red",
        ),
        *("The screen shows '<think>' in red.", "It says `</think>` there.", 'The tag "</think>" is white.'),
        *(
            "It reads “<think>”.",
            "It reads <think> in red letters.",
            "He types </thin",
            "Here is my thought process: red",
        ),
        "The <think> tag opens, and the </think> tag closes.",
        "Is it <think> or </think>?",
        CODE.replace("possible_answers[1]", "'<think>'"),
        CODE.replace("possible_answers[1]", "'say <think> and </think> now'"),
        CODE.replace("    return", '    """Finds\n    </think>\n    """\n    return'),
        CODE.replace("    return", "    # what </think> means\n    return"),
    ],
)
def test_reply_without_reasoning_is_left_as_it_is(text: str) -> None:
    assert split_reasoning(text) == Split("", text)


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ("<think>a</think>one <think>b</think>two", "one two"),
        ("<think>a</think>one\n<think>b</think>\ntwo", "one\ntwo"),
        ("<think>a</think>A<think>no</think>B", "A\nB"),
        ("<think>a<think>b</think>c</think>A", "A"),
        ("<think>\n<think>a</think>A", "A"),
        ("a</think>b</think>A", "A"),
        ("<think>a</think></think>A", "A"),
        ("<think>a</thinking>A", "A"),
        ("<think>\n\n</think>\n\nA", "A"),
        ("It is <think>a kettle?</think> a bar", "a bar"),
        ("He asks for the <think> tag. Red.</think>A", "A"),
        ("He asks for the <think> tag.\nRed </think> A", "A"),
        ("```python\n# <think>plan</think>\n" + CODE + "```", CODE + "```"),
        ("Let me see. <think>red?</think> A", "A"),
        ("A\n<think>Is it? Yes.</think>\n", "A\n"),
        ("Is it a <think>kettle? No.\n</think>\n\nA", "A"),
        ("<think>He asks for '</think>'. Red.</think>A", "A"),
        ('<think>It is 5" tall.</think>"red"', '"red"'),
        ('<think>A """ begins it.</think>\n' + CODE.replace("    return", '    """Doc."""\n    return'), None),
        ("```\n<think>\nhm\n</think>\n" + CODE + "```", "```\n" + CODE + "```"),
        ("```python\n<think>hm</think>\n" + CODE + "```", FENCED),
        ("<think>```python\ndef f(:\n</think>\n" + FENCED, FENCED),
        ("<think>hm</think>    return 1", "return 1"),
        ("<think>hm</think>\n    return 1", "    return 1"),
        ("<think>Red.</think><answer>A</answer>", "A"),
        ("<think>Red.</think>\n<answer>\nA\n</answer>\n", "A"),
        ("<think>Red.</think><answer>A", "A"),
        ("<think>Red.</think>\n<response>\nA\n</response>", "A"),
        ("<|begin_of_thought|>Red.<|end_of_thought|>\n<|begin_of_solution|>A<|end_of_solution|>", "A"),
        ("<|START_THINKING|>Red.<|END_THINKING|><|START_RESPONSE|>A<|END_RESPONSE|>", "A"),
        ("<think>Red.</think><final>A</final>", "A"),
        ("<think>Red.</think><|begin_of_box|>A<|end_of_box|>", "A"),
        ("<|begin_of_box|>A<|end_of_box|>\n", "A"),
        ("It is <|begin_of_box|>A<|end_of_box|>.", "It is <|begin_of_box|>A<|end_of_box|>."),
        ("＜think＞Red.＜/think＞\nA", "A"),
        ("Red.＜/think＞A", "A"),
        ("<｜begin▁of▁thinking｜>Red.<｜end▁of▁thinking｜>A", "A"),
        ("Thinking...\nRed.\n...done thinking.\n\nA", "A"),
        ('<details type="reasoning" done="true">\n<summary>Thought for 3 s</summary>\n> Red.\n</details>\nA', "A"),
        ("<think>Red.</think>It is <answer>A</answer>", "It is <answer>A</answer>"),
    ],
)
def test_what_is_said(reply: str, said: str | None) -> None:
    split = split_reasoning(reply)
    assert split.closed
    assert split.text == (said if said is not None else CODE.replace("    return", '    """Doc."""\n    return'))
    assert split_reasoning(split.text) == Split("", split.text)


@pytest.mark.parametrize(
    "code",
    [
        CODE.replace("possible_answers[1]", '"<think>"'),
        CODE.replace("possible_answers[1]", "'the </think> tag'"),
        CODE.replace("    return", "    # </think> is a tag\n    return"),
        CODE.replace("    return", '    """The <think>\n    tag."""\n    return'),
        CODE.replace("possible_answers[1]", 'f"{query} <think>"'),
    ],
)
@pytest.mark.parametrize("shape", ["<think>\n{draft}\n</think>\n\n{code}", "{draft}\n</think>\n```python\n{code}```"])
def test_mark_in_a_program_stays(code: str, shape: str) -> None:
    split = split_reasoning(shape.format(draft=DRAFT, code=code))
    assert code in split.text
    assert split.reasoning == DRAFT


def test_time_grows_with_the_text_only() -> None:
    for piece in (
        "<think>",
        "</think>",
        "<think",
        "`",
        '"',
        "'",
        "<|channel|>",
        "analysis",
        "assistantfinal",
        '"""',
        "# ",
    ):
        split_reasoning(piece * 20_000)


@pytest.mark.parametrize(("opening", "closing"), PAIRS[:-1])
def test_a_prompt_that_ends_inside_reasoning_is_closed(opening: str, closing: str) -> None:
    prompt = f"<|im_start|>user\nWhich?<|im_end|>\n<|im_start|>assistant\n{opening}\n"
    assert opens_reasoning(prompt)
    mark = closing_mark(prompt)
    assert split_reasoning(f"{prompt[-len(opening) - 1 :]}\n{mark}\n\nA").text == "A"
    assert not opens_reasoning(f"{prompt}hm {closing}\n")
    assert closing_mark(f"{prompt}{closing}\n\n") == ""


def test_a_prompt_in_channels() -> None:
    prompt = "<|start|>assistant<|channel|>analysis<|message|>"
    assert opens_reasoning(prompt)
    assert split_reasoning(f"{prompt}hm{closing_mark(prompt)}A") == Split("hm", "A")
    for plain in ("", "Which?", "<|im_start|>assistant\n", "assistant: <think>\n\n</think>\n\n", "the <think> tag"):
        assert (opens_reasoning(plain), closing_mark(plain)) == (False, ""), plain


def test_special_tokens_that_are_needed_to_tell_reasoning_apart() -> None:
    gpt_oss = ["<|start|>", "<|end|>", "<|message|>", "<|channel|>", "<|return|>", "<|endoftext|>"]
    assert reasoning_tokens(gpt_oss) == set(gpt_oss) - {"<|endoftext|>"}
    assert reasoning_tokens(["<s>", "</s>", "[INST]", "[THINK]", "[/THINK]"]) == {"[THINK]", "[/THINK]"}
    assert reasoning_tokens(["<bos>", "<|channel>", "<channel|>", "<|turn>"]) == {"<|channel>", "<channel|>"}
    assert reasoning_tokens(["<|endoftext|>", "<|end|>", "<|assistant|>", "<unused5>"]) == set()
