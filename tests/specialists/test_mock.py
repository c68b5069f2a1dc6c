from __future__ import annotations

from aotd.records import Question
from aotd.specialists.mock import Mock
from aotd.video.clip import Clip

QUESTION = Question(
    question_id="q", dataset="d", split="val", video_id="v", start_s=2.0, end_s=9.0, question="What?", type="t"
)


def _clip() -> Clip:
    return Clip.whole(Mock(8).open(QUESTION))


def test_the_same_question_gets_the_same_findings() -> None:
    for ask in (
        lambda mock: mock.detect(_clip(), "cup"),
        lambda mock: mock.ground(_clip(), "person opening the door"),
        lambda mock: mock.actions(_clip(), None, ("a", "b", "c")),
        lambda mock: mock.choose("What?", {"seen": "door"}, ("a", "b")),
    ):
        assert ask(Mock(8)) == ask(Mock(8))


def test_findings_stay_inside_what_the_clip_shows() -> None:
    mock, clip = Mock(8), _clip().crop({2: (10.0, 5.0, 30.0, 25.0), 5: (0.0, 0.0, 8.0, 8.0)})
    boxes = [box for query in "abcdefgh" for box in mock.detect(clip, query)]
    assert {box.frame for box in boxes} == {2, 5}
    for box in boxes:
        left, top, right, bottom = clip.crops[box.frame]
        x1, y1, x2, y2 = box.box
        assert left <= x1 <= x2 <= right
        assert top <= y1 <= y2 <= bottom
    spans = [mock.ground(_clip().span(3, 6), query) for query in "abcdefgh"]
    assert all(span is None or 3 <= span.start < span.end <= 6 for span in spans)


def test_most_things_are_found_and_some_are_not() -> None:
    found = [bool(Mock(8).detect(_clip(), f"thing {number}")) for number in range(200)]
    assert 0.75 < sum(found) / 200 < 0.95


def test_the_part_of_the_video_is_the_questions() -> None:
    video = Mock(8).open(QUESTION)
    assert (video.start_s, video.end_s, video.frames) == (2.0, 9.0, 8)
    assert video.pixels().shape == (8, 48, 64, 3)


def test_content_tells_videos_apart() -> None:
    video, other = (Mock(8).open(QUESTION.model_copy(update={"video_id": name})) for name in ("v", "w"))
    assert video.content == Mock(8).open(QUESTION).content
    assert video.content != other.content
    assert len(video.content) == 64
