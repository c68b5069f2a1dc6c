from __future__ import annotations

import torch

from aotd.models.lru import FeatureLRU, Features, frame_key
from aotd.video.clip import Clip
from tests.specialists.pictures import Moving


def ask(kept: FeatureLRU, names: str, made: list[str]) -> str:
    def make(new: list[int]) -> list[Features]:
        made.extend(names[at] for at in new)
        return [(torch.tensor([float(ord(names[at]))]),) for at in new]

    return "".join(chr(int(value)) for (value,) in kept.each(list(names), make))


def test_each_is_made_once_and_comes_in_the_order_asked() -> None:
    kept, made = FeatureLRU(), list[str]()
    assert ask(kept, "abba", made) == "abba"
    assert ask(kept, "cab", made) == "cab"
    assert made == ["a", "b", "c"]


def test_what_was_idle_longest_goes_first() -> None:
    kept, made = FeatureLRU(budget=2 * 4), list[str]()
    ask(kept, "a", made), ask(kept, "b", made), ask(kept, "a", made), ask(kept, "c", made)
    made.clear()
    ask(kept, "ac", made)
    assert made == []
    ask(kept, "b", made)
    assert made == ["b"]


def test_more_than_the_budget_is_still_given() -> None:
    kept, made = FeatureLRU(budget=4), list[str]()
    assert ask(kept, "abc", made) == "abc"


def test_a_frame_is_known_by_its_video_part_and_crop() -> None:
    clip = Clip.whole(Moving())
    others = [Clip.whole(Moving(video_id="w")), Clip.whole(Moving(start_s=1.0)), clip.crop({1: (0, 0, 9, 9)})]
    assert frame_key(clip, 1) == frame_key(clip.span(1, 3), 1)
    assert len({frame_key(one, 1) for one in (clip, *others)}) == 4
    assert frame_key(clip, 1) != frame_key(clip, 2)
