"""Infinite stream of training samples, in an order that is a pure function of (seed, step).

Sample number n iterates over the dataset epoch by epoch, with one permutation per epoch. A step uses the next numbers,
divided among the processes: n = (step * world_size + rank) * batch_size + i. There is no other state: a run resumed at
step k gets the same samples as an uninterrupted one. The samples of a step and their augmentation, which is seeded by
n, depend neither on the number of workers nor, for constant world_size * batch_size, on the number of processes or
accumulated batches.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Protocol

import numpy as np
from torch.utils.data import IterableDataset, get_worker_info

from flowdistill.data.sample import Batch, Sample, collate

Transform = Callable[[Sample, np.random.Generator], Sample]

# Second word of each seed: separates the random streams of order and augmentation.
_ORDER, _AUGMENTATION = 0, 1


class Samples(Protocol):
    """A map-style dataset of the batch contract."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Sample: ...


def sample_numbers(step: int, rank: int, world_size: int, batch_size: int) -> range:
    """Return the sample numbers of one rank at one step."""
    first = (step * world_size + rank) * batch_size
    return range(first, first + batch_size)


def sample_index(seed: int, number: int, length: int) -> int:
    """Return the dataset index of sample `number`: each index occurs once in every `length` numbers."""
    epoch, position = divmod(number, length)
    return int(_permutation(seed, epoch, length)[position])


def augmentation_rng(seed: int, number: int) -> np.random.Generator:
    """Return the random generator for the transforms of sample `number`."""
    return np.random.default_rng((seed, _AUGMENTATION, number))


# A batch spans at most two epochs, unless the dataset is smaller than a batch and permutations are tiny.
@lru_cache(maxsize=8)
def _permutation(seed: int, epoch: int, length: int) -> np.ndarray:
    return np.random.default_rng((seed, _ORDER, epoch)).permutation(length)


class InfiniteBatches(IterableDataset[Batch]):
    """Infinite iterable over the batches of steps `start_step`, `start_step` + 1, ...

    An IterableDataset on purpose: under DDP, Lightning replaces the samplers of map-style datasets only.
    Of W workers, worker w produces the steps start + w, start + w + W, ...; a DataLoader reads from its
    workers in turn, so batches arrive in the order of the steps.

    Args:
        samples: the dataset.
        transforms: applied in order to each sample, each with the sample's own generator.
        batch_size: samples per batch and rank.
        seed: non-negative.
        rank: of this process.
        world_size: number of processes.
        start_step: first step (batches of one rank, not optimiser steps); may be set before each iteration.

    Raises:
        ValueError: for an empty dataset.

    Examples:
        >>> import torch
        >>> from flowdistill.data import InfiniteBatches
        >>> samples = [{"name": str(k), "left_t0": torch.rand(3, 8, 8)} for k in range(4)]
        >>> batches = InfiniteBatches(samples, transforms=[], batch_size=2, seed=0)
        >>> sorted(batches.batch(0)["name"] + batches.batch(1)["name"])  # an epoch has two steps
        ['0', '1', '2', '3']
        >>> batches.start_step = 7  # a resumed run gets the same batches
        >>> next(iter(batches))["name"] == batches.batch(7)["name"]
        True
    """

    def __init__(
        self,
        samples: Samples,
        transforms: Sequence[Transform],
        batch_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        start_step: int = 0,
    ) -> None:
        super().__init__()
        if len(samples) == 0:
            raise ValueError("cannot draw samples from an empty dataset")
        self.samples = samples
        self.transforms = tuple(transforms)
        self.batch_size = batch_size
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.start_step = start_step

    def batch(self, step: int) -> Batch:
        """Return the batch of this rank at `step`."""
        numbers = sample_numbers(step, self.rank, self.world_size, self.batch_size)
        return collate([self._sample(number) for number in numbers])

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        offset, stride = (0, 1) if worker is None else (worker.id, worker.num_workers)
        step = self.start_step + offset
        while True:
            yield self.batch(step)
            step += stride

    def _sample(self, number: int) -> Sample:
        sample = self.samples[sample_index(self.seed, number, len(self.samples))]
        rng = augmentation_rng(self.seed, number)
        for transform in self.transforms:
            sample = transform(sample, rng)
        return sample
