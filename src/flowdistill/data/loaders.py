"""Loaders and shards that Lightning leaves as they are."""

import ctypes
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
from flowdistill.processes import die_with_parent
from flowdistill.stopping import leave_stopping_to_owner

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # glibc's malloc.h


class ResumableLoader(DataLoader[Batch]):
    """A loader of `InfiniteBatches` that starts at the step where the trainer is, whenever it is iterated.

    That is how a resumed run goes on with the samples it would have seen. `state_dict` is empty: the
    trainer's step is the whole state; it is there to tell Lightning that the loader can resume.
    """

    def __init__(self, trainer: pl.Trainer, batches: InfiniteBatches, **options: Any) -> None:
        super().__init__(batches, **options)
        self._trainer = trainer

    def __iter__(self) -> Any:
        # Lightning counts optimiser steps; a step of the sampler is one batch.
        steps = self._trainer.global_step * self._trainer.accumulate_grad_batches
        # overfit_batches asks for the same few batches in every epoch. (Lightning sets it without declaring it.)
        repeat = getattr(self._trainer, "overfit_batches", 0) > 0
        cast(InfiniteBatches, self.dataset).start_step = 0 if repeat else steps
        return super().__iter__()

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass


class UnpaddedDistributedSampler(DistributedSampler[Any]):
    """Every `world_size`-th sample from `rank` on: each sample belongs to exactly one process.

    A DistributedSampler, because Lightning leaves those alone; torch's own repeats samples to make shards
    equally long, and a metric would count these twice.
    """

    def __init__(self, dataset: Sized, world_size: int, rank: int) -> None:
        super().__init__(cast(Any, dataset), num_replicas=world_size, rank=rank, shuffle=False)
        self._indices = range(operator.index(rank), len(dataset), world_size)

    def __iter__(self) -> Iterator[int]:
        return iter(self._indices)

    def __len__(self) -> int:
        return len(self._indices)


def start_worker(_: int) -> None:
    """What a loader's process does first."""
    # OpenCV's thread pool does not survive a fork, and a worker is one thread of work.
    cv2.setNumThreads(0)
    leave_stopping_to_owner()
    die_with_parent(os.getppid())  # whose death it would notice seconds later, by a traceback
    keep_freed_memory()


def keep_freed_memory() -> None:
    """Have glibc's malloc keep what is freed for the next sample, in place of giving it back to the system.

    Samples are a few arrays of megabytes each. By default every one of them is fresh memory, and its page faults cost a
    worker that reads KITTI a quarter of its time (benchmarks/data.py). Does nothing where there is no mallopt.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 32 << 20)  # the largest that glibc takes
        mallopt(_M_TRIM_THRESHOLD, 512 << 20)
