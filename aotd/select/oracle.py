"""Specialists that read the ground truth: what every tool would say if it were always right.

A program that runs over them fails by its own fault alone, so they are what authors are compared on
(paper §3.2: "the intermediate outputs replaced with ground truth"). Things are where annotators marked
them on the nearest key frame, moments are when the marked actions happen, and words are matched by their
stems, whatever their form.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aotd.datasets.star import StarSituation
from aotd.records import Detection, Question, SpanFinding
from aotd.select.acts import TrueAction, acts, stems
from aotd.specialists.protocols import Source, Specialists
from aotd.video.clip import Clip, Video, frame_times

_FUTURE = stems("will next about would going soon")
_ABLE = stems("can could able possible")
_COUNT = stems("many count number")


class Oracle:
    """Source and specialist of every sub-task, for one question."""

    model = "ground truth"

    def __init__(self, question: Question, marked: Sequence[StarSituation], source: Source) -> None:
        self._question, self._marked, self._source = question, marked, source
        video = source.open(question)
        self._times = frame_times(video.start_s, video.end_s, video.frames)
        end_s = _after(marked, video.end_s)
        self._acts = acts(marked, video.start_s, end_s)
        self._held = [act for act in acts(marked, video.start_s, end_s, held=True) if act not in self._acts]

    def specialists(self) -> Specialists:
        """The whole set."""
        return Specialists.from_one(self)

    def open(self, question: Question) -> Video:
        """The question's video."""
        return self._source.open(question)

    def detect(self, clip: Clip, query: str) -> list[Detection]:
        """The boxes of what a query names that are marked on the key frame nearest to each frame."""
        found = []
        for number in clip.numbers:
            one = self._nearest(number)
            for box in one.boxes if one else ():
                if _names(query, box.label):
                    found.append(Detection(frame=number, box=box.box, label=query, score=1.0))
        return found

    def ground(self, clip: Clip, query: str) -> SpanFinding | None:
        """The first action that a query speaks of and that happens on frames of the clip."""
        for act in (*self._in(clip), *(act for act in self._held if self._frames(clip, act))):
            if _speaks_of(query, act.name):
                numbers = self._frames(clip, act)
                return SpanFinding(start=numbers[0], end=numbers[-1] + 1, score=1.0)
        return None

    def actions(self, clip: Clip, obj: str | None, candidates: Sequence[str]) -> list[str]:
        """What is done on the clip's frames (with a thing), first to last; of the candidates, those that are meant."""
        done = [act for act in self._in(clip) if obj is None or _names(obj, act.name)]
        if not candidates:
            return list(dict.fromkeys(act.doing for act in done))
        return list(dict.fromkeys(c for act in done for c in candidates if stems(act.name) >= stems(c) != frozenset()))

    def answer(self, clip: Clip, question: str) -> str:
        """What is done, comes next, could be done, or is there, as the words of the question want it."""
        words = stems(question)
        if words & _ABLE:
            return _listed(box.label for one in self._marked for box in one.boxes if box.label != "person")
        if words & _COUNT:
            return str(max((self._count(number, question) for number in clip.numbers), default=0))
        if words & _FUTURE:
            last = self._times[clip.numbers[-1]] if clip.numbers else 0.0
            return _listed(_thing(act.name, question) for act in self._acts if act.end_s > last)
        done = self._in(clip)
        meant = [act for act in done if stems(act.name.split(" ")[0]) & words] or done
        return _listed(_thing(act.name, question) for act in meant)

    def summarise(self, clip: Clip, query: str) -> str:
        """All that is done in the clip."""
        return _listed(act.doing for act in self._in(clip))

    def choose(self, question: str, info: Mapping[str, str], options: Sequence[str]) -> str | None:
        """The option that shares most of its words with what was told first; None where none shares any."""
        if not options:
            return next((text for text in info.values() if text and text != "nothing"), None)
        best, chosen = 0.0, None
        for place, text in enumerate(info.values()):
            for rank, part in enumerate(text.split(", ")):
                for option in options:
                    wanted = stems(option)
                    share = len(wanted & stems(part)) / max(len(wanted), 1) / (1 + 0.1 * rank + 0.3 * place)
                    if share > best:
                        best, chosen = share, option
        return chosen

    def _nearest(self, number: int) -> StarSituation | None:
        return min(self._marked, key=lambda one: abs(one.time_s - self._times[number]), default=None)

    def _count(self, number: int, query: str) -> int:
        one = self._nearest(number)
        return sum(_names(query, box.label) for box in one.boxes) if one else 0

    def _frames(self, clip: Clip, act: TrueAction) -> list[int]:
        """The clip's frames in which an action happens; the nearest one of an action that falls between two."""
        inside = [number for number in clip.numbers if act.start_s <= self._times[number] < act.end_s]
        if inside or not clip.numbers:
            return inside
        middle = (act.start_s + act.end_s) / 2
        near = min(range(len(self._times)), key=lambda number: abs(self._times[number] - middle))
        return [near] if near in clip.numbers else []

    def _in(self, clip: Clip) -> list[TrueAction]:
        return [act for act in self._acts if self._frames(clip, act)]


def _after(marked: Sequence[StarSituation], end_s: float) -> float:
    """The end of what is marked: what a question asks to be foreseen is marked on its last frame."""
    return max([end_s, *(one.time_s + 1e-3 for one in marked)])


def _names(query: str, label: str) -> bool:
    """Whether a query names a class; one like `cup/glass/bottle` has several names."""
    said = stems(query)
    return any(stems(name) <= said for name in (*label.split("/"), label.split(" ", 1)[-1]) if stems(name))


def _speaks_of(query: str, name: str) -> bool:
    """Whether a query means an action: all that it says, `something` and the like aside, is in the action's name."""
    said = stems(query) - stems("interact")
    return bool(said) and said <= stems(name) | stems(name.replace("/", " "))


def _thing(name: str, question: str) -> str:
    """The thing of an action where the question has its verb, else the whole action."""
    verb, _, thing = name.partition(" ")
    return thing if thing and (stems(verb) & stems(question) or "thing" in question) else name


def _listed(names: object) -> str:
    assert not isinstance(names, str)
    return ", ".join(dict.fromkeys(names)) or "nothing"  # type: ignore[call-overload]
