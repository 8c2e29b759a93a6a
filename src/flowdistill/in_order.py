"""Map a function over many items, in one or several processes, in order and with a progress bar."""

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
    """Apply `work` to every item. The results are in the items' order for any number of worker processes.

    Args:
        work: the function; with several workers, it and the items must be picklable.
        items: its arguments.
        workers: number of processes; 1 uses the calling process.
        unit: name of one item in the progress bar.
        title: name of the task in the progress bar.
        delay: seconds before the progress bar appears; it is not shown if the work finishes earlier.

    Raises:
        UserError: fewer than one worker. Exceptions of `work` are passed on for the first failing item, in order.
    """
    if workers < 1:
        raise UserError(f"--workers is {workers}; use at least 1 process")
    results = _results(work, items, min(workers, len(items)))
    return list(tqdm(results, total=len(items), unit=unit, desc=title, delay=delay))


def _results(work: Callable[[Item], Result], items: Sequence[Item], workers: int) -> Iterator[Result]:
    if workers <= 1:
        yield from map(work, items)
        return
    # Spawned processes: a fork would copy the state of OpenCV's threads and of the caller's other threads.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, start_worker, (os.getpid(),)) as executor:
        yield from executor.map(work, items)
