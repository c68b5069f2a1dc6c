"""Write lists of words of `aotd instruct` from WordNet's files, as Debian's package wordnet-base has them.

    python -m benchmarks.instruct_words abstract /usr/share/wordnet > aotd/instruct/words/abstract.txt
    python -m benchmarks.instruct_words actions /usr/share/wordnet > aotd/instruct/words/actions.txt

abstract: words that were tagged at least three times in WordNet's texts (cntlist.rev), and of whose uses at most 35 %
are those of a thing, a being, a place, an event or a bodily action (the lexicographers' files below).

actions: other words that were tagged at least four times, and at least 60 % of whose uses are those of a verb.

Forms of one stem are counted together.
"""

from __future__ import annotations

import argparse
import re
import textwrap
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from aotd.instruct.words import stem, stems

THINGS = {"05", "06", "08", "11", "13", "14", "15", "17", "18", "19", "20", "27"}
"""animal, artifact, body, event, food, group, location, object, person, phenomenon, plant, substance"""
DEEDS = {"29", "30", "33", "34", "35", "36", "38", "43"}
"""body, change, competition, consumption, contact, creation, motion, weather"""
LEAST_ABSTRACT, MOST_CONCRETE = 3, 0.35
LEAST_ACTION, LEAST_VERB = 4, 0.6
_UNTAGGED = 0.3
"""What a sense counts beside the times it was tagged."""
_WORD = re.compile(r"[a-z]{3,}")
_PARTS = {"1": "noun", "2": "verb", "3": "adj", "4": "adv", "5": "adj"}


@dataclass(frozen=True)
class TaggedSense:
    """A sense of a word that was tagged in a text."""

    word: str
    part: str
    file: str
    """The lexicographers' file."""
    times: int


def tagged_senses(folder: Path) -> Iterator[TaggedSense]:
    """The senses of single words that were tagged."""
    for line in (folder / "cntlist.rev").read_text(encoding="ascii").splitlines():
        key, _, times = line.split()
        word, _, sense = key.partition("%")
        if _WORD.fullmatch(word):
            yield TaggedSense(word, _PARTS[sense[0]], sense.split(":")[1], int(times))


def all_senses(folder: Path) -> Iterator[tuple[str, str]]:
    """Every sense of single words, tagged or not: the word and the lexicographers' file."""
    for part in sorted(set(_PARTS.values())):
        for line in (folder / f"data.{part}").read_text(encoding="latin-1").splitlines():
            if not line.startswith(" "):
                fields = line.split(" ")
                words = (fields[4 + 2 * at].partition("(")[0] for at in range(int(fields[3], 16)))
                yield from ((word, fields[1]) for word in words if _WORD.fullmatch(word))


def abstract_words(folder: Path) -> list[str]:
    """Words that mostly name no thing."""
    use, concrete, tagged = defaultdict[str, float](float), defaultdict[str, float](float), defaultdict[str, int](int)
    words = defaultdict[str, set[str]](set)

    def count(word: str, file: str, times: float) -> None:
        use[stem(word)] += times
        concrete[stem(word)] += times if file in THINGS | DEEDS else 0

    for sense in tagged_senses(folder):
        count(sense.word, sense.file, sense.times)
        tagged[stem(sense.word)] += sense.times
        words[stem(sense.word)].add(sense.word)
    for word, file in all_senses(folder):
        count(word, file, _UNTAGGED)
    listed = (one for one in words if tagged[one] >= LEAST_ABSTRACT and concrete[one] <= MOST_CONCRETE * use[one])
    return sorted(word for one in listed for word in words[one])


def actions(folder: Path) -> list[str]:
    """Words that mostly name what somebody does."""
    verb, every, words = defaultdict[str, int](int), defaultdict[str, int](int), defaultdict[str, set[str]](set)
    for sense in tagged_senses(folder):
        one = stem(sense.word)
        every[one] += sense.times
        verb[one] += sense.times if sense.part == "verb" else 0
        words[one].add(sense.word)
    free = (stems("abstract") - stems("concrete")) | stems("function", "telling", "reasoning")
    listed = (one for one in every if every[one] >= LEAST_ACTION and verb[one] >= LEAST_VERB * every[one])
    return sorted(min(words[one], key=len) for one in listed if one not in free)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("abstract", "actions"))
    parser.add_argument("folder", type=Path, help="WordNet's files")
    args = parser.parse_args()
    if args.what == "actions":
        words, told = actions(args.folder), "Words that mostly name what somebody does, and are not in abstract.txt."
    else:
        words, told = abstract_words(args.folder), "Words that mostly name no thing, being, place or bodily action."
    print(f"# {told} From WordNet 3.0")
    print("# (WORDNET.txt) by benchmarks/instruct_words.py; do not edit: concrete.txt holds exceptions.")
    print("\n".join(textwrap.wrap(" ".join(words), 120)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
