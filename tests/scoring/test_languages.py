"""Answer phrases of many languages: a table that a person can check, and what holds for all of it."""

from __future__ import annotations

import os
import string
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from aotd.scoring.answers import LONGEST, STRICT, Rule, parse
from aotd.scoring.languages import in_english

TABLE = Path(__file__).parent / "answer_phrases.txt"
SCRIPT = Path(__file__).parents[2] / "benchmarks" / "parse_answers.py"


def phrases() -> list[tuple[str, list[str], str, str]]:
    found, language, options = [], "", list[str]()
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        if line.startswith("= "):
            language, *options = line[2:].split(" ¦ ")
        elif not line.startswith("#"):
            letter, reply = line.split(" ¦ ", 1)
            found.append((language, options, letter, reply.replace("⏎", "\n")))
    return found


PHRASES = phrases()


def letter_of(reply: str, options: list[str]) -> str:
    parsed = parse(reply, options)
    return "-" if parsed.option is None else string.ascii_uppercase[options.index(parsed.option)]


def test_table_is_large_and_can_fail() -> None:
    assert len(PHRASES) >= 600
    assert len({language for language, *_ in PHRASES}) >= 10
    assert sum(letter == "-" for _, _, letter, _ in PHRASES) >= 100
    assert len({(language, reply) for language, _, _, reply in PHRASES}) == len(PHRASES)
    assert {len(options) for _, options, _, _ in PHRASES} == {4}


def test_phrases_are_read_and_none_as_another_letter() -> None:
    counts: Counter[str] = Counter()
    for language, options, letter, reply in PHRASES:
        read = letter_of(reply, options)
        assert read in (letter, "-"), (language, reply, read)
        counts[language, "all"] += 1  # type: ignore[index]
        counts[language, read == letter] += 1  # type: ignore[index]
    languages = {language for language, *_ in PHRASES}
    assert sum(counts[language, True] for language in languages) >= 0.97 * len(PHRASES)  # type: ignore[index]
    assert all(counts[one, True] >= 0.9 * counts[one, "all"] for one in languages)  # type: ignore[index]


def test_phrase_in_another_letter_is_read_as_that_one() -> None:
    """The rules know no letter: with all letters moved on by one, the reading moves with them."""
    follow = str.maketrans("ABCD", "BCDA")
    for language, options, letter, reply in PHRASES:
        bare = "answer" not in reply and not any(option[:4] in reply for option in options)
        if (
            letter == "B"
            and "B" in reply
            and bare
            and language not in ("English", "Portuguese")
            and not {*"ACDＢ"} & {*reply}
        ):
            assert letter_of(reply.translate(follow), options) in ("C", "-"), reply


@pytest.mark.parametrize(
    ("reply", "letter"),
    [
        *[("The third option", "C"), ("the last option is right", "D"), ("The first one", "A"), ("1st option", "A")],
        *[
            ("It's the second option.", "B"),
            ("Option 3", "C"),
            ("Option two.", "B"),
            ("The answer is the fourth one.", "D"),
        ],
        *[("The third person leaves.", "-"), ("At last a man leaves", "-"), ("The first one to leave wins.", "-")],
        *[("His first choice was tea.", "-"), ("The fifth option", "-"), ("The second of the two cats", "-")],
        *[("It is not the first option.", "-"), ("The first or second option", "-"), ("Option 7", "-"), ("3", "-")],
    ],
)
def test_option_counted_off_is_read(reply: str, letter: str) -> None:
    assert letter_of(reply, ["The dog ran.", "The cat slept.", "The baby cries.", "A man left."]) == letter


@pytest.mark.parametrize(
    "options",
    [["the first man", "the second man", "the last man"], ["2", "3", "1"], ["第三个人", "第二个人", "第一个人"]],
)
def test_option_counted_off_is_not_read_where_options_tell_of_places(options: list[str]) -> None:
    for reply in ("The third option", "Option 3", "第三个选项", "It's the second option."):
        assert parse(reply, options).option is None or parse(reply, options).rule is not Rule.letter_in_text


def test_english_text_stays_as_it_is() -> None:
    for text in (
        "The man in the video is holding a C-shaped clamp, e.g. for the first time; it is not a vitamin A drink.",
        "I think it is B because A shows no dog.",
        "The alternative is to leave; non-stop, he says, en route to the entre of the hotel.",
        "A la carte menus are on the table and the chef is proud of it",
        "(A) or (B)",
    ):
        assert in_english(text, 4) == text


@pytest.mark.parametrize(
    ("reply", "letter"),
    [
        *[("الإجابة: أ", "A"), ("الإجابة هي د.", "D"), ("الخيار الصحيح هو ج.", "C"), ("الإجابة هي دائما هنا", "-")],
        *[("उत्तर: ख", "B"), ("उत्तर: कार", "-"), ("उत्तर: खाना", "-"), ("정답: 나", "B"), ("정답은 다입니다.", "C")],
        *[("정답은 나무입니다.", "-"), ("答案：甲", "A"), ("答案是甲虫", "-"), ("正解：ア", "A"), ("Ответ: А", "A")],
        *[("Правильный ответ: Б", "B"), ("Ответ: Большой", "-"), ("Ответ: В", "-"), ("Ответ: С", "-"), ("②", "-")],
        *[("La respuesta es b", "B"), ("答案：（b）", "B"), ("Die Antwort: (b)", "B"), ("La risposta è: b", "B")],
    ],
)
def test_letter_of_its_own_script_is_read_behind_an_answer_only(reply: str, letter: str) -> None:
    assert letter_of(reply, ["The dog ran.", "The cat slept.", "The baby cries.", "A man left."]) == letter


def test_foreign_article_is_no_letter() -> None:
    options = ["O cão correu.", "O gato dormiu.", "Um homem saiu.", "A mulher saiu."]
    assert letter_of("A resposta é: A mulher saiu.", options) == "D"
    for reply in (
        "A mulher abre a porta.",
        "A resposta é: A mulher abre a porta.",
        "A las tres se fue.",
        "E il cane corre.",
    ):
        assert letter_of(reply, options) == "-"


def test_no_phrase_of_another_language_is_read_strictly() -> None:
    for _, options, _, reply in PHRASES:
        parsed = parse(reply, options)
        if parsed.rule in STRICT:
            assert in_english(reply, 4).strip() == reply.strip() or letter_of(reply, options) != "-"
            assert len(reply) <= 40


@pytest.mark.parametrize(
    "piece",
    [
        "答案是A或",
        "AかB",
        "la respuesta ",
        "no es A ",
        "ни A, ",
        "(",
        "第一个",
        "la primera o ",
        "न A ",
        "не ",
        "، ",
    ],
)
def test_long_replies_are_read_in_time(piece: str) -> None:
    started = time.process_time()
    parse((piece * LONGEST)[:LONGEST], ["a dog", "a cat", "a man"])
    assert time.process_time() - started < 5


def test_script_audits_the_table() -> None:
    ran = subprocess.run(
        [sys.executable, str(SCRIPT), "--table", str(TABLE)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": str(SCRIPT.parents[1]), "PYTHONIOENCODING": "utf-8"},
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-1].split()[:3] == ["all", str(len(PHRASES)), "phrases"]
