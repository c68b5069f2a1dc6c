"""Every setting that holds a text, or a list of texts, takes what people type as it stands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import is_dataclass
from typing import Any, get_args, get_type_hints

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import QuotedString
from hydra.errors import HydraException

from aotd.cli.main import main
from aotd.config.command_line import read_settings
from aotd.config.texts import is_text, read_list, split, unquoted
from aotd.config.tree import Config
from aotd.errors import UserError

TEXTS = [
    "http://[::1]:8000/v1",
    "http://[fe80::1%25eth0]:8000/v1?key=a&b=c#d;e",
    "https://host/openai/deployments/x?api-version=2024-10-21",
    "https://user:p%40ss@host:8443/a(b)/c!d*e'f,g",
    "runs/my big, run (1)",
    "videos/[train]/{a=b}",
    '~/videos/it\'s "here"',
    "$HOME/${USER}/$5/$(date)/`id`",
    "${oc.env:HOME}",
    "${",
    "\\${seed}\\",
    "C:\\videos\\new\\[1]",
    "世界/ä ö/🎬/मेरा",
    "50% off?",
    "don't know!",
    "a: b; c | d & e > f < g",
    " two blanks around ",
    "-m",
    "--cfg job",
    "+x",
    "~x",
    "@x",
    "#x",
    "*x",
    "x=y==z",
    "=",
    ",",
    "[",
    "]",
    "[a",
    "[a,b]",
    "{}",
    "()",
    "choice(a,b)",
    "glob(*)",
    "range(1,3)",
    "null",
    "true",
    "007",
    "1_000",
    "1e3",
    ".5",
    "nan",
    "2024-01-01",
    "12:30:00",
    "a\tb\nc",
    "'a' or 'b'",
    "'a",
    'b"',
    "'",
    "\u202eleft",
    "<think>x</think>",
    "_target_",
    "",
]
NOT_QUOTED = ["'a' or 'b'", "'a\\'", "'", "''a'", '"a\' b"c', "a'b'"]
SETTINGS = [
    "run",
    "dataset.root",
    "dataset.questions",
    "llm.url",
    "llm.model",
    "llm.key_variable",
    "decompose.programs",
    "decompose.llm.record",
    "verify.llm.dtype",
    "evaluate.judge.llm.url",
    "evaluate.judge.name",
    "evaluate.external.gpt-4.1 (mini)",
    "specialists.answering.url",
    "specialists.detection.model",
    "specialists.captions",
    "student.path",
    "distill.deepspeed",
    "export.licence",
    "cache.folder",
    "ask.question",
    "ask.video",
    "tracking.project",
]


def value_of(config: Config, key: str) -> Any:
    found: Any = config
    for name in ("evaluate", "external", key[18:]) if key.startswith("evaluate.external") else key.split("."):
        found = found[name] if isinstance(found, dict) else getattr(found, name)
    return found


@pytest.mark.parametrize("turn", range(6))
def test_text_is_taken_as_it_stands(turn: int) -> None:
    """Each text in several settings, each setting with several texts."""
    pairs = {key: TEXTS[(turn * 22 + at) % len(TEXTS)] for at, key in enumerate(SETTINGS)}
    pairs = {key: text for key, text in pairs.items() if (key, text) not in NULLS and (key, text) != ("run", "")}
    words = [f"{plus}{key}={text}" for plus, (key, text) in zip(["", "+", "++"] * 9, pairs.items(), strict=False)]
    config = read_settings("evaluate", ["llm=openai", *words])
    assert {key: value_of(config, key) for key in pairs} == pairs


NULLS = [(key, "null") for key in ("decompose.llm.record", "verify.llm.dtype", "evaluate.judge.llm.url")]


def test_optional_text_may_be_null() -> None:
    config = read_settings("run", ["decompose.llm.url=null", "convert.llm.model=NULL", "verify.llm.url=", "llm.url=x"])
    assert (config.decompose.llm.url, config.convert.llm.model, config.verify.llm.url) == (None, None, "")


@pytest.mark.parametrize("quote", ["'", '"'])
@pytest.mark.parametrize("text", ["http://[::1]:8000/v1", "a, b", "", " x ", 'it\\\'s \\"so\\"', "C:\\new", "a\\\\"])
def test_text_that_was_quoted_for_hydra_means_the_same(text: str, quote: str) -> None:
    (override,) = OverridesParser.create().parse_overrides([f"llm.model={quote}{text}{quote}"])
    meant = override._value
    assert isinstance(meant, QuotedString)
    assert unquoted(f"{quote}{text}{quote}") == meant.text


@pytest.mark.parametrize("text", NOT_QUOTED)
def test_text_that_is_not_one_quotation_keeps_its_quotes(text: str) -> None:
    assert unquoted(text) == text
    with pytest.raises(HydraException):
        OverridesParser.create().parse_overrides([f"llm.model={text}x"])


@pytest.mark.parametrize(
    ("typed", "options"),
    [
        ("[don't know,yes]", ["don't know", "yes"]),
        ("[A dog!,A cat.]", ["A dog!", "A cat."]),
        ("[yes, no (maybe)]", ["yes", "no (maybe)"]),
        ("[50% off,it's $5]", ["50% off", "it's $5"]),
        ("[a = b,c]", ["a = b", "c"]),
        ("[Who?,None; nobody]", ["Who?", "None; nobody"]),
        ("[1,2.50,007,1e3,1_000,-0]", ["1", "2.50", "007", "1e3", "1_000", "-0"]),
        ("[true,False,null,~,yes,nan]", ["true", "False", "null", "~", "yes", "nan"]),
        ("[2024-01-01,12:30,12:30:00]", ["2024-01-01", "12:30", "12:30:00"]),
        ("[a: b,{c},[d],e]f,g[h]", ["a: b", "{c}", "[d]", "e]f", "g[h"]),
        ("[${seed},$(x),${oc.env:HOME},\\${a}]", ["${seed}", "$(x)", "${oc.env:HOME}", "\\${a}"]),
        ("['a, b',\"c, d\",e]", ["a, b", "c, d", "e"]),
        ("[' a ',\" b\"  ,  c]", [" a ", " b", "c"]),
        ('[\'it\\\'s, well\', "so \\"they\\" say"]', ["it's, well", 'so "they" say']),
        ("['tis,'twas]", ["'tis", "'twas"]),
        ('["Stop!" he said,"Go" or "Stay"]', ['"Stop!" he said', '"Go" or "Stay"']),
        ("[dogs', cats']", ["dogs'", "cats'"]),
        ("[the 'a' key,5\" tall,6' 2\"]", ["the 'a' key", '5" tall', "6' 2\""]),
        ("['',x]", ["", "x"]),
        ("[C:\\new,\\\\host\\x\\]", ["C:\\new", "\\\\host\\x\\"]),
        ("[是,否,нет,🎬]", ["是", "否", "нет", "🎬"]),
        ("[choice(a),range(1)]", ["choice(a)", "range(1)"]),
        ("[x=1 & y|z > 2 # no]", ["x=1 & y|z > 2 # no"]),
        ("[]", []),
        ("[ ]", []),
        (" [ a , b ] ", ["a", "b"]),
        ("[a\nb,c]", ["a\nb", "c"]),
    ],
)
def test_options_are_taken_as_they_stand(typed: str, options: list[str]) -> None:
    assert read_list("ask.options", typed) == options


def test_options_reach_the_question() -> None:
    config = read_settings("ask", ["options=[don't know,${seed}]", "question=Who's it?", "+mode=answer", "by='agent'"])
    assert config.ask.options == ["don't know", "${seed}"]
    assert (config.ask.question, config.ask.mode, config.ask.by) == ("Who's it?", "answer", "agent")


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("evaluate.arms=aotd", "evaluate.arms: it is a list: write evaluate.arms=[aotd]"),
        ("verbs=load,execute", "verbs: it is a list: write verbs=[load,execute]"),
        ("verbs=", "verbs: it is a list: write [value, …]"),
        ("verbs=[load", "verbs: it is a list: write [value, …]"),
        ("verbs=[load,,execute]", "verbs: a text of the list is empty"),
        ("verbs=[load,]", "verbs: a text of the list is empty"),
        ("distill.arms.mine.require=[answer]", "there is no setting distill.arms.mine, and a new name goes into"),
        ("+distill.arms.mine.require=[answer]", "there is no setting distill.arms.mine, and a new name goes into"),
        ("dataset.rot=a?b", "there is no setting dataset.rot: did you mean dataset.root?"),
        ("dätaset.root=x", "there is no setting dätaset.root: did you mean dataset.root?"),
        ("my key=x", "there is no setting my key"),
        ("seed=1;2", "seed: '1;2' is no whole number"),
        ("distill.epochs=(5", "distill.epochs: '(5' is no number"),
        ("distill.bf16=!", "distill.bf16: '!' is neither true nor false"),
        ("decompose.author=l'm", 'decompose.author: "l\'m" is none of annotated, fixed, llm'),
        ("distill.mixture=[{run: a (b)}]", "distill.mixture: [{run: a (b)}] cannot be read: put each text in it into"),
        ("distill.seeds=[1,(]", "distill.seeds: [1,(] cannot be read"),
        ("student=it's", "there is no student=it's: `aotd VERB --help` lists the choices"),
        ("evaluate.external=x", "evaluate.external: it holds a value for each name: write evaluate.external.NAME="),
        ("dataset.root=a\ud800", "dataset.root holds a zero byte or half of a character"),
    ],
)
def test_what_cannot_be_read_is_named_plainly(word: str, says: str) -> None:
    with pytest.raises(UserError) as caught:
        read_settings("run", [word])
    told = str(caught.value)
    assert told.startswith(f"settings: {says}")
    assert "Exception" not in told
    assert "expecting" not in told


def test_dotted_and_odd_names_of_external_arms_are_kept() -> None:
    config = read_settings("evaluate", ["evaluate.external.Qwen2.5-VL, 7b=a=b,c.jsonl", "+evaluate.external.é='d, e'"])
    assert config.evaluate.external == {"Qwen2.5-VL, 7b": "a=b,c.jsonl", "é": "d, e"}


def test_files_refer_to_what_was_typed(tmp_path: Any) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text("# @package _global_\nllm:\n  record: ${run}/llm.jsonl\n")
    words = [f"configs={tmp_path}", "experiment=mine", "run=a, ${b}"]
    assert read_settings("run", words).llm.record == "a, ${b}/llm.jsonl"


def test_later_word_holds() -> None:
    assert read_settings("run", ["llm.url=a?b", "llm=openai", "llm.url=c?d"]).llm.url == "c?d"


def names(kind: type, hint: object, at: str = "") -> Iterator[str]:
    """Dotted names of all settings below a dataclass that have a type, alone or with None."""
    for name, own in get_type_hints(kind).items():
        if is_dataclass(own):
            assert isinstance(own, type)
            yield from names(own, hint, f"{at}{name}.")
        elif own == hint or (type(None) in get_args(own) and hint in get_args(own)):
            yield f"{at}{name}"


def test_texts_are_known_by_their_type() -> None:
    found = {*names(Config, str), *names(Config, list[str])}
    assert len(found) > 60
    assert all(is_text(key) for key in found)
    assert not any(is_text(key) for kind in (int, float, bool, list[int]) for key in names(Config, kind))
    assert is_text("distill.arms.aotd.trainable")
    assert not is_text("distill.arms.aotd.epochs")
    assert not any(is_text(key) for key in ("", ".", "llm", "student", "nosuch", "llm.url.x", "verbs.0", "experiment"))


@pytest.mark.parametrize("text", TEXTS)
def test_split_gives_whole_texts_back(text: str) -> None:
    assert ",".join(split(text)).replace(" ", "").replace("\n", "") == text.replace(" ", "").replace("\n", "")


def test_cfg_job_shows_what_was_typed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["load", "--cfg", "job", "-p", "llm", "llm.url=http://[::1]:1/v1?a=${b}"]) == 0
    assert "url: http://[::1]:1/v1?a=${b}\n" in capsys.readouterr().out
