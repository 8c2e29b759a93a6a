"""After a crop the masks describe the visibility within the crop."""

from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from flowdistill.data.sample import Sample
from flowdistill.data.transforms import (
    RandomCrop,
    hide_what_leaves,
    resample,
)
from rendered_truth import SIZE, flow_sample, pixel_grid, stereo_sample


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_what_leaves_a_crop_is_occluded_and_the_rest_as_before() -> None:
    before = stereo_sample()
    after = RandomCrop((64, 96))(before, rng(1))
    top, left = (int(before["intrinsics"][i, 2] - after["intrinsics"][i, 2]) for i in (1, 0))
    window = (slice(None), slice(top, top + 64), slice(left, left + 96))
    x, y = (values[None] for values in pixel_grid(after["left_t0"]))

    def inside(to_x: Tensor, to_y: Tensor) -> Tensor:
        return (to_x >= 0) & (to_x <= 95) & (to_y >= 0) & (to_y <= 63)

    to_x, to_y = x + after["flow"][:1], y + after["flow"][1:]
    seen = inside(to_x, to_y)
    back = inside(x + after["flow_backward"][:1], y + after["flow_backward"][1:])
    right_t0 = inside(x - after["disparity_t0"], y)
    right_t1 = inside(to_x - after["disparity_t1"], to_y)
    for key, expected in {
        "valid_flow_noc": before["valid_flow_noc"][window] & seen,
        "occluded": before["occluded"][window] | ~seen,
        "occluded_backward": before["occluded_backward"][window] | ~back,
        "valid_disparity_t0_noc": before["valid_disparity_t0_noc"][window] & right_t0,
        "valid_disparity_t1_noc": before["valid_disparity_t1_noc"][window] & seen & right_t1,
        "valid_flow": before["valid_flow"][window],
        "teacher_occluded": before["teacher_occluded"][window],
        "teacher_occluded_backward": before["teacher_occluded_backward"][window],
    }.items():
        assert torch.equal(cast(Any, after)[key], expected), key
    assert 0.02 < (before["valid_flow_noc"][window] & ~seen).float().mean() < 0.5


def test_what_leaves_a_zoomed_window_is_occluded() -> None:
    before = stereo_sample()
    before["foreground"] = before["valid_flow_noc"]  # moves with the pixels, and nothing else
    after = resample(before, (144, 240), (24, 40), SIZE)
    x, y = pixel_grid(after["left_t0"])
    to_x, to_y = x + after["flow"][0], y + after["flow"][1]
    inside = (to_x >= 0) & (to_x <= SIZE[1] - 1) & (to_y >= 0) & (to_y <= SIZE[0] - 1)
    assert torch.equal(after["valid_flow_noc"][0], after["foreground"][0] & inside)
    assert (after["foreground"][0] & ~inside).float().mean() > 0.005
    assert torch.equal(after["occluded"], ~after["valid_flow_noc"])


def test_a_motion_that_is_not_valid_hides_nothing() -> None:
    sample = flow_sample()
    sample["flow"] = torch.full_like(sample["flow"], 1e4)
    sample["flow"][:, :40] = torch.nan
    sample["valid_flow"][:] = False
    hidden = hide_what_leaves(sample)
    assert torch.equal(hidden["occluded"], sample["occluded"])
    assert torch.equal(hidden["valid_flow_noc"], sample["valid_flow_noc"])


def test_no_mask_is_made_up_by_a_crop() -> None:
    sample = cast(
        Sample, {key: v for key, v in flow_sample().items() if "occluded" not in key and "noc" not in key}
    )
    assert set(RandomCrop((64, 96))(sample, rng(0))) == set(sample)
