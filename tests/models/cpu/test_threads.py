"""Pictures go through a tower in parts, on a CPU each core its own; what comes of them is in their order."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor

from aotd.errors import QuestionError
from aotd.models.cpu import threads
from aotd.models.quantisation import device
from aotd.records import Outcome

pytestmark = pytest.mark.skipif(device().type != "cpu", reason="of a GPU there is one")


@pytest.fixture(autouse=True)
def three_cores() -> Iterator[None]:
    """How many cores there are is asked once, and the other tests let torch have one."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    threads._cores.cache_clear()
    threads._made_pool.cache_clear()
    yield
    torch.set_num_threads(before)
    threads._cores.cache_clear()
    threads._made_pool.cache_clear()


def test_what_is_made_comes_in_the_order_of_the_batches() -> None:
    def tower(pixels: Tensor) -> list[float]:
        time.sleep(0.01 * float(pixels[0]))  # the first takes longest
        return [float(one) for one in pixels]

    made = list(threads.through([[3, 2], [1], [0, 5, 4]], lambda batch: torch.tensor(batch), tower))
    assert made == [3, 2, 1, 0, 5, 4]
    assert list(threads.ahead([3, 1, 2], str)) == ["3", "1", "2"]
    assert list(threads.through([], lambda batch: torch.tensor(batch), tower)) == []


def test_each_core_computes_by_itself_and_the_caller_keeps_its_threads() -> None:
    before, seen = torch.get_num_threads(), set[tuple[int, bool]]()

    def tower(pixels: Tensor) -> list[Tensor]:
        seen.add((torch.get_num_threads(), torch.is_inference_mode_enabled()))
        return [(pixels @ pixels).exp().sum()]

    for _ in range(2):
        made = list(threads.through(range(8), lambda number: torch.full((64, 64), number / 64), tower))
        assert made == sorted(made)
    assert seen == {(1, True)}
    assert torch.get_num_threads() == before
    with ThreadPoolExecutor(1) as new:
        assert new.submit(torch.get_num_threads).result() == before


def test_as_many_batches_are_in_work_as_there_are_cores() -> None:
    cores = torch.get_num_threads()
    together = threading.Barrier(cores, timeout=20)

    def tower(pixels: Tensor) -> list[int]:
        together.wait()
        return [1]

    assert list(threads.through(range(cores), lambda number: torch.tensor(number), tower)) == [1] * cores


def test_a_small_model_is_asked_on_one_core_and_a_large_one_on_all() -> None:
    def ask() -> tuple[str, int]:
        return threading.current_thread().name.partition("_")[0], torch.get_num_threads()

    cores, here = torch.get_num_threads(), threading.current_thread().name
    assert threads.beside(threads.SMALL_BYTES, ask) == ("tower", 1)
    assert threads.beside(threads.SMALL_BYTES + 1, ask) == (here, cores)
    assert torch.get_num_threads() == cores


def test_what_a_small_model_raises_is_the_callers_error() -> None:
    def ask() -> None:
        raise QuestionError(Outcome.tool_failed, "it has fallen over")

    with pytest.raises(QuestionError, match="fallen over"):
        threads.beside(1, ask)


@pytest.mark.parametrize("batch", [1, 2, 8, 100])
def test_a_batch_is_shared_out(batch: int) -> None:
    cores = torch.get_num_threads()
    assert 1 <= threads.at_once(batch) <= max(batch // cores, 1)


def test_a_picture_that_cannot_be_had_is_the_callers_error() -> None:
    def prepare(number: int) -> Tensor:
        if number == 2:
            raise QuestionError(Outcome.video_unreadable, "it has gone")
        return torch.tensor([number])

    with pytest.raises(QuestionError, match="it has gone"):
        list(threads.through(range(4), prepare, lambda pixels: [int(pixels)]))
    assert list(threads.through(range(2), prepare, lambda pixels: [int(pixels)])) == [0, 1]
