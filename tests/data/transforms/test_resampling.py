"""Resizing compared with a float64 reference: images linear, labels of the nearest pixel, motions scaled."""

from typing import Any, cast

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from flowdistill.data.sample import DISPARITIES, FLOWS, OCCLUSIONS, VALID_MASKS, Sample
from flowdistill.data.transforms import RandomScale, Zoom, resample
from flowdistill.data.transforms.resampling import resize_image

HEIGHT, WIDTH = 23, 31
sizes = st.tuples(st.integers(5, 60), st.integers(5, 70))


def sparse(seed: int, density: float = 0.2) -> Sample:
    """Labels like KITTI's: all values are different, with poison values at invalid pixels."""
    rng = np.random.default_rng(seed)
    sample: dict[str, Any] = {"name": "sparse", "size": torch.tensor([HEIGHT, WIDTH])}
    sample["left_t0"] = sample["left_t1"] = torch.rand(3, HEIGHT, WIDTH)
    for key in (*VALID_MASKS, *OCCLUSIONS, "foreground"):
        sample[key] = torch.from_numpy(rng.random((1, HEIGHT, WIDTH)) < density)
    for key, channels in (*((key, 2) for key in FLOWS), *((key, 1) for key in DISPARITIES)):
        values = torch.from_numpy(rng.permutation(channels * HEIGHT * WIDTH).astype(np.float32) / 100)
        sample[key] = values.view(channels, HEIGHT, WIDTH)
        if f"valid_{key}" in sample:
            poison = torch.tensor(np.nan if seed % 2 else 1e9)
            sample[key] = torch.where(sample[f"valid_{key}"], sample[key], poison)
    return cast(Sample, sample)


def nearest(new: int, old: int) -> np.ndarray:
    """Old index of the pixel whose area contains each new pixel's centre, in float64."""
    return np.floor((np.arange(new) + 0.5) * old / new + 1e-12).astype(int)


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 1000), size=sizes)
def test_every_label_is_one_labels_own_scaled_value(seed: int, size: tuple[int, int]) -> None:
    before = sparse(seed)
    after = resample(before, size)
    rows, columns = nearest(size[0], HEIGHT), nearest(size[1], WIDTH)
    on_y, on_x = size[0] / HEIGHT, size[1] / WIDTH
    for key in (*FLOWS, *DISPARITIES):
        old = cast(Any, before)[key].numpy()[:, rows][:, :, columns].astype(np.float64)
        factors = np.array([on_x, on_y][: len(old)])[:, None, None]
        new = cast(Any, after)[key]
        assert new.dtype == torch.float32
        if f"valid_{key}" in before:
            valid = cast(Any, after)[f"valid_{key}"].expand_as(new).numpy()
            assert np.isfinite(new.numpy()[valid]).all()
            assert np.abs(new.numpy()[valid]).max(initial=0) < 1e4  # no trace of the poison
            np.testing.assert_allclose(new.numpy()[valid], (old * factors)[valid], rtol=1e-6)
        else:
            np.testing.assert_allclose(new.numpy(), old * factors, rtol=1e-6)
    for key in ("valid_flow", "valid_disparity_t0", "valid_disparity_t1", "teacher_occluded", "foreground"):
        new = cast(Any, after)[key]
        assert new.dtype == torch.bool
        np.testing.assert_array_equal(new.numpy(), cast(Any, before)[key].numpy()[:, rows][:, :, columns])


@pytest.mark.parametrize("seed", range(20))
def test_zoom_is_the_centre_of_a_resized_sample(seed: int) -> None:
    before, rng = sparse(seed), np.random.default_rng(seed)
    rng.random()
    factor = rng.uniform(1, 1.8)
    size = (int(factor * HEIGHT), int(factor * WIDTH))
    whole, after = resample(before, size), Zoom(1.0)(before, np.random.default_rng(seed))
    top, left = (size[0] - HEIGHT) // 2, (size[1] - WIDTH) // 2
    window = (slice(None), slice(top, top + HEIGHT), slice(left, left + WIDTH))
    for key in ("left_t0", *FLOWS, *DISPARITIES, "valid_flow", "valid_disparity_t1", "foreground"):
        new, expected = cast(Any, after)[key], cast(Any, whole)[key][window]
        torch.testing.assert_close(new, expected, rtol=0, atol=0, equal_nan=True)


def linear(values: np.ndarray, new: int, axis: int) -> np.ndarray:
    """Linear interpolation with pixels as areas, in float64; the border is replicated."""
    old = values.shape[axis]
    position = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
    low = np.minimum(np.floor(position).astype(int), max(old - 2, 0))
    high = np.minimum(low + 1, old - 1)
    shape = [-1 if a == axis else 1 for a in range(values.ndim)]
    part = (position - low).reshape(shape)
    return np.take(values, low, axis) * (1 - part) + np.take(values, high, axis) * part


def triangle(values: np.ndarray, new: int, axis: int) -> np.ndarray:
    """Downscaling with a triangle filter of the new pixel's width on each side, in float64."""
    old = values.shape[axis]
    ratio = old / new
    centres = (np.arange(new) + 0.5) * ratio
    weights = np.maximum(1 - np.abs((np.arange(old)[None] + 0.5 - centres[:, None]) / ratio), 0)
    weights /= weights.sum(axis=1, keepdims=True)
    return np.moveaxis(np.tensordot(weights, values, (1, axis)), 0, axis)


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 1000), size=sizes)
def test_pictures_are_interpolated_linearly(seed: int, size: tuple[int, int]) -> None:
    image = torch.rand(3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(seed))
    expected = image.double().numpy()
    for axis, new in ((1, size[0]), (2, size[1])):
        expected = (triangle if new < expected.shape[axis] else linear)(expected, new, axis)
    np.testing.assert_allclose(resize_image(image, size).numpy(), expected, atol=2e-4)


def test_a_window_is_the_whole_cut() -> None:
    before = sparse(4)
    whole = resample(before, (40, 50))
    part = resample(before, (40, 50), (7, 11), (20, 30))
    assert part["size"].tolist() == [20, 30]
    for key in ("left_t0", "flow", "disparity_t1", "valid_flow", "teacher_occluded"):
        expected = cast(Any, whole)[key][:, 7:27, 11:41]
        torch.testing.assert_close(cast(Any, part)[key], expected, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("factors", [(0.5, 2.0), (1.0, 1.0)])
def test_scales_are_even_in_the_logarithm_and_stop_at_the_crop(factors: tuple[float, float]) -> None:
    sample = cast(Sample, {"name": "a", "left_t0": torch.rand(3, 100, 200), "size": torch.tensor([100, 200])})
    found = []
    for seed in range(300):
        size = RandomScale(factors, 1.2, least=(70, 90))(sample, np.random.default_rng(seed))["size"]
        found.append((size / torch.tensor([100, 200])).tolist())
    on_y, on_x = np.array(found).T
    assert on_y.min() > 0.699
    assert on_x.min() > 0.449
    ratio = on_x / on_y
    free = on_y > 0.71
    assert 1 / 1.22 < ratio[free].min() < 0.86
    assert 1.17 < ratio[free].max() < 1.22
    if factors == (0.5, 2.0):
        assert on_y.max() > 1.9
        assert 0.4 < np.mean(on_x > 1) < 0.6
    else:
        np.testing.assert_allclose(on_x * on_y, 1, atol=0.02)


def test_an_image_that_is_too_small_stays_so_that_the_crop_says_it() -> None:
    sample = cast(Sample, {"name": "a", "left_t0": torch.rand(3, 50, 60), "size": torch.tensor([50, 60])})
    after = RandomScale((0.5, 0.5), least=(64, 64))(sample, np.random.default_rng(0))
    assert after["size"].tolist() == [50, 60]


def test_zooms_are_uniform_and_rounded_down() -> None:
    sample = cast(
        Sample,
        {
            "name": "a",
            "left_t0": torch.rand(3, 100, 200),
            "flow": torch.ones(2, 100, 200),
            "size": torch.tensor([100, 200]),
        },
    )
    zoomed = [Zoom(0.5)(sample, np.random.default_rng(seed)) for seed in range(400)]
    factors = torch.stack([s["flow"][:, 0, 0] for s in zoomed if s is not sample])
    assert 0.4 < len(factors) / 400 < 0.6
    assert float((factors[:, 0] * 200 % 1).min()) < 1e-3  # whole pixels
    torch.testing.assert_close(
        factors * torch.tensor([200.0, 100.0]), (factors * torch.tensor([200.0, 100.0])).round()
    )
    assert 1 <= float(factors.min()) < 1.02
    assert 1.77 < float(factors.max()) < 1.8
    assert 1.36 < float(factors.mean()) < 1.44
    assert (factors[:, 0] - factors[:, 1]).abs().max() < 0.011
