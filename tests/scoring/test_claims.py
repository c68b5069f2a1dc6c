"""Claims are read from well-written thoughts, and from any other text without an exception."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aotd.scoring.claims import TextBox, TextCount, TextSeconds, TextSpan, final_answer, read_claims


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("It happens from frame 2 to frame 11.", [(2, 12)]),
        ("from frame 2 to 11, then From Frame 20 to frame 20", [(2, 12), (20, 21)]),
        ("during frames 4-7 and between frame 9 and frame 12", [(4, 8), (9, 13)]),
        ("in frame 3 and frame 5", []),
        ("from frame 9 to frame 4", [(9, 5)]),
        ("from frame 99999999999999999999 to frame 3", []),
        ("", []),
    ],
)
def test_read_claims_gives_half_open_spans(text: str, spans: list[tuple[int, int]]) -> None:
    assert list(read_claims(text).spans) == [TextSpan(*span) for span in spans]


HIDDEN = "I see cup at [1, 2, 3, 4] in frame 5. It happens from frame 2 to frame 11. Count of cup: 3."


@pytest.mark.parametrize(
    "text",
    [
        *(
            HIDDEN.replace("ra", f"r{sign}a").replace("ou", f"o{sign}u")
            for sign in "\u200b\u200d\u2060\ufeff\u00ad\u034f\ufe0f"
        ),
        HIDDEN.translate({ord("0") + n: chr(0xFF10 + n) for n in range(10)}),
        HIDDEN.translate({ord("0") + n: chr(0x0660 + n) for n in range(10)}),
        HIDDEN.replace("frame", "\u202eframe\u202c"),
    ],
)
def test_read_claims_ignores_invisible_characters(text: str) -> None:
    assert text != HIDDEN
    assert read_claims(text) == read_claims(HIDDEN)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("It happens from 3.5 to 8 seconds.", [(3.5, 8)]),
        ("from 3.5s to 8s, and 10 s – 12 s", [(3.5, 8), (10, 12)]),
        ("between 2 and 4.5 seconds; from second 5 to second 7", [(2, 4.5), (5, 7)]),
        ("0:03 - 0:08.5 and again 01:10 to 01:12", [(3, 8.5), (70, 72)]),
        ("seconds 3 to 7", [(3, 7)]),
        ("8 to 3 sec", [(8, 3)]),
        # No unit, no clock, not joined to a span, or part of something else.
        ("from 3 to 8", []),
        ("it takes 3 and 4 seconds", []),
        ("from frame 3 to frame 8", []),
        ("pages 3-8, the score is 1:12", []),
        ("[3, 4, 5, 6] in frame 2", []),
        ("3.5.6 to 8 s.2 seconds", []),
        ("version 1.2.3-4s", []),
    ],
)
def test_read_claims_reads_spans_in_seconds(text: str, seconds: list[tuple[float, float]]) -> None:
    assert list(read_claims(text).seconds) == [TextSeconds(*span) for span in seconds]


@pytest.mark.parametrize(
    ("text", "boxes"),
    [
        (
            "Find cup/glass/bottle at [1, 2, 30, 40] in frame 4, [5, 6, 7, 8] in frame 7 and [1, 1, 2, 2] in frame 9.",
            [((1, 2, 30, 40), 4, "cup/glass/bottle"), ((5, 6, 7, 8), 7, "cup/glass/bottle"),
             ((1, 1, 2, 2), 9, "cup/glass/bottle")],
        ),
        ("Table can also be found at [1, 2, 3, 4] in frame 2.", [((1, 2, 3, 4), 2, "table")]),
        ("In this time, we can find the open door at [1, 2, 3, 4] in frame 2.", [((1, 2, 3, 4), 2, "open door")]),
        ("In frame 5, a bag is at [1.5, -2, 3, 4].", [((1.5, -2, 3, 4), 5, "bag")]),
        (
            "There is person at [1, 2, 3, 4] in frame 2. I see the book at [5, 6, 7, 8] in frame 3.",
            [((1, 2, 3, 4), 2, "person"), ((5, 6, 7, 8), 3, "book")],
        ),
        ("I see shoe, phone/camera at [1, 2, 3, 4] in frame 2.", [((1, 2, 3, 4), 2, "shoe, phone/camera")]),
        ("Something [1, 2, 3, 4].", [((1, 2, 3, 4), None, None)]),
        ("person at [1, 2, 3] in frame 4 [[1,2", []),
    ],
)  # fmt: skip
def test_read_claims_gives_boxes_frame_and_label(
    text: str, boxes: list[tuple[tuple[float, ...], int | None, str | None]]
) -> None:
    assert [(found.box, found.frame, found.label) for found in read_claims(text).boxes] == boxes


def test_read_claims_reads_frames_by_themselves() -> None:
    claims = read_claims("It is seen in frames 3, 5 and 9, at [1, 2, 3, 4] in frame 4, and from frame 7 to frame 8.")
    assert claims.frames == (3, 5, 9, 4)
    assert claims.spans == (TextSpan(7, 9),)
    assert claims.boxes == (TextBox((1, 2, 3, 4), 4, None),)


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("count of cup/glass/bottle: 3", [("cup/glass/bottle", 3)]),
        ("The count of putting down the book is two.", [("putting down the book", 2)]),
        ("I count 3 books in the room.", [("books in the room", 3)]),
        ("count of book: 0; count of bag: 2", [("book", 0), ("bag", 2)]),
        ("there was no count", []),
    ],
)
def test_read_claims_reads_counts(text: str, counts: list[tuple[str, int]]) -> None:
    assert list(read_claims(text).counts) == [TextCount(*count) for count in counts]


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("First this. So the answer is the book.", "the book"),
        ("So the answer should be tidied up.", "tidied up"),
        ('So the answer is: "Put down the bag."', "Put down the bag"),
        ("The answer is A. No, the answer is (B).", "(B)"),
        ("So the answer is 3", "3"),
        ("So the answer is a cup. And then it rains.", "a cup. And then it rains"),
        ("So the answer is .", None),
        ("I do not know.", None),
    ],
)
def test_final_answer_is_what_ends_the_text(text: str, answer: str | None) -> None:
    assert final_answer(text) == answer


PIECES = [
    "frame ",
    "frames ",
    "from ",
    " to ",
    "[",
    "]",
    ", ",
    "1",
    "23",
    "at ",
    "count of ",
    ": ",
    "the answer is",
    ".",
]


@given(st.one_of(st.text(), st.lists(st.sampled_from(PIECES)).map("".join)))
def test_read_claims_takes_any_text(text: str) -> None:
    read_claims(text)
    final_answer(text)
