"""Read, predict and write at the same time: two threads beside the network, with short queues between them."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from torch import Tensor
from tqdm import tqdm

from flowdistill.errors import UserError

Item = TypeVar("Item")
_POLL = 0.2  # seconds; a queue is waited for in steps, so that an error of the other side is noticed


@dataclass
class Busy:
    """Seconds of the network and of the whole stream, from the first batch to the last written file."""

    network: float = 0.0
    total: float = 0.0

    @property
    def share(self) -> float:
        return self.network / self.total if self.total else 0.0


class _Stage(threading.Thread):
    """A thread whose exception is raised again in the main thread."""

    def __init__(self, work: Callable[[], None], name: str) -> None:
        super().__init__(daemon=True, name=name)
        self.work = work
        self.error: BaseException | None = None
        self.stopped = threading.Event()

    def run(self) -> None:
        try:
            self.work()
        except BaseException as error:  # noqa: BLE001, raised again by `check`
            self.error = error

    def check(self) -> None:
        if self.error is not None:
            raise self.error


def run_stream(
    samples: Iterator[Item],
    predict: Callable[[list[Item]], Mapping[str, Tensor]],
    write: Callable[[list[Item], Mapping[str, Tensor]], None],
    batch_size: int,
    count: int | None,
    batches_ahead: int = 2,
    same: Callable[[Item], Any] = lambda item: None,
) -> Busy:
    """Predict every sample and write the results, in order.

    A batch ends early where `same` (the images' size) changes. Files that are written stay if a later sample fails: the
    error is raised after everything before it has been written.

    Args:
        samples: read in a thread.
        predict: of a batch, in this thread; must return when the results are complete.
        write: a batch's results, in a thread.
        batch_size: samples per batch.
        count: number of samples for the progress bar, None if unknown.
        batches_ahead: length of both queues.
        same: samples of one batch have equal values of it.

    Examples:
        >>> import torch
        >>> from flowdistill.inference.stream import run_stream
        >>> written = []
        >>> busy = run_stream(
        ...     iter([1, 2, 3]), lambda batch: {"sum": torch.tensor(sum(batch))},
        ...     lambda batch, found: written.append((batch, found["sum"].item())), batch_size=2, count=3,
        ... )
        >>> written
        [([1, 2], 3), ([3], 3)]
    """
    read: queue.Queue[list[Item] | None] = queue.Queue(batches_ahead)
    done: queue.Queue[tuple[list[Item], Mapping[str, Tensor]] | None] = queue.Queue(batches_ahead)
    stop = threading.Event()

    def put(place: queue.Queue[Any], item: Any, other: _Stage | None = None) -> None:
        while not stop.is_set():
            try:
                place.put(item, timeout=_POLL)
                return
            except queue.Full:
                if other is not None:
                    other.check()

    def reading() -> None:
        try:
            for batch in _batches(samples, batch_size, same):
                put(read, batch)
                if stop.is_set():
                    return
        finally:
            put(read, None)
            close = getattr(samples, "close", None)
            if close is not None:
                close()

    def writing() -> None:
        while (item := done.get()) is not None:
            write(*item)
            progress.update(len(item[0]))

    busy = Busy()
    reader, writer = _Stage(reading, "reader"), _Stage(writing, "writer")
    with tqdm(total=count, unit="sample", desc="infer", delay=0.5) as progress:
        reader.start()
        writer.start()
        started: float | None = None
        try:
            while (batch := read.get()) is not None:
                before = time.perf_counter()
                started = before if started is None else started
                found = predict(batch)
                busy.network += time.perf_counter() - before
                put(done, (batch, found), writer)
                writer.check()
            reader.check()
        except BaseException:
            # What is predicted is still written, unless the writer failed; a video's process is ended by the reader.
            _finish(done, writer, stop)
            reader.join(timeout=10 * _POLL)
            raise
        done.put(None)
        writer.join()
        writer.check()
        if started is not None:
            busy.total = time.perf_counter() - started
    return busy


def _finish(done: queue.Queue[Any], writer: _Stage, stop: threading.Event) -> None:
    stop.set()
    while writer.is_alive():
        try:
            done.put(None, timeout=_POLL)
            break
        except queue.Full:
            continue
    writer.join()


def _batches(samples: Iterator[Item], size: int, same: Callable[[Item], Any]) -> Iterator[list[Item]]:
    batch: list[Item] = []
    try:
        for sample in samples:
            if batch and (len(batch) == size or same(sample) != same(batch[0])):
                yield batch
                batch = []
            batch.append(sample)
    except UserError:
        # A video that is cut off: what could be read is predicted.
        if batch:
            yield batch
        raise
    if batch:
        yield batch
