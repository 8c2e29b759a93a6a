"""Colour, blur and noise on the workers: the documented formula in float64, the ranges, and the draws."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import Tensor

from flowdistill.data.photometric import ChannelSwap, Photometric, Strength
from flowdistill.data.photometric.strength import BLUR_RADIUS, Draw
from flowdistill.data.photometric.worker import change
from flowdistill.data.sample import IMAGES, Sample


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def sample(size: tuple[int, int] = (24, 30)) -> Sample:
    image = torch.rand(3, *size, generator=torch.Generator().manual_seed(0)) * 0.8 + 0.1
    return {
        "name": "a",
        "left_t0": image,
        "right_t0": image.clone(),
        "left_t1": image.clone(),
        "right_t1": image.clone(),
        "flow": torch.ones(2, *size),
        "valid_flow": torch.ones(1, *size, dtype=torch.bool),
    }


def stated(image: Tensor, draw: Draw) -> np.ndarray:
    """`Draw`'s formula in float64, without noise and final clipping."""
    values = image.double().numpy()
    values = np.clip(values**draw.gamma * np.array(draw.gain)[:, None, None], 0, 1)
    if draw.blur > 0:
        taps = np.exp(-0.5 * (np.arange(-BLUR_RADIUS, BLUR_RADIUS + 1) / draw.blur) ** 2)
        taps /= taps.sum()
        for axis in (1, 2):
            width = [(BLUR_RADIUS, BLUR_RADIUS) if a == axis else (0, 0) for a in range(3)]
            padded = np.pad(values, width, "reflect")
            length = values.shape[axis]
            values = sum(tap * np.take(padded, range(k, k + length), axis) for k, tap in enumerate(taps))
    return values


@pytest.mark.parametrize("seed", range(20))
def test_the_formula(seed: int) -> None:
    image = sample()["left_t0"]
    (draw,) = Strength(colour=0.7, blur=2.0, shared=seed % 2 == 0).draw(1, rng(seed))
    np.testing.assert_allclose(change(image, draw).numpy(), stated(image, draw), atol=2e-6)


def test_one_clip_for_brightness_and_channel() -> None:
    white = torch.ones(3, 4, 5)
    draw = Draw(1.1, (2 * 0.8, 0.5 * 1.2, 2 * 1.2), blur=0, noise=0, seed=0)
    expected = torch.tensor([1, 0.6, 1])[:, None, None].expand(3, 4, 5)
    torch.testing.assert_close(change(white, draw), expected)


def test_noise_has_the_stated_deviation_and_its_own_seed() -> None:
    grey = torch.full((3, 80, 100), 0.5)
    first, again, other = (change(grey, Draw(1, (1, 1, 1), 0, 0.05, seed)) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    difference = (first - grey).flatten()
    assert abs(float(difference.std()) - 0.05) < 0.001
    assert abs(float(difference.mean())) < 0.001
    assert abs(float(np.corrcoef(difference, (other - grey).flatten())[0, 1])) < 0.02
    dark = change(torch.zeros(3, 20, 20), Draw(1, (1, 1, 1), 0, 0.05, 0))
    assert float(dark.min()) == 0
    assert float(dark.max()) > 0.05


def test_ranges_of_what_is_drawn() -> None:
    drawn = [Strength(1.0, blur=1.5, noise=0.04).draw(1, rng(seed))[0] for seed in range(400)]
    gammas = np.array([draw.gamma for draw in drawn])
    gains = np.array([draw.gain for draw in drawn])
    ratios = gains / gains.max(axis=1, keepdims=True)
    for values, low, high in (
        (gammas, 0.8, 1.2),
        (np.array([draw.blur for draw in drawn]), 0, 1.5),
        (np.array([draw.noise for draw in drawn]), 0, 0.04),
    ):
        near = 0.03 * (high - low)
        assert low <= values.min() < low + near
        assert high - near < values.max() <= high
        assert abs(values.mean() - (low + high) / 2) < 2 * near
    assert 0.4 <= gains.min() < 0.5
    assert 2.2 < gains.max() <= 2.4
    assert 0.8 / 1.2 <= ratios.min() < 0.72
    # The mean over channels of brightness * channel is brightness.
    assert abs(gains.mean() - 1.25) < 0.06


@pytest.mark.parametrize("shared", [True, False])
def test_shared_or_independent(shared: bool) -> None:
    after = Photometric(Strength(1.0, blur=1.0, shared=shared))(sample(), rng(4))
    images = [after[key] for key in IMAGES]
    assert [torch.equal(images[0], image) for image in images[1:]] == [shared] * 3


def test_noise_is_never_shared_but_its_strength_is() -> None:
    draws = Strength(noise=0.1, shared=True).draw(4, rng(1))
    assert len({draw.noise for draw in draws}) == 1
    assert len({draw.seed for draw in draws}) == 4
    assert len({draw.noise for draw in Strength(noise=0.1, shared=False).draw(4, rng(1))}) == 4


def test_probability_is_that_of_a_sample() -> None:
    drawn = [Strength(0.3, shared=False).draw(4, rng(seed)) for seed in range(400)]
    coloured = [[draw.gamma != 1 for draw in draws] for draws in drawn]
    assert all(len(set(row)) == 1 for row in coloured)
    assert 0.22 < np.mean([row[0] for row in coloured]) < 0.38


def test_only_the_generator_decides_and_only_images_change() -> None:
    before, kept = sample(), sample()
    transform = Photometric(Strength(1.0, blur=1.0, noise=0.05))
    first = transform(before, rng(7))
    np.random.seed(123)
    second = transform(before, rng(7))
    for key in IMAGES:
        image = first[key]
        assert torch.equal(image, second[key])
        assert torch.equal(before[key], kept[key])
        assert image.dtype == torch.float32
        assert image.is_contiguous()
        assert 0 <= image.min() <= image.max() <= 1
    assert first["flow"] is before["flow"]
    assert first["valid_flow"] is before["valid_flow"]


def test_nothing_to_do_leaves_the_values() -> None:
    before = sample()
    after = Photometric(Strength())(before, rng(0))
    assert torch.equal(after["left_t1"], before["left_t1"])


def test_channel_swap_is_the_same_in_all_images() -> None:
    orders = set()
    for seed in range(60):
        before = sample()
        after = ChannelSwap()(before, rng(seed))
        found = {
            tuple(
                next(i for i in range(3) if torch.equal(before["left_t0"][i], channel))
                for channel in after[key]
            )
            for key in IMAGES
        }
        assert len(found) == 1
        orders |= found
    assert len(orders) == 6


def test_importing_the_data_room_is_cheap() -> None:
    code = (
        "import sys, flowdistill.data.transforms, flowdistill.data.augmentation, flowdistill.data.split_rules\n"
        "slow = {'albumentations', 'kornia', 'pytorch_lightning'} & set(sys.modules)\n"
        "assert not slow, slow"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
