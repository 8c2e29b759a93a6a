"""After any geometric transform the ground truth warps the other images onto the reference; injected faults do not."""

import math
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest
import torch
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
    move_t1,
    resample,
)
from flowdistill.data.transforms.relative_motion import turn
from rendered_truth import SIZE, flow_sample, judge, stereo_sample

HEIGHT, WIDTH = SIZE
SCENES = [(7, 2), (0, 0), (11, 1)]
seeds = st.integers(0, 2**30)
scenes = st.sampled_from(SCENES)
sides = st.tuples(st.integers(64, HEIGHT), st.integers(96, WIDTH))


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_the_renderers_truth_passes_as_it_comes() -> None:
    for scene in SCENES:
        judge(stereo_sample(*scene), stereo_sample(*scene), exact=True)


@settings(deadline=None, max_examples=15)
@given(scene=scenes, seed=seeds, pad=st.tuples(st.integers(1, 130), st.integers(1, 200)), crop=sides)
def test_pad_crop_and_vertical_flip_of_stereo(
    scene: tuple[int, int], seed: int, pad: tuple[int, int], crop: tuple[int, int]
) -> None:
    sample, generator = stereo_sample(*scene), rng(seed)
    for transform in (ReflectPad(pad), RandomCrop(crop), RandomFlips(left_right=False)):
        sample = transform(sample, generator)
    judge(stereo_sample(*scene), sample, exact=True)


@settings(deadline=None, max_examples=10)
@given(scene=scenes, seed=seeds, crop=sides)
def test_crop_and_both_flips_of_flow(scene: tuple[int, int], seed: int, crop: tuple[int, int]) -> None:
    sample, generator = flow_sample(*scene), rng(seed)
    for transform in (RandomCrop(crop), RandomFlips()):
        sample = transform(sample, generator)
    judge(flow_sample(*scene), sample, exact=True)


@settings(deadline=None, max_examples=12)
@given(scene=scenes, seed=seeds)
def test_zoom(scene: tuple[int, int], seed: int) -> None:
    before = stereo_sample(*scene)
    after = Zoom(1.0)(before, rng(seed))
    assert after["left_t0"].shape == before["left_t0"].shape
    judge(before, after, exact=False)


@settings(deadline=None, max_examples=12)
@given(scene=scenes, seed=seeds, stretch=st.floats(1, 1.3))
def test_scale_and_stretch(scene: tuple[int, int], seed: int, stretch: float) -> None:
    before = stereo_sample(*scene)
    judge(before, RandomScale((0.6, 1.7), stretch)(before, rng(seed)), exact=False)


@settings(deadline=None, max_examples=12)
@given(scene=scenes, seed=seeds, rotation=st.floats(0, 12), shift=st.floats(0, 12))
def test_relative_motion_of_flow(scene: tuple[int, int], seed: int, rotation: float, shift: float) -> None:
    before = flow_sample(*scene)
    judge(before, RelativeMotion(rotation, shift)(before, rng(seed)), exact=False)


@settings(deadline=None, max_examples=8)
@given(scene=scenes, seed=seeds, shift=st.integers(0, 15))
def test_relative_shift_of_stereo(scene: tuple[int, int], seed: int, shift: int) -> None:
    before = stereo_sample(*scene)
    after = RelativeMotion(0, shift)(before, rng(seed))
    judge(before, after, exact=True)
    assert torch.equal(after["disparity_t1"], before["disparity_t1"])


@settings(deadline=None, max_examples=8)
@given(scene=scenes, seed=seeds)
def test_all_of_them_after_each_other(scene: tuple[int, int], seed: int) -> None:
    for before, left_right, rotation in ((stereo_sample(*scene), False, 0), (flow_sample(*scene), True, 5)):
        sample, generator = before, rng(seed)
        for transform in (
            RandomScale((0.8, 1.3), 1.1, least=(80, 128)),
            RelativeMotion(rotation, 4),
            ReflectPad((104, 150)),
            RandomCrop((80, 128)),
            RandomFlips(left_right),
            Zoom(0.5),
        ):
            sample = transform(sample, generator)
        assert sample["left_t1"].shape == (3, 80, 128)
        assert sample["size"].tolist() == [80, 128]
        judge(before, sample, exact=False)


# Mistakes made in the past, each added to a correct transform.


def _change(sample: Sample, **changes: Callable[[Tensor], Tensor]) -> Sample:
    out = cast(dict[str, Any], dict(sample))
    for key, change in changes.items():
        out[key] = change(out[key])
    return cast(Sample, out)


def _zoomed() -> Sample:
    return resample(stereo_sample(), (144, 240), (24, 40), SIZE)


def _turned() -> Sample:
    return move_t1(flow_sample(), turn(SIZE, math.radians(8), np.array([3, -2])))


FAULTS: dict[str, Callable[[], Sample]] = {
    "flow not scaled": lambda: _change(_zoomed(), flow=lambda f: f / 1.5),
    "flow y scaled, x not": lambda: _change(_zoomed(), flow=lambda f: f / torch.tensor([1.5, 1]).view(2, 1, 1)),
    "disparity t0 not scaled": lambda: _change(_zoomed(), disparity_t0=lambda d: d / 1.5),
    "disparity t1 not scaled": lambda: _change(_zoomed(), disparity_t1=lambda d: d / 1.5),
    "backward flow not scaled": lambda: _change(_zoomed(), flow_backward=lambda f: f / 1.5),
    "images half a pixel off": lambda: _change(
        _zoomed(), left_t1=lambda i: (i + i.roll(1, -1)) / 2
    ),
    "x of flow not negated": lambda: _change(
        flip_left_right(flow_sample()), flow=lambda f: f * torch.tensor([-1, 1]).view(2, 1, 1)
    ),
    "y of flow not negated": lambda: _change(
        flip_top_bottom(stereo_sample()), flow=lambda f: f * torch.tensor([1, -1]).view(2, 1, 1)
    ),
    "disparity flipped in sign": lambda: _change(flip_top_bottom(stereo_sample()), disparity_t0=torch.neg),
    "left-right flip of stereo": lambda: flip_left_right(stereo_sample()),
    "labels not cropped": lambda: _change(
        RandomCrop((80, 128))(stereo_sample(), rng(3)), flow=lambda f: stereo_sample()["flow"][:, :80, :128]
    ),
    "turned the other way": lambda: _change(
        _turned(),
        flow=lambda f: move_t1(flow_sample(), turn(SIZE, math.radians(-8), np.array([3, -2])))["flow"],
    ),
    "backward flow on the old grid": lambda: _change(
        _turned(), flow_backward=lambda f: flow_sample()["flow_backward"]
    ),
    "shift not added to the flow": lambda: _change(
        move_t1(stereo_sample(), turn(SIZE, 0, np.array([4, 2]))), flow=lambda f: stereo_sample()["flow"]
    ),
    "reflected labels called valid": lambda: _change(
        ReflectPad((200, 200))(stereo_sample(), rng(0)), valid_flow_noc=torch.ones_like
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_faults_are_found(fault: str) -> None:
    with pytest.raises(AssertionError, match=r"grey levels, more than|warps better"):
        judge(stereo_sample(), FAULTS[fault](), exact=False)
