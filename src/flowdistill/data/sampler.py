"""Training samples without end, in an order that is a pure function of (seed, step).

Sample number n runs through the dataset epoch by epoch, each epoch in its own permutation. A step's samples are the
next numbers, shared among the processes: n = (step * world_size + rank) * batch_size + i. Nothing depends on what was
drawn before: a run that resumes at step k sees what it would have seen. Neither the number of workers nor, where
world_size * batch_size stays, that of processes or accumulated batches changes which samples a step has, nor how their
augmentation, which is drawn by n, changes them.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Protocol

import numpy as np
from torch.utils.data import IterableDataset, get_worker_info

from flowdistill.data.sample import Batch, Sample, collate

Transform = Callable[[Sample, np.random.Generator], Sample]

# Second word of each seed: keeps the streams of orders and of augmentations apart.
_ORDER, _AUGMENTATION = 0, 1


class Samples(Protocol):
    """A map-style dataset of the batch contract."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Sample: ...


def sample_numbers(step: int, rank: int, world_size: int, batch_size: int) -> range:
    """The numbers of the samples that one rank takes at one step."""
    first = (step * world_size + rank) * batch_size
    return range(first, first + batch_size)


def sample_index(seed: int, number: int, length: int) -> int:
    """The dataset index of sample `number`: every index once in each run of `length` numbers."""
    epoch, position = divmod(number, length)
    return int(_permutation(seed, epoch, length)[position])


def augmentation_rng(seed: int, number: int) -> np.random.Generator:
    """The random generator of sample `number`'s transforms."""
    return np.random.default_rng((seed, _AUGMENTATION, number))


# A batch touches two epochs at most, unless the dataset is smaller than a batch and permutations are tiny.
@lru_cache(maxsize=8)
def _permutation(seed: int, epoch: int, length: int) -> np.ndarray:
    return np.random.default_rng((seed, _ORDER, epoch)).permutation(length)


class InfiniteBatches(IterableDataset[Batch]):
    """Batches of step `start_step`, `start_step` + 1, ... without end.

    An IterableDataset on purpose: Lightning replaces the samplers of map-style datasets under DDP, never
    these. Of W workers, worker w makes the steps start + w, start + w + W, ...; a DataLoader takes from its
    workers in turn, so batches arrive in the order of the steps.

    Args:
        samples: the dataset.
        transforms: applied in order to each sample, each with the sample's own generator.
        batch_size: samples a batch, of one rank.
        seed: non-negative.
        rank: of this process.
        world_size: number of processes.
        start_step: first step (batches of one rank, not optimiser steps); may be set before each iteration.

    Raises:
        ValueError: for an empty dataset.

    Example:
        >>> import torch
        >>> from flowdistill.data import InfiniteBatches
        >>> samples = [{"name": str(k), "left_t0": torch.rand(3, 8, 8)} for k in range(4)]
        >>> batches = InfiniteBatches(samples, transforms=[], batch_size=2, seed=0)
        >>> sorted(batches.batch(0)["name"] + batches.batch(1)["name"])  # an epoch has two steps
        ['0', '1', '2', '3']
        >>> batches.start_step = 7  # a run that resumes sees what it would have seen
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
        """The batch of this rank at `step`."""
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
