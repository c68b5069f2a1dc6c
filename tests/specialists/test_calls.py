"""A call's key holds all that decides its finding; a finding that is known is not asked for again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aotd.records import Detection, Question, SpanFinding
from aotd.specialists.calls import CountingSpecialists, Findings
from aotd.specialists.mock import Mock, MockVideo
from aotd.specialists.protocols import Specialists
from aotd.store.cache import Cache
from aotd.video.clip import Clip

VIDEO = MockVideo("v", 8, 0.0, 4.0)


class Counting(Mock):
    """Counts what it is asked."""

    def __init__(self, model: str = "mock-1") -> None:
        super().__init__(8)
        self.model = model
        self.asked: list[tuple[Any, ...]] = []

    def detect(self, clip: Clip, query: str) -> list[Detection]:
        self.asked.append((clip.numbers, query))
        return super().detect(clip, query)

    def ground(self, clip: Clip, query: str) -> SpanFinding | None:
        self.asked.append((clip.numbers, query))
        return None if query == "never" else super().ground(clip, query)


def of(mock: Mock) -> Specialists:
    return Specialists.from_one(mock)


def test_a_finding_is_asked_for_once_in_all_runs(tmp_path: Path) -> None:
    first, second = Counting(), Counting()
    clip = Clip.whole(VIDEO)
    fresh = []
    for mock in (first, first, second):
        findings = Findings(of(mock), Cache(tmp_path, 1.0))
        asking = CountingSpecialists(findings, findings.answer)
        options = ("the door", "the bag")
        fresh.append(
            (
                asking.detection.detect(clip, "door"),
                asking.grounding.ground(clip, "never"),
                asking.grounding.ground(clip, "opening"),
                asking.action.actions(clip, None, options),
                asking.answering.answer(clip, "what?"),
                asking.answering.summarise(clip, ""),
                asking.answering.choose("which?", {"seen": "door"}, options),
                asking.answering.choose("which?", {}, ()),
            )
        )
        assert asking.reused == (0 if len(fresh) == 1 else 8)
    assert fresh[0] == fresh[1] == fresh[2]
    assert fresh[0] == (
        first.detect(clip, "door"), None, first.ground(clip, "opening"), first.actions(clip, None, options),
        first.answer(clip, "what?"), first.summarise(clip, ""), first.choose("which?", {"seen": "door"}, options), None,
    )  # fmt: skip
    assert len(first.asked) == 3 + 2
    assert not second.asked


@pytest.mark.parametrize(
    "other",
    [
        {"model": "mock-2"},
        {"video": replace(VIDEO, start_s=1.0)},
        {"video": replace(VIDEO, end_s=5.0)},
        {"video": replace(VIDEO, frames=9)},
        {"video": replace(VIDEO, video_id="w")},
        {"clip": lambda clip: clip.span(0, 7)},
        {"clip": lambda clip: clip.crop(dict.fromkeys(clip.numbers, (0.0, 0.0, 9.0, 9.0)))},
        {"query": "doors"},
    ],
)
def test_whatever_decides_a_finding_is_in_its_key(other: dict[str, Any], tmp_path: Path) -> None:
    cache = Cache(tmp_path, 1.0)
    before, after = Counting(), Counting(other.get("model", "mock-1"))
    findings = Findings(of(before), cache)
    CountingSpecialists(findings, findings.answer).detection.detect(Clip.whole(VIDEO), "door")
    findings = Findings(of(after), cache)
    clip = other.get("clip", lambda clip: clip)(Clip.whole(other.get("video", VIDEO)))
    CountingSpecialists(findings, findings.answer).detection.detect(clip, other.get("query", "door"))
    assert len(after.asked) == 1


def test_what_a_program_does_with_a_list_is_its_own_affair() -> None:
    findings = Findings(of(Counting()))
    asking = CountingSpecialists(findings, findings.answer)
    boxes = asking.detection.detect(Clip.whole(VIDEO), "door")
    assert boxes
    boxes.clear()
    assert asking.detection.detect(Clip.whole(VIDEO), "door")


def test_a_model_with_nothing_but_a_name_leaves_nothing_behind(tmp_path: Path) -> None:
    mock = Counting()
    for expected in (1, 2):
        findings = Findings(of(mock), Cache(tmp_path, 1.0), unpinned=["detection"])
        for _ in range(2):
            CountingSpecialists(findings, findings.answer).detection.detect(Clip.whole(VIDEO), "door")
        assert len(mock.asked) == expected, "remembered while the run lasts"


def test_a_failure_is_no_finding(tmp_path: Path) -> None:
    class Failing(Counting):
        def detect(self, clip: Clip, query: str) -> list[Detection]:
            if not self.asked:
                self.asked.append(())
                raise RuntimeError("out of order")
            return super().detect(clip, query)

    mock = Failing()
    findings = Findings(of(mock), Cache(tmp_path, 1.0))
    with pytest.raises(RuntimeError, match="out of order"):
        CountingSpecialists(findings, findings.answer).detection.detect(Clip.whole(VIDEO), "door")
    assert CountingSpecialists(findings, findings.answer).detection.detect(Clip.whole(VIDEO), "door")


def test_a_cache_that_somebody_has_written_into_is_not_believed(tmp_path: Path) -> None:
    cache, mock = Cache(tmp_path, 1.0), Counting()
    findings = Findings(of(mock), cache)
    call = findings.call("detection", "detect", Clip.whole(VIDEO), "door")
    cache.put(call.page, call.key, '{"not": "boxes"}')
    assert findings.known(call) is None
    assert findings.find([call])[0].value == Counting().detect(Clip.whole(VIDEO), "door")
    known = Findings(of(mock), Cache(tmp_path, 1.0)).known(call)
    assert known is not None
    assert known.value == Counting().detect(Clip.whole(VIDEO), "door")


def test_several_calls_go_together_where_the_specialist_can(monkeypatch: pytest.MonkeyPatch) -> None:
    class Several(Counting):
        batch = 3

        def __init__(self) -> None:
            super().__init__()
            self.together: list[int] = []

        def answer_all(self, asked: list[tuple[Clip, str]]) -> list[str]:
            self.together.append(len(asked))
            return [self.answer(clip, question) for clip, question in asked]

    mock = Several()
    findings = Findings(of(mock))
    calls = [findings.call("answering", "answer", Clip.whole(VIDEO), str(number)) for number in range(3)]
    assert findings.at_once(calls[0]) == 3
    assert findings.at_once(findings.call("detection", "detect", Clip.whole(VIDEO), "door")) == 1
    found = [one.value for one in findings.find(calls)]
    assert found == [mock.answer(Clip.whole(VIDEO), str(number)) for number in range(3)]
    assert mock.together == [3]


def test_opened_videos_are_the_sources(tmp_path: Path) -> None:
    mock = Mock(8)
    findings = Findings(of(mock))
    question = Question(
        question_id="q",
        dataset="d",
        split="val",
        video_id="v",
        video=None,
        question="?",
        type="t",
        options=(),
        answer="a",
    )
    assert CountingSpecialists(findings, findings.answer).source.open(question) == mock.open(question)
