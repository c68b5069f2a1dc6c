"""Batches of pictures through an image tower, so that what computes is never without work.

On a GPU the batches go one after the other, and another thread prepares the next. On a CPU as many go side by side as
there are cores, each on a core of its own: a product that is shared out to cores waits for the slowest of them, and
much of a tower (norms, preparing pictures) is not shared out at all. A small model that is asked meanwhile computes as
a batch does (`beside`): on all cores, it would wait for those that the towers are on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from threading import Barrier, Lock
from typing import TYPE_CHECKING, TypeVar

from aotd.models.quantisation import device

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")
U = TypeVar("U")


SMALL_BYTES = 64 << 20
"""A model with no more weights is asked on one core: there it reads a thousand tokens in some tenths of a second."""


def at_once(batch: int) -> int:
    """How many pictures of a `batch` go through a tower in one go: on a CPU each core's part of them."""
    return batch if device().type != "cpu" else max(batch // _cores(), 1)


def through(
    batches: Iterable[T], prepare: Callable[[T], Tensor], tower: Callable[[Tensor], Iterable[U]]
) -> Iterator[U]:
    """What a tower makes of batches of `at_once` pictures, in their order.

    Args:
        prepare: a batch as the tower takes it. Other threads call it, and on a CPU `tower`, whose weights are there.
    """
    if device().type != "cpu":
        return (made for pixels in ahead(batches, prepare) for made in tower(pixels))
    return side_by_side(batches, lambda batch: list(tower(prepare(batch))))


def beside(size: int, ask: Callable[[], T]) -> T:
    """What `ask` says, which asks a model with `size` bytes of weights: on a CPU a small one computes on one core.

    Args:
        ask: gives nothing to a tower, and loads no weights.
    """
    if device().type != "cpu" or size > SMALL_BYTES:
        return ask()
    return _pool().submit(ask).result()


def ahead(items: Iterable[T], make: Callable[[T], U]) -> Iterator[U]:
    """`make` of each item; while one is used, another thread makes the next."""
    with ThreadPoolExecutor(1) as other:
        coming: Future[U] | None = None
        for item in items:
            following = other.submit(make, item)
            if coming is not None:
                yield coming.result()
            coming = following
        if coming is not None:
            yield coming.result()


def side_by_side(items: Iterable[T], make: Callable[[T], Iterable[U]]) -> Iterator[U]:
    """What `make` makes of each item, one after the other; as many items are in work as there are cores."""
    import torch

    def alone(item: T) -> Iterable[U]:
        with torch.inference_mode():
            return make(item)

    return (made for several in _pool().map(alone, items) for made in several)


@cache
def _cores() -> int:
    """How many threads torch uses for one product: the machine's cores, or what OMP_NUM_THREADS says."""
    import torch

    return torch.get_num_threads()


_making = Lock()


def _pool() -> ThreadPoolExecutor:
    """Threads that compute on one core each, the same for all towers of this process."""
    with _making:
        return _made_pool()


@cache
def _made_pool() -> ThreadPoolExecutor:
    import torch

    cores = _cores()
    all_there = Barrier(cores + 1)
    _keep_pages()

    def begin() -> None:
        torch.get_num_threads()  # a thread's first question sets its number anew
        torch.set_num_threads(1)
        all_there.wait()

    pool = ThreadPoolExecutor(cores, "tower", begin)
    for _ in range(cores):
        pool.submit(int)
    all_there.wait()
    torch.set_num_threads(cores)  # of threads to come; each that is there has its own number
    return pool


def _keep_pages() -> None:
    """Have glibc keep memory that is let go, as it does anyway once it has seen blocks this large come and go: else it
    hands the pages back after each layer, and gets them anew for the next one."""
    import torch

    torch.empty(31 << 20, dtype=torch.uint8)
