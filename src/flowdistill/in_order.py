"""The same work for many items, on one or several processes, in order and with a progress bar."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

from tqdm import tqdm

from flowdistill.errors import UserError
from flowdistill.processes import start_worker

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(
    work: Callable[[Item], Result],
    items: Sequence[Item],
    workers: int,
    unit: str,
    title: str,
    delay: float = 0,
) -> list[Result]:
    """`work` of every item, in the items' order, whatever the number of worker processes.

    Args:
        work: what to do; with several workers it and the items must be picklable.
        items: what to do it with.
        workers: processes; 1 works in this one.
        unit: what an item is, for the progress bar.
        title: what is done, for the progress bar.
        delay: seconds before the progress bar appears; work that is done by then has none.

    Raises:
        UserError: fewer than one worker; and what `work` raises, for the first item in order that fails.
    """
    if workers < 1:
        raise UserError(f"--workers is {workers}; use at least 1 process")
    results = _results(work, items, min(workers, len(items)))
    return list(tqdm(results, total=len(items), unit=unit, desc=title, delay=delay))


def _results(work: Callable[[Item], Result], items: Sequence[Item], workers: int) -> Iterator[Result]:
    if workers <= 1:
        yield from map(work, items)
        return
    # Fresh processes: a fork would copy the threads' state of OpenCV and of whatever else the caller runs.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, start_worker, (os.getpid(),)) as executor:
        yield from executor.map(work, items)
