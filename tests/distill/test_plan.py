"""What is trained on when."""

from __future__ import annotations

from collections import Counter
from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from aotd.distill.plan import BatchPlan, PlannedBatch, SequenceSizes, make_plan

VIDEOS = st.lists(st.integers(0, 4), min_size=1, max_size=30)


def planned(videos: list[int], texts: list[int], **settings: float) -> tuple[BatchPlan, SequenceSizes]:
    sizes = SequenceSizes([10] * len(videos), texts)
    given = {"batch": 6, "group": 4, "tokens": 60, "epochs": 2, "processes": 1, "seed": 0, **settings}
    return make_plan(videos, sizes, **given), sizes  # type: ignore[arg-type]


def steps(plan: BatchPlan, processes: int) -> list[list[PlannedBatch]]:
    pieces = iter(plan.batches)
    return [list(islice(pieces, plan.per_step * processes)) for _ in range(plan.steps)]


@given(VIDEOS, st.data(), st.integers(1, 3), st.integers(1, 5))
def test_plan_fills_steps_with_questions_and_batches_within_tokens(
    videos: list[int], data: st.DataObject, processes: int, group: int
) -> None:
    texts = [data.draw(st.integers(1, 40)) for _ in videos]
    plan, sizes = planned(videos, texts, processes=processes, group=group)
    seen: Counter[int] = Counter()
    for step in steps(plan, processes):
        examples = [example for piece in step if piece.counts for one in piece.groups for example in one]
        seen.update(examples)
        assert len(examples) <= 6
        assert {piece.questions for piece in step} == {len(examples)}
        for piece in step:
            assert len(piece.groups) * max(map(sizes.of, piece.groups)) <= 60
            for one in piece.groups:
                assert len(one) <= group
                assert len({videos[example] for example in one}) == 1
    assert seen == Counter(dict.fromkeys(range(len(videos)), 2))


@given(VIDEOS)
def test_questions_of_a_step_do_not_depend_on_processes(videos: list[int]) -> None:
    def asked(processes: int) -> list[set[int]]:
        plan, _ = planned(videos, [5] * len(videos), processes=processes)
        return [
            {example for piece in step if piece.counts for one in piece.groups for example in one}
            for step in steps(plan, processes)
        ]

    assert asked(1) == asked(3)


def test_plan_groups_questions_of_a_video() -> None:
    plan, _ = planned([0] * 4 + [1] * 4, [5] * 8, batch=8, epochs=1)
    assert sorted(tuple(sorted(one)) for piece in plan.batches for one in piece.groups) == [(0, 1, 2, 3), (4, 5, 6, 7)]


def test_fraction_of_an_epoch_is_a_fraction_of_its_steps() -> None:
    plan, _ = planned([0] * 12, [5] * 12, batch=4, epochs=1.3)
    assert plan.steps == 4


def test_order_differs_by_epoch_and_seed_and_repeats_with_a_seed() -> None:
    def order(seed: int) -> list[PlannedBatch]:
        return planned([0, 1, 2, 3, 4, 5], [5] * 6, seed=seed, batch=2, group=1)[0].batches

    assert order(1) == order(1)
    assert order(1) != order(2)
    assert order(1)[:3] != order(1)[3:]
