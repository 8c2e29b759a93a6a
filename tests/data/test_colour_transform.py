"""Photometric augmentation: the published formula, one draw or one an image, and only the generator decides."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from flowdistill.data.colour import Colour
from flowdistill.data.sample import IMAGES, Sample


def sample() -> Sample:
    image = torch.rand(3, 8, 10, generator=torch.Generator().manual_seed(0)) * 0.4 + 0.01
    return {
        "name": "a",
        "left_t0": image,
        "right_t0": image.clone(),
        "left_t1": image.clone(),
        "right_t1": image.clone(),
        "flow": torch.ones(2, 8, 10),
    }


def factors(before: torch.Tensor, after: torch.Tensor) -> tuple[float, np.ndarray]:
    """(gamma, multiplier a channel), fitted in the logarithm: log after = gamma log before + log multiplier."""
    gammas, multipliers = [], []
    for x, y in zip(before.double(), after.double(), strict=True):
        unclipped = y < 1
        gamma, offset = np.polyfit(np.log(x[unclipped].numpy()), np.log(y[unclipped].numpy()), 1)
        gammas.append(gamma)
        multipliers.append(np.exp(offset))
    assert np.ptp(gammas) < 1e-3
    return gammas[0], np.array(multipliers)


def test_follows_the_published_formula_and_ranges() -> None:
    gammas, multipliers = [], []
    for seed in range(100):
        before = sample()
        after = Colour(1.0)(before, np.random.default_rng(seed))
        gamma, multiplier = factors(before["left_t0"], after["left_t0"])
        expected = (before["left_t0"] ** gamma * torch.from_numpy(multiplier)[:, None, None]).clamp(0, 1)
        torch.testing.assert_close(after["left_t0"], expected.float(), atol=1e-4, rtol=0)
        gammas.append(gamma)
        multipliers.append(multiplier)
    assert 0.799 < min(gammas) < 0.83
    assert 1.17 < max(gammas) < 1.201
    ratios = np.array(multipliers) / np.mean(multipliers, axis=1, keepdims=True)
    assert np.ptp(ratios) > 0.2
    assert 0.5 * 0.8 <= np.min(multipliers) < 0.6
    assert 1.8 < np.max(multipliers) <= 2 * 1.2


def test_clips_once_at_the_end() -> None:
    bright = sample()
    bright["left_t0"] = torch.ones(3, 8, 10)
    for seed in range(50):
        generator, again = np.random.default_rng(seed), np.random.default_rng(seed)
        after = Colour(1.0)(bright, generator)["left_t0"][:, 0, 0].numpy()
        again.random(), again.uniform(0.8, 1.2)
        product = again.uniform(0.5, 2) * again.uniform(0.8, 1.2, size=3)
        np.testing.assert_allclose(after, np.minimum(product, 1), rtol=1e-5)


@pytest.mark.parametrize("shared", [True, False])
def test_shared_or_independent(shared: bool) -> None:
    after = Colour(1.0, shared)(sample(), np.random.default_rng(4))
    images = [after[key] for key in IMAGES]  # type: ignore[literal-required]
    alike = [torch.equal(images[0], image) for image in images[1:]]
    assert alike == [shared] * 3


def test_only_the_generator_decides_and_only_images_change() -> None:
    before = sample()
    first = Colour(1.0)(before, np.random.default_rng(7))
    np.random.seed(123)
    second = Colour(1.0)(before, np.random.default_rng(7))
    assert torch.equal(first["left_t0"], second["left_t0"])
    assert first["flow"] is before["flow"]
    assert torch.equal(before["left_t0"], sample()["left_t0"])
    image = first["left_t0"]
    assert image.dtype == torch.float32
    assert image.is_contiguous()


def test_probability() -> None:
    before = sample()
    changed = [Colour(0.3)(before, np.random.default_rng(seed)) is not before for seed in range(300)]
    assert 0.2 < np.mean(changed) < 0.4
    assert Colour(0.0)(before, np.random.default_rng(0)) is before


def test_importing_the_data_room_is_cheap() -> None:
    code = (
        "import sys, flowdistill.data.transforms, flowdistill.data.colour, flowdistill.data.split_rules\n"
        "slow = {'albumentations', 'kornia', 'pytorch_lightning'} & set(sys.modules)\n"
        "assert not slow, slow"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
