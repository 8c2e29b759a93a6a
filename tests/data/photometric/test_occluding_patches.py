"""Patches cover the stated areas, and the masks are updated accordingly."""

from functools import cache
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor

from flowdistill.data.photometric import OccludingPatches
from flowdistill.data.sample import Sample
from rendered_truth import flow_sample, pixel_grid, stereo_sample


def covered(before: Sample, after: Sample, key: str) -> Tensor:
    """(H, W) bool: pixels that changed; a patch's mean colour differs from (nearly) every pixel under it."""
    return (cast(Any, before)[key] != cast(Any, after)[key]).any(dim=0)


@cache
def example(seed: int, stereo: bool) -> tuple[Sample, Sample]:
    before = stereo_sample() if stereo else flow_sample()
    return before, OccludingPatches(1.0)(before, np.random.default_rng(seed))


def lands_on(mask: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Whether one of the four pixels around each position (H, W) is set."""
    height, width = mask.shape
    found = torch.zeros(x.shape, dtype=torch.bool)
    for column in (x.floor(), x.ceil()):
        for row in (y.floor(), y.ceil()):
            inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
            index = row.clamp(0, height - 1) * width + column.clamp(0, width - 1)
            found |= inside & mask.flatten()[index.long()]
    return found


@pytest.mark.parametrize("stereo", [True, False])
@pytest.mark.parametrize("seed", range(6))
def test_masks_follow_the_patches(seed: int, stereo: bool) -> None:
    before, after = example(seed, stereo)
    patch = covered(before, after, "left_t1")
    assert 0.02 < patch.float().mean() < 0.6
    x, y = pixel_grid(patch)
    to_x, to_y = x + before["flow"][0].double(), y + before["flow"][1].double()
    under = lands_on(patch, to_x, to_y)
    assert torch.equal(after["occluded"][0], before["occluded"][0] | under)
    assert torch.equal(after["valid_flow_noc"][0], before["valid_flow_noc"][0] & ~under)
    assert (after["occluded"] & ~before["occluded"]).any()
    # A few pixels under a patch may have exactly its colour.
    back = before["occluded_backward"][0] | patch
    assert (after["occluded_backward"][0] != back).float().mean() < 1e-3
    if stereo:
        right = covered(before, after, "right_t1")
        assert not torch.equal(right, patch)
        assert 0.02 < right.float().mean() < 0.6
        both = under | lands_on(right, to_x - before["disparity_t1"][0].double(), to_y)
        expected = before["valid_disparity_t1_noc"][0] & ~both
        assert torch.equal(after["valid_disparity_t1_noc"][0], expected)


@pytest.mark.parametrize("stereo", [True, False])
def test_the_rest_stays(stereo: bool) -> None:
    before, after = example(1, stereo)
    changed = {
        "left_t1",
        "right_t1",
        "occluded",
        "occluded_backward",
        "valid_flow_noc",
        "valid_disparity_t1_noc",
    }
    for key in set(before) - changed - {"name"}:
        assert torch.equal(cast(Any, before)[key], cast(Any, after)[key]), key
    fresh = stereo_sample() if stereo else flow_sample()
    for key in set(fresh) - {"name"}:
        assert torch.equal(cast(Any, before)[key], cast(Any, fresh)[key]), key


def test_sides_numbers_and_colour() -> None:
    image = torch.rand(3, 300, 400, generator=torch.Generator().manual_seed(0))
    mean = image.mean(dim=(1, 2))
    areas = []
    for seed in range(60):
        sample: Sample = {"name": "a", "left_t0": image, "left_t1": image}
        after = OccludingPatches(1.0)(sample, np.random.default_rng(seed))
        patch = covered(sample, after, "left_t1")
        torch.testing.assert_close(after["left_t1"][:, patch].mean(dim=1), mean, atol=1e-5, rtol=0)
        assert float(after["left_t1"][:, patch].std(dim=1).max()) < 1e-5
        areas.append(int(patch.sum()))
    assert 50 * 50 <= min(areas) < 70 * 70
    assert 10_000 < max(areas) <= 2 * 100 * 100


def test_small_pictures_lose_half_of_each_side_at_most() -> None:
    image = torch.rand(3, 40, 61, generator=torch.Generator().manual_seed(0))
    areas = set()
    for seed in range(30):
        sample: Sample = {"name": "a", "left_t0": image, "left_t1": image}
        after = OccludingPatches(1.0)(sample, np.random.default_rng(seed))
        areas.add(int(covered(sample, after, "left_t1").sum()))
    assert min(areas) == 20 * 30
    assert 20 * 30 < max(areas) <= 2 * 20 * 30


def test_probability_and_keys_that_do_not_depend_on_it() -> None:
    sample = flow_sample()
    del sample["occluded_backward"]
    transform = OccludingPatches(0.3)
    drawn = [transform(sample, np.random.default_rng(seed)) for seed in range(200)]
    assert 0.2 < np.mean([d["left_t1"] is not sample["left_t1"] for d in drawn]) < 0.4
    assert {frozenset(d) for d in drawn} == {frozenset(sample) | {"occluded_backward"}}
