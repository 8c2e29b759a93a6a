"""DataLoader and sampler that Lightning does not replace."""

import operator
import os
from collections.abc import Iterator, Sized
from typing import Any, cast

import cv2
import pytorch_lightning as pl
from torch.utils.data import DataLoader
from torch.utils.data.distributed import DistributedSampler

from flowdistill.data.sample import Batch
from flowdistill.data.sampler import InfiniteBatches
from flowdistill.host_memory import keep_freed_memory
from flowdistill.processes import die_with_parent
from flowdistill.stopping import leave_stopping_to_owner


class ResumableLoader(DataLoader[Batch]):
    """A loader of `InfiniteBatches` that starts at the trainer's current step whenever it is iterated.

    A resumed run therefore continues with the same samples as an uninterrupted one. `state_dict` is empty, because the
    trainer's step is the whole state; it exists because Lightning requires it of loaders that can resume.
    """

    def __init__(self, trainer: pl.Trainer, batches: InfiniteBatches, **options: Any) -> None:
        super().__init__(batches, **options)
        self._trainer = trainer

    def __iter__(self) -> Any:
        # Lightning counts optimiser steps; a step of the sampler is one batch.
        steps = self._trainer.global_step * self._trainer.accumulate_grad_batches
        # overfit_batches means the same few batches in every epoch. (Lightning sets it without declaring it.)
        repeat = getattr(self._trainer, "overfit_batches", 0) > 0
        cast(InfiniteBatches, self.dataset).start_step = 0 if repeat else steps
        return super().__iter__()

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass


class UnpaddedDistributedSampler(DistributedSampler[Any]):
    """Every `world_size`-th sample, starting at `rank`: each sample belongs to exactly one process.

    A subclass of DistributedSampler, because Lightning does not replace these; torch's own repeats samples to
    make shards equally long, and a metric would count these twice.
    """

    def __init__(self, dataset: Sized, world_size: int, rank: int) -> None:
        super().__init__(cast(Any, dataset), num_replicas=world_size, rank=rank, shuffle=False)
        self._indices = range(operator.index(rank), len(dataset), world_size)

    def __iter__(self) -> Iterator[int]:
        return iter(self._indices)

    def __len__(self) -> int:
        return len(self._indices)


def start_worker(_: int) -> None:
    """Initialise a loader's worker process."""
    # OpenCV's thread pool does not survive a fork, and a worker should use one thread.
    cv2.setNumThreads(0)
    leave_stopping_to_owner()
    die_with_parent(os.getppid())  # otherwise the worker ends seconds later, with a traceback
    keep_freed_memory()
