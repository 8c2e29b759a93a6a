"""Geometric transforms of an analytic scene with exact ground truth everywhere.

The t1 image is a smooth function of the pixel, t0 is that function at the pixel moved by an affine flow.
After any transform, sampling t1 at the moved pixels must give t0 again.
"""

from typing import Any, cast

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from flowdistill.data.sample import Sample
from flowdistill.data.transforms import (
    RandomCrop,
    RandomFlips,
    RandomScale,
    ReflectPad,
    RelativeMotion,
    Zoom,
    flip_left_right,
    flip_top_bottom,
)
from flowdistill.errors import UserError

HEIGHT, WIDTH = 40, 56
FOCAL = 50.0


def texture(x: Tensor, y: Tensor) -> Tensor:
    """(3, H, W): smooth, so that bilinear sampling is nearly exact, and without symmetry."""
    waves = [
        torch.sin(0.11 * x + 0.23 * y),
        torch.cos(0.19 * x - 0.13 * y),
        torch.sin(0.07 * x * (1 + 0.01 * y)),
    ]
    return torch.stack(waves) * 0.4 + 0.5


def scene(stereo: bool = False) -> Sample:
    y, x = torch.meshgrid(torch.arange(HEIGHT).double(), torch.arange(WIDTH).double(), indexing="ij")
    u, v = 2.3 + 0.05 * x - 0.03 * y, -1.4 + 0.02 * x + 0.04 * y
    inside = (x + u >= 0) & (x + u <= WIDTH - 1) & (y + v >= 0) & (y + v <= HEIGHT - 1)
    sample: dict[str, Any] = {
        "name": "scene",
        "left_t0": texture(x + u, y + v).float(),
        "left_t1": texture(x, y).float(),
        "flow": torch.stack([u, v]).float(),
        "valid_flow": torch.ones(1, HEIGHT, WIDTH, dtype=torch.bool),
        "valid_flow_noc": inside[None],
        "foreground": (x > y)[None],
        "intrinsics": torch.tensor([[FOCAL, 0, 30.25], [0, FOCAL, 18.5], [0, 0, 1]]),
        "size": torch.tensor([HEIGHT, WIDTH]),
    }
    if stereo:
        disparity = 3.2 + 0.04 * x
        sample["right_t0"] = texture(*_left_of_right(x, y)).float()
        sample["left_t0"] = texture(x, y).float()
        sample["left_t1"] = texture(x - u, y).float()
        sample["disparity_t0"] = disparity[None].float()
        sample["valid_disparity_t0"] = (x - disparity >= 0)[None]
        for key in ("flow", "valid_flow", "valid_flow_noc"):
            del sample[key]
    return cast(Sample, sample)


def _left_of_right(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    # x_right = x - 3.2 - 0.04 x, solved for x.
    return (x + 3.2) / 0.96, y


def look_up(image: Tensor, motion: Tensor) -> tuple[Tensor, Tensor]:
    """`image` sampled bilinearly at pixel + `motion` (2, H, W), and which of these positions (H, W) are inside."""
    height, width = image.shape[-2:]
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    x, y = x + motion[0], y + motion[1]
    grid = torch.stack([2 * x / (width - 1) - 1, 2 * y / (height - 1) - 1], dim=-1)
    inside = (grid.abs() <= 1).all(dim=-1)
    return F.grid_sample(image[None], grid[None], align_corners=True)[0], inside


def flow_error(sample: Sample, shift: float = 0.0) -> float:
    """Largest difference between t0 and t1 warped by the flow, over valid pixels that stay in the image."""
    warped, inside = look_up(sample["left_t1"], sample["flow"] + shift)
    used = inside & sample["valid_flow_noc"][0]
    assert used.float().mean() > 0.1
    return float((warped - sample["left_t0"]).abs()[:, used].max())


def mean_flow_error(sample: Sample, shift: float = 0.0) -> float:
    """The same, but the mean."""
    warped, inside = look_up(sample["left_t1"], sample["flow"] + shift)
    used = inside & sample["valid_flow_noc"][0]
    assert used.float().mean() > 0.1
    return float((warped - sample["left_t0"]).abs()[:, used].mean())


def shift_principal_point(before: Sample, after: Sample) -> tuple[float, float]:
    difference = after["intrinsics"] - before["intrinsics"]
    assert difference[:, :2].abs().sum() == 0
    return float(difference[0, 2]), float(difference[1, 2])


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_the_check_can_fail() -> None:
    assert flow_error(scene()) < 0.01
    assert flow_error(scene(), shift=0.25) > 0.02


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**30),
    pad=st.tuples(st.integers(1, HEIGHT + 24), st.integers(1, WIDTH + 32)),
    crop=st.tuples(st.integers(32, HEIGHT), st.integers(44, WIDTH)),
)
def test_truth_still_warps_after_pad_crop_and_flips(
    seed: int, pad: tuple[int, int], crop: tuple[int, int]
) -> None:
    sample, generator = scene(), rng(seed)
    for transform in (ReflectPad(pad), RandomCrop(crop), RandomFlips()):
        sample = transform(sample, generator)
    assert sample["left_t0"].shape == (3, *crop)
    assert flow_error(sample) < 0.01


@pytest.mark.parametrize("flip", [flip_left_right, flip_top_bottom])
def test_flips_keep_the_truth_and_undo_themselves(flip: Any) -> None:
    before = scene()
    after = flip(before)
    assert flow_error(after) < 0.01
    assert not torch.equal(after["flow"], before["flow"])
    twice = flip(after)
    for key, value in before.items():
        assert value == twice[key] if key == "name" else torch.equal(cast(Tensor, value), twice[key])


def test_flips_move_the_principal_point_with_its_pixel() -> None:
    before = scene()
    assert float(flip_left_right(before)["intrinsics"][0, 2]) == WIDTH - 1 - 30.25
    assert float(flip_top_bottom(before)["intrinsics"][1, 2]) == HEIGHT - 1 - 18.5
    assert float(before["intrinsics"][0, 2]) == 30.25


def test_flips_come_in_all_four_ways_equally_often() -> None:
    x_then_y = [torch.sign(RandomFlips()(scene(), rng(seed))["flow"][:, 20, 28]) for seed in range(200)]
    signs, counts = torch.stack(x_then_y).unique(dim=0, return_counts=True)
    assert len(signs) == 4
    assert counts.min() > 25


def test_left_right_flips_refuse_stereo() -> None:
    with pytest.raises(UserError, match=r"scene is a stereo pair.*flips: vertical"):
        RandomFlips()(scene(stereo=True), rng())


def test_vertical_flips_take_stereo() -> None:
    before = scene(stereo=True)
    after = [RandomFlips(left_right=False)(before, rng(seed)) for seed in range(200)]
    flipped = [not torch.equal(sample["left_t0"], before["left_t0"]) for sample in after]
    assert 60 < sum(flipped) < 140
    for sample, turned in zip(after, flipped, strict=True):
        expected = before["right_t0"].flip(-2) if turned else before["right_t0"]
        assert torch.equal(sample["right_t0"], expected)


def test_crop_moves_everything_alike() -> None:
    before = scene()
    after = RandomCrop((24, 32))(before, rng(3))
    dx, dy = shift_principal_point(before, after)
    top, left = int(-dy), int(-dx)
    assert (top, left) != (0, 0)
    for key in ("left_t0", "left_t1", "flow", "valid_flow", "foreground"):
        expected = before[key][:, top : top + 24, left : left + 32]
        assert torch.equal(after[key], expected)
    assert after["size"].tolist() == [24, 32]
    assert before["size"].tolist() == [HEIGHT, WIDTH]


def test_crop_reaches_every_place() -> None:
    crop = RandomCrop((HEIGHT - 1, WIDTH - 2))
    places = {shift_principal_point(scene(), crop(scene(), rng(seed))) for seed in range(60)}
    assert places == {(-x, -y) for x in range(3) for y in range(2)}


def test_crop_of_stereo_keeps_disparity_true() -> None:
    after = RandomCrop((30, 40))(scene(stereo=True), rng(1))
    motion = torch.cat([-after["disparity_t0"], torch.zeros_like(after["disparity_t0"])])
    warped, inside = look_up(after["right_t0"], motion)
    used = inside & after["valid_disparity_t0"][0]
    assert used.float().mean() > 0.5
    assert (warped - after["left_t0"]).abs()[:, used].max() < 0.01


def test_crop_larger_than_the_image_says_what_to_do() -> None:
    with pytest.raises(UserError, match=r"scene is 40x56 .*crop of 41x30.*pad_to"):
        RandomCrop((41, 30))(scene(), rng())


def test_pad_reflects_images_and_invalidates_labels() -> None:
    before = scene()
    before["occluded"] = torch.zeros(1, HEIGHT, WIDTH, dtype=torch.bool)
    before["flow_backward"] = before["flow"] + 1
    before["teacher_flow"] = before["flow"] + 2
    after = ReflectPad((45, 64))(before, rng())
    # 5 rows: 2 above, 3 below; 8 columns: 4 and 4.
    assert shift_principal_point(before, after) == (4, 2)
    for key in ("left_t0", "left_t1"):
        expected = np.pad(before[key].numpy(), ((0, 0), (2, 3), (4, 4)), "reflect")
        np.testing.assert_array_equal(after[key].numpy(), expected)
    inner = (slice(None), slice(2, 42), slice(4, 60))
    for key, outside in {
        "flow": 0,
        "flow_backward": 0,
        "teacher_flow": 0,
        "valid_flow": False,
        "valid_flow_noc": False,
        "foreground": False,
        "occluded": True,
    }.items():
        padded = after[key].clone()
        assert padded.shape[-2:] == (45, 64)
        assert padded.dtype == before[key].dtype
        assert torch.equal(padded[inner], before[key])
        padded[inner] = outside
        assert (padded == outside).all()
    # A motion without a mask becomes valid inside only.
    for key in ("occluded_backward", "teacher_occluded"):
        assert after[key].sum() == 45 * 64 - HEIGHT * WIDTH
    assert after["size"].tolist() == [HEIGHT, WIDTH]


def test_pad_adds_valid_masks_to_dense_truth() -> None:
    before = scene(stereo=True)
    del before["valid_disparity_t0"]
    after = ReflectPad((HEIGHT + 2, WIDTH))(before, rng())
    assert after["valid_disparity_t0"].sum() == HEIGHT * WIDTH


def test_pad_of_a_large_sample_adds_masks_alone() -> None:
    """A sample of any size gets the same keys, so that it can be in a batch with padded ones."""
    before = scene(stereo=True)
    del before["valid_disparity_t0"]
    large, padded = (ReflectPad(size)(before, rng()) for size in ((HEIGHT, 8), (HEIGHT + 2, 8)))
    assert set(large) == set(padded) == set(before) | {"valid_disparity_t0"}
    for key in ("left_t0", "right_t0", "disparity_t0", "intrinsics", "size"):
        assert torch.equal(cast(Any, large)[key], cast(Any, before)[key])
    assert large["valid_disparity_t0"].all()


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**30), stretch=st.floats(1, 1.3))
def test_truth_still_warps_after_scale_zoom_and_motion(seed: int, stretch: float) -> None:
    """And a quarter of a pixel off is three times as wrong: nothing is biased by more than a tenth of a pixel."""
    for transform in (
        RandomScale((0.8, 1.8), stretch),
        Zoom(1.0),
        RelativeMotion(5, 4),
        RelativeMotion(0, 6),
    ):
        after = transform(scene(), rng(seed))
        error = mean_flow_error(after)
        assert error < 0.005
        for shift in (-0.25, 0.25):
            assert mean_flow_error(after, shift) > 3 * error


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**30), stretch=st.floats(1, 1.3))
def test_disparity_still_warps_after_scale_and_zoom(seed: int, stretch: float) -> None:
    for transform in (RandomScale((0.8, 1.8), stretch), Zoom(1.0)):
        after = transform(scene(stereo=True), rng(seed))
        motion = torch.cat([-after["disparity_t0"], torch.zeros_like(after["disparity_t0"])])
        warped, inside = look_up(after["right_t0"], motion)
        used = inside & after["valid_disparity_t0"][0]
        # Not at the border, which is replicated by resizing.
        used[:2], used[-2:], used[:, :2], used[:, -2:] = False, False, False, False
        assert used.float().mean() > 0.5
        assert float((warped - after["left_t0"]).abs()[:, used].max()) < 0.02
