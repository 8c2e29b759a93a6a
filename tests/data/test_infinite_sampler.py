"""The order of training samples is a pure function of (seed, step, rank)."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from flowdistill.data.sample import Batch, Sample
from flowdistill.data.sampler import InfiniteBatches, augmentation_rng, sample_index, sample_numbers

DRAWN = torch.zeros(1, dtype=torch.float64)


class Numbers:
    """Sample i contains the number i."""

    def __init__(self, length: int) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Sample:
        return {"name": str(index), "left_t0": torch.full((1, 1, 1), float(index), dtype=torch.float64)}


def add_noise(sample: Sample, rng: np.random.Generator) -> Sample:
    return {**sample, "left_t0": sample["left_t0"] + rng.random()}


def take(batches: InfiniteBatches, count: int, workers: int = 0) -> list[Batch]:
    iterator = iter(DataLoader(batches, batch_size=None, num_workers=workers))
    return [next(iterator) for _ in range(count)]


def same(first: list[Batch], second: list[Batch]) -> bool:
    return len(first) == len(second) and all(
        a["name"] == b["name"] and torch.equal(a["left_t0"], b["left_t0"])
        for a, b in zip(first, second, strict=True)
    )


@pytest.mark.filterwarnings("ignore:This DataLoader will create 3 worker processes")
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_workers_change_nothing(workers: int) -> None:
    batches = InfiniteBatches(Numbers(11), [add_noise], batch_size=3, seed=5)
    assert same(take(batches, 9, workers), take(batches, 9))


@pytest.mark.parametrize("start", [1, 4, 7])
def test_resume_at_any_step(start: int) -> None:
    whole = take(InfiniteBatches(Numbers(11), [add_noise], 3, seed=5), 9)
    resumed = InfiniteBatches(Numbers(11), [add_noise], 3, seed=5, start_step=start)
    assert same(take(resumed, 9 - start, workers=2), whole[start:])


def test_two_ranks_make_the_global_batch_of_one() -> None:
    alone = take(InfiniteBatches(Numbers(11), [add_noise], 4, seed=5), 6)
    ranks = [take(InfiniteBatches(Numbers(11), [add_noise], 2, 5, rank, 2), 6) for rank in range(2)]
    for step, batch in enumerate(alone):
        assert ranks[0][step]["name"] + ranks[1][step]["name"] == batch["name"]
        assert torch.equal(torch.cat([ranks[rank][step]["left_t0"] for rank in range(2)]), batch["left_t0"])


def test_seed_and_epoch_change_the_order_and_the_noise() -> None:
    orders = {tuple(sample_index(seed, n, 50) for n in range(50)) for seed in range(3)}
    orders.add(tuple(sample_index(0, n, 50) for n in range(50, 100)))
    assert len(orders) == 4
    draws = {augmentation_rng(seed, n).random() for seed in range(3) for n in range(50)}
    assert len(draws) == 150


def test_augmentation_of_a_sample_differs_between_epochs() -> None:
    first, second = (
        batch["left_t0"] for batch in take(InfiniteBatches(Numbers(1), [add_noise], 1, seed=0), 2)
    )
    assert not torch.equal(first, second)


@given(
    length=st.integers(1, 40),
    world=st.integers(1, 5),
    batch=st.integers(1, 7),
    seed=st.integers(0, 2**40),
)
def test_each_epoch_holds_every_sample_once_over_all_ranks(
    length: int, world: int, batch: int, seed: int
) -> None:
    steps = -(-2 * length // (world * batch))
    numbers = [
        n for step in range(steps) for rank in range(world) for n in sample_numbers(step, rank, world, batch)
    ]
    assert numbers == list(range(len(numbers)))  # ranks are disjoint and cover everything
    for epoch in range(2):
        counts = Counter(
            sample_index(seed, n, length) for n in numbers[epoch * length : (epoch + 1) * length]
        )
        assert counts == Counter(range(length))


def test_empty_dataset_is_refused() -> None:
    with pytest.raises(ValueError, match="empty dataset"):
        InfiniteBatches(Numbers(0), [], 1, seed=0)


@pytest.mark.parametrize("processes", [2, 4])
@pytest.mark.parametrize("accumulated", [1, 2])
def test_a_run_goes_on_with_the_same_samples_on_other_processes(processes: int, accumulated: int) -> None:
    """Four steps of batch 8 on one process, then on several: same samples, same augmentation, same order."""

    def images(batches: list[Batch]) -> torch.Tensor:
        return torch.cat([batch["left_t0"] for batch in batches])

    whole = images(take(InfiniteBatches(Numbers(11), [add_noise], 8, seed=5), 8))
    first = images(take(InfiniteBatches(Numbers(11), [add_noise], 8, seed=5), 4))
    own = 8 // (processes * accumulated)
    ranks = [
        take(
            InfiniteBatches(Numbers(11), [add_noise], own, 5, rank, processes, start_step=4 * accumulated),
            4 * accumulated,
            workers=1,
        )
        for rank in range(processes)
    ]
    then = [images(list(batches)) for batches in zip(*ranks, strict=True)]
    assert torch.equal(torch.cat([first, *then]), whole)
