"""Work on several items at a time, a thread each: the networks are too small to keep many cores busy with one photo."""

import contextlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar, cast

MAX_AT_A_TIME = 4  # items: what bounds memory
Item = TypeVar("Item")
Result = TypeVar("Result")


def in_turn(
    work: Callable[[Item], Result], items: Iterable[Item], max_items: int = MAX_AT_A_TIME
) -> Iterator[tuple[Item, Future[Result]]]:
    """Each item with its future, in their order; others are begun meanwhile, by as many threads as there are cores.

    max_items: at a time. Items are asked for as they are begun, one more than there are threads. Ended early, what was
    not begun is cancelled.
    """
    count = min(os.cpu_count() or 1, max_items)
    waiting = iter(items)
    begun: deque[tuple[Item, Future[Result]]] = deque()
    with ThreadPoolExecutor(count, initializer=_share_cores if count > 1 else None) as pool:

        def begin() -> None:
            while len(begun) <= count:
                try:
                    item = next(waiting)
                except StopIteration:
                    return
                begun.append((item, pool.submit(work, item)))

        try:
            begin()
            while begun:
                head = [begun.popleft()]
                begin()
                yield head.pop()  # held no longer here: what an error or a result keeps is the caller's
        finally:
            pool.shutdown(cancel_futures=True)


def ahead(items: Iterable[Item]) -> Iterator[Item]:
    """The items, each fetched while the one before is worked on."""
    waiting, end = iter(items), object()
    with ThreadPoolExecutor(1) as pool:
        fetched = pool.submit(next, waiting, end)
        while (item := fetched.result()) is not end:
            fetched = pool.submit(next, waiting, end)
            yield cast(Item, item)


@contextlib.contextmanager
def one_core() -> Iterator[None]:
    """Let the networks of this thread, or of a function, keep one core busy.

    They are too small for several to be faster, and where another core has other work, they would wait for it, up to
    twenty times as long as they work. A thread that begins meanwhile keeps to one core too: torch gives it the number
    that was last set.
    """
    import torch

    count = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(count)


def _share_cores() -> None:
    """One core for one item."""
    import torch

    torch.set_num_threads(1)
