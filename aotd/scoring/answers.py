"""Read the answer in a reply, and compare two answers as words.

`parse` reads what a reply to a multiple-choice question chooses. There is one order, and the first place that
says something decides:

1. a reply without anything in it is `empty`, one of more than 20,000 characters `too_long`;
2. the whole reply, with signs and markup around it taken off: an option word for word, a letter, an option up to case,
   articles, punctuation and number words, or a letter with the words of that option (which may be cut off);
3. what is marked as final: a box, an answer tag, a field `"answer"`, "final answer: …";
4. "the answer is …", "Answer: …", "best option: …";
5. one letter or option in bold;
6. a letter that the writer says to choose: "I think it is B", "so B";
7. letters anywhere in the reply;
8. a refusal;
9. yes or no at the start, where one option begins with it;
10. the words of one option, or the number that one option is, anywhere in the reply.

A letter that stands alone beats words. What contradicts itself at the place that decides is never resolved by a guess:
two letters are `several`, a letter beside another option's words is a `conflict`, and neither falls through to a later
place. What is only denied ("not B") says nothing of the others, also where only one is left. The options' order means
nothing but their letters. A refusal's clause ("I cannot tell whether it is A or B") names no option.

Two readings are made of it. The strict one takes only what an arm was asked for, the whole reply (2). Scores use it,
for every arm alike: students are trained to reply with a letter or an option, and a reading that searches prose gives
most to whoever writes most. The lenient one takes everything above. It is reported beside, and is the fairer one for a
model that knows the answer and was never taught the form.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from aotd.scoring.languages import in_english
from aotd.scoring.normalise import clean, is_number, plain, texts, unmarked, words
from aotd.scoring.option_mentions import (
    AnswerOptions,
    OptionMention,
    contradicted,
    denies,
    letter_mentions,
    numbers,
    word_mentions,
)

__all__ = ["STRICT", "Parsed", "Rule", "parse", "plain", "read_answer", "read_choice", "same_answer"]


class Rule(str, Enum):
    """By what an option was read, or why none was."""

    option_text = "option_text"
    """The whole reply is an option."""
    letter = "letter"
    """The whole reply is a letter: B, (b), B."""
    letter_and_text = "letter_and_text"
    """The whole reply is a letter and that option, or the beginning of it."""
    small_letter = "small_letter"
    """The whole reply is a small letter without brackets, which could be a word cut off."""
    final_answer = "final_answer"
    """Marked as the answer: boxed, tagged, bold, a JSON field, or after "the answer is", "Answer:"."""
    choice = "choice"
    """A letter that the writer says to choose."""
    letter_in_text = "letter_in_text"
    """The only letter in the reply."""
    yes_no = "yes_no"
    """The reply begins with yes or no, and one option does."""
    number = "number"
    """The only number in the reply is an option."""
    text_in_text = "text_in_text"
    """The words of one option stand in the reply."""
    empty = "empty"
    """Unparsed: the reply is empty."""
    refusal = "refusal"
    """Unparsed: it says that it cannot tell, or that none is right."""
    several = "several"
    """Unparsed: different options are claimed."""
    negated = "negated"
    """Unparsed: options are only denied."""
    conflict = "conflict"
    """Unparsed: the letter of one option with the words of another."""
    out_of_range = "out_of_range"
    """Unparsed: a letter or a number that no option has."""
    too_long = "too_long"
    """Unparsed: longer than `LONGEST`."""
    none = "none"
    """Unparsed: no option is named."""


LONGEST = 20_000
"""Characters; reading takes longer with the square of the length, and no answer to one question is as long."""
STRICT = frozenset({Rule.option_text, Rule.letter, Rule.letter_and_text})
"""The rules of the strict reading."""


@dataclass(frozen=True)
class Parsed:
    """The option that a reply chooses, None where it is unparsed; and the rule."""

    option: str | None
    rule: Rule

    @property
    def strict(self) -> str | None:
        """The option under the strict reading."""
        return self.option if self.rule in STRICT else None


_EDGE = " \t\r\n\"'"
_WHOLE_LETTER = re.compile(r"([(\[{]?)[\s\"']?([A-Za-z])[\s\"']?([)\]}]?)\s?[.:,;!]{0,3}")
_LETTER_FIRST = re.compile(
    r"([(\[{]?)\s?([A-Za-z])\s?([)\]}]?)(\s?[.:,]|\s*[-–—=>]+)?(?:(?<=[)\]}.:,])|\s)\s*(\S.*)", re.DOTALL
)
_LETTER_LAST = re.compile(r"(\S.{0,500}?)[\s,:–—-]*[(\[]\s?([A-Za-z])\s?[)\]][.!]?", re.DOTALL)
_IS = (
    r"\s*(?:\((?!\s?[A-Za-z]\s?\))[^()\n]{0,40}\)\s*)?(?:(?:(?:is|was|es|est|ist|would\s+be|should\s+be|must\s+be|will\s+be|has\s+to\s+be"
    r"|seems\s+to\s+be|appears\s+to\s+be)\b|[:=→]|[-=]>|\s[-–—]\s|は|是|为)\s*)+"
)
_ANSWER = (
    r"(?:\b(?:answer|ans|solution|response|prediction|choice|option|antwort|r[ée]ponse|respuesta|risposta|resposta|ответ)\b"
    r"|答案|答え|정답)"
)
_FINAL_CUE = re.compile(r"\bfinal\s+(?:answer|choice|option|decision)\b" + _IS, re.IGNORECASE)
_ANSWER_CUE = re.compile(_ANSWER + _IS, re.IGNORECASE)
_FINAL_MARK = re.compile(
    r"\\f?box(?:ed)?\s*\{([^{}]{0,300})\}"
    r"|<(?:(?:final[_ ]?)?answer|ans|final|choice|option)(?:\s[^<>\n]{0,100})?>(.{0,1000}?)"
    r"(?:</(?:(?:final[_ ]?)?answer|ans|final|choice|option)>|\Z)"
    r"|[\"'](?:(?:final|correct|selected|best|chosen)[ _]?)?"
    r"(?:answer|choice|option|letter|prediction|response|output|result|final"
    r"|(?:最终|最終|正确|正確)?(?:答案|选项|選項|选择|回答|答え|正解)|최종 ?답변|정답|답변?|ответ|الإجابة|الجواب|उत्तर"
    r"|(?:respuesta|réponse|antwort|resposta|risposta)(?:[_ ](?:finale?|corrett?a|correcte))?)[\"']\s*:\s*"
    r"(?:\"((?:[^\"\\\n]|\\.){0,1000})\"|'([^'\n]{0,1000})'|\[([^\[\]]{0,300})\]|([^\"'\s,}\[]{1,20}))",
    re.IGNORECASE | re.DOTALL,
)
_BOLD = re.compile(r"(?<!\*)\*\*([^*\n]{1,300})\*\*|(?<!_)__([^_\n]{1,300})__")
_CHOICE_CUE = re.compile(
    r"\b(?:i(?:'d|'ll|\s+would|\s+will)?\s+(?:think|believe|guess|say|choose|chose|pick|select|go\s+with|opt\s+for|conclude)"
    r"|it's|(?:it|this|that|which)\s+(?:is|must\s+be|should\s+be|has\s+to\s+be)|my\s+(?:guess|pick|choice|vote)\s+is"
    r"|therefore|thus|hence|so|in\s+conclusion|conclusion)\b[\s,:]*(?:that\s+)?(?:it\s+(?:is|must\s+be|should\s+be)|it's|its)?\s*"
    r"(?:(?:probably|likely|clearly|definitely|most\s+likely|either)\s+)?(?=(?:(?:option|choice|letter)\s+)?[(\[\"']?[A-Za-z](?![\w'])"
    r"|(?:option|choice|letter)\s)",
    re.IGNORECASE,
)
_REFUSAL = re.compile(
    r"\b(?:(?:can't|cannot|can\s+not|couldn't|could\s+not|unable\s+to|impossible\s+to|not\s+possible\s+to|hard\s+to|difficult\s+to)"
    r"\s+(?:\w+\s+){0,2}?(?:determined?|tell|say|answer(?:ed)?|know|known|infer(?:red)?|identify|identified|see|decided?|choose"
    r"|provide|assist|help|answer)|(?:do\s+not|don't)\s+(?:\w+\s+)?(?:know|have)|not\s+(?:\w+\s+)?(?:sure|certain|clear|enough|able)"
    r"|no\s+idea|unsure|unclear|uncertain|insufficient|none\s+of\s+(?:the|these|those|them)|neither\s+of\s+(?:the|these|those|them)"
    r"|no\s+(?:correct|right|suitable)\s+(?:answer|option)|as\s+an\s+ai|sorry|n/a)\b"
    r"[^,.;!?\n]{0,200}?(?=[,.;!?\n]|\b(?:but|however|though)\b|\Z)",
    re.IGNORECASE,
)
_REFUSED = "\x00"
"""Stands in the place of a refusal's clause."""
_ALL = re.compile(
    r"\b(?:all|both|any|either)\s+of\s+(?:the\s+above|them|these|those)\b|\ball\s+the\s+above\b", re.IGNORECASE
)
_ORDINAL = re.compile(
    r"\b(?:first|second|third|fourth|fifth|last|\d(?:st|nd|rd|th)|primer|segund|terc|[uú]ltim|prim|premi|deuxi|erst|zweit|dritt)"
    r"|перв|втор|трет|последн|第|最[后後初]|番|첫|두\s|세\s|째|마지막|أول|ثاني|ثالث|أخير|पहल|दूसर|तीसर|अंतिम",
    re.IGNORECASE,
)
"""In options: they are first and third themselves, so that such a word tells of no place."""
_PLACE = 500
"""Characters after a cue in which its answer stands."""
_SENTENCE_END = re.compile(r"(?<!\b[A-Za-z])[.!?;](?=\s|$)|\n")
_REASON = re.compile(
    r",?\s*\b(?:because|since|due\s+to|given\s+that|as\s+(?:the|it|he|she|they|we|in|there|this|that|an?))\b",
    re.IGNORECASE,
)
_YES_NO = re.compile(r"\W*(yes|no)\b", re.IGNORECASE)
_TURNED = {
    "no": re.compile(r"\byes\b", re.IGNORECASE),
    "yes": re.compile(r"(?:[.!?:;\n/]\s*|\b(?:or|and)\s+)no\b|\bno\W*\Z", re.IGNORECASE),
}
"""Where what began as one of the two goes over to the other; "Yes, there is no dog" does not."""


def parse(text: str, options: Sequence[str]) -> Parsed:
    """What a reply chooses of the options, by the order above.

    Args:
        text: any text, also an empty or a hostile one.
        options: those of a multiple-choice question, at most 26, lettered from A in this order.
    """
    if not text.strip():
        return Parsed(None, Rule.empty)
    if len(text) > LONGEST:
        return Parsed(None, Rule.too_long)
    given = AnswerOptions(options, [texts(option) for option in options])
    if options.count(text) == 1:
        return Parsed(text, Rule.option_text)
    cleaned = clean(text)
    bare = unmarked(cleaned)
    if not bare:
        return Parsed(None, Rule.empty)
    whole = _whole(bare, given)
    if whole is not None:
        return whole
    refusable = not any(_REFUSAL.search(unmarked(clean(option))) for option in options)
    if refusable:
        cleaned = _REFUSAL.sub(_REFUSED, cleaned)
    cleaned = _without_echo(cleaned, given)
    said = unmarked(cleaned)
    bare = in_english(said, len(options), places=_by_place(given))
    if refusable and bare != said:
        bare = _REFUSAL.sub(_REFUSED, bare)
    final = [next(part for part in hit.groups() if part is not None) for hit in _FINAL_MARK.finditer(cleaned)]
    bold = [unmarked(hit[1] or hit[2]) for hit in _BOLD.finditer(cleaned)]
    return (
        _agreed([*map(unmarked, final), *_after(_FINAL_CUE, bare)], given)
        or _agreed(_after(_ANSWER_CUE, bare), given)
        or _one_bold(bold, given)
        or _chosen(bare, given)
        or _whole(bare, given)
        or _in_text(bare, given)
    )


def _by_place(given: AnswerOptions) -> bool:
    """Whether "the third option" can only be the third in the list."""
    numbers_alone = any(len(own) == 1 and is_number(own[0]) for own in given.words)
    return not numbers_alone and not any(map(_ORDINAL.search, given.texts))


def _whole(text: str, given: AnswerOptions) -> Parsed | None:
    """The reply, or the place of the answer in it, as nothing but an option."""
    text = text.strip(_EDGE)
    same = [number for number, option in enumerate(given.texts) if option.strip() == text]
    if len(same) == 1:
        return _option(given, same[0], Rule.option_text)
    letter = _WHOLE_LETTER.fullmatch(text)
    if letter:
        number, called = given.of_letter(letter[2]), given.called(letter[2])
        if number is None and called is None:
            return Parsed(None, Rule.out_of_range)
        if called not in (None, number) and not (letter[1] and letter[3]):
            return Parsed(None, Rule.conflict)
        sure = letter[2].isupper() or letter[1] or letter[3]
        return _option(given, number, Rule.letter if sure else Rule.small_letter)
    first, last = _LETTER_FIRST.fullmatch(text), _LETTER_LAST.fullmatch(text)
    if first and (first[3] or (first[2].isupper() and first[4])):  # before the words, in which A would be an article
        return _with_text(given, first[2], first[5], cut=True)
    if last and (parsed := _with_text(given, last[2], last[1], cut=False)):
        return parsed
    alike = given.alike(_word_texts(text))
    if len(alike) == 1:
        return _option(given, alike[0], Rule.option_text)
    if first and first[2].isupper() and (parsed := _with_text(given, first[2], first[5], cut=False)):
        return parsed
    return Parsed(None, Rule.several) if alike else None


def _word_texts(text: str) -> tuple[str, ...]:
    return tuple(word.text for word in words(text))


def _with_text(given: AnswerOptions, letter: str, text: str, *, cut: bool) -> Parsed | None:
    """A letter with the words of its option, or with their beginning; a conflict where they are another's."""
    own = _word_texts(text)
    number, alike = given.of_letter(letter), given.alike(own)
    if number is None:
        return Parsed(None, Rule.out_of_range) if alike else None
    if alike:
        right = number in alike
        return _option(given, number, Rule.letter_and_text) if right else Parsed(None, Rule.conflict)
    begins = cut and bool(own) and " ".join(given.words[number]).startswith(" ".join(own))
    return _option(given, number, Rule.letter_and_text) if begins else None


def _option(given: AnswerOptions, number: int | None, rule: Rule) -> Parsed:
    return Parsed(None, Rule.out_of_range) if number is None else Parsed(given.texts[number], rule)


def _without_echo(text: str, given: AnswerOptions) -> str:
    """The reply without the list of options, where it repeats two or more of them, each on a line of its own."""
    lines = text.splitlines()
    read = [_whole(unmarked(line), given) for line in lines]
    echo = [parsed is not None and parsed.rule is Rule.letter_and_text for parsed in read]
    repeated = {parsed.option for parsed, is_echo in zip(read, echo, strict=True) if parsed and is_echo}
    left = "\n".join(line for line, is_echo in zip(lines, echo, strict=True) if not is_echo)
    return left if len(repeated) > 1 and left.strip() else text


def _after(cue: re.Pattern[str], text: str) -> list[str]:
    """What stands after each cue, each text once; "I don't think the answer is" is no cue."""
    return list(
        dict.fromkeys(
            text[hit.end() : hit.end() + _PLACE]
            for hit in cue.finditer(text)
            if not denies(text[max(0, hit.end() - 100) : hit.end()].rstrip(":= "))
        )
    )


def _agreed(places: Sequence[str], given: AnswerOptions) -> Parsed | None:
    """The one option of all places where an answer is to stand; None where they say nothing, or only deny."""
    read = [parsed for place in places if (parsed := _place(place, given)).rule not in (Rule.none, Rule.negated)]
    failed = [parsed for parsed in read if parsed.option is None]
    if failed:
        return failed[0]
    if len({parsed.option for parsed in read}) > 1:
        return Parsed(None, Rule.several)
    return Parsed(read[0].option, Rule.final_answer) if read else None


def _place(text: str, given: AnswerOptions) -> Parsed:
    """What stands where an answer is to stand: the line, the sentence, or the sentence up to its reason."""
    text = re.sub(r"(?:the\s+)?letter\s+(?=\W?[A-Za-z]\b)", "", text.lstrip(_EDGE + ":"), count=1, flags=re.IGNORECASE)
    line = text.split("\n", 1)[0]
    sentence = _SENTENCE_END.split(text, maxsplit=1)[0]
    short = _REASON.split(sentence, maxsplit=1)[0]
    for part in (line, sentence, short):
        parsed = _whole(part, given) if part.strip(_EDGE) else None
        if parsed is not None:
            return parsed
    return _in_text(short, given)


def _one_bold(bold: Sequence[str], given: AnswerOptions) -> Parsed | None:
    """The only option that stands in bold: several are headings."""
    read = {parsed.option for part in bold if (parsed := _whole(part, given)) and parsed.option is not None}
    return Parsed(read.pop(), Rule.final_answer) if len(read) == 1 else None


def _chosen(text: str, given: AnswerOptions) -> Parsed | None:
    """The letter that the writer says to choose."""
    read = []
    for place in _after(_CHOICE_CUE, text):
        sentence = _REASON.split(_SENTENCE_END.split(place, maxsplit=1)[0], maxsplit=1)[0]
        parsed = _letters(sentence, given)
        if parsed is not None and parsed.rule is not Rule.negated:
            read.append(parsed)
    failed = [parsed for parsed in read if parsed.option is None]
    if failed or len({parsed.option for parsed in read}) > 1:
        return failed[0] if failed else Parsed(None, Rule.several)
    return Parsed(read[0].option, Rule.choice) if read else None


def _in_text(text: str, given: AnswerOptions) -> Parsed:
    """What a piece of prose names: a letter, or else an option's words."""
    if _ALL.search(text) and not any(_ALL.search(option) for option in given.texts):
        return Parsed(None, Rule.several)
    found = _letters(text, given)
    if found is not None:
        return found
    if _REFUSED in text:
        return Parsed(None, Rule.refusal)
    return _yes_no(text, given) or _words(text, given)


def _letters(text: str, given: AnswerOptions) -> Parsed | None:
    mentions = letter_mentions(text, given)
    chosen = [mention for mention in mentions if not mention.denied]
    if not chosen:
        return Parsed(None, Rule.negated) if mentions else None
    if len({mention.option for mention in chosen}) > 1:
        return Parsed(None, Rule.several)
    if any(contradicted(text, mention, given) for mention in chosen):
        return Parsed(None, Rule.conflict)
    return _option(given, chosen[0].option, Rule.letter_in_text)


def _yes_no(text: str, given: AnswerOptions) -> Parsed | None:
    start = _YES_NO.match(text)
    if start is None:
        return None
    if _TURNED[start[1].casefold()].search(text, start.end(1)):
        return Parsed(None, Rule.several)
    begin = [number for number, own in enumerate(given.words) if own[:1] == (start[1].casefold(),)]
    return _option(given, begin[0], Rule.yes_no) if len(begin) == 1 else None


def _words(text: str, given: AnswerOptions) -> Parsed:
    mentions: Sequence[OptionMention] = word_mentions(text, given)
    chosen = {mention.option for mention in mentions if not mention.denied}
    counted, counts = numbers(text), [own for own in given.words if len(own) == 1 and is_number(own[0])]
    if not chosen:
        strange = len(counts) == len(given.words) and len(counted) == 1 and not mentions
        return Parsed(None, Rule.negated if mentions else Rule.out_of_range if strange else Rule.none)
    number = chosen.pop()
    assert number is not None
    counting = given.words[number] in counts
    if chosen or (counting and len(counted) > 1) or len(given.alike(given.words[number])) > 1:
        return Parsed(None, Rule.several)
    return _option(given, number, Rule.number if counting else Rule.text_in_text)


def read_choice(reply: str, options: Sequence[str]) -> str | None:
    """The option that a reply chooses, under the strict reading: the whole reply is a letter, or an option, or both."""
    return parse(reply, options).strict


def read_answer(reply: str, options: Sequence[str]) -> str | None:
    """The answer in a reply: the option it chooses, or, for an open-ended question, its words. None if unreadable."""
    return read_choice(reply, options) if options else reply.strip() or None


def same_answer(given: str | None, true: str, options: Sequence[str]) -> bool:
    """Whether an answer that was read is the true one: the very option, or equal as `plain` words."""
    if given is None:
        return False
    return given == true if options else plain(given) == plain(true) != ""
