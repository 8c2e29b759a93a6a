"""The released zoom of sparse labels, against a second formulation: repeat every pixel, then average groups."""

from typing import Any, cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from flowdistill.data.augmentation import Augmentation
from flowdistill.data.sample import Sample
from flowdistill.data.transforms import Zoom
from flowdistill.data.transforms.resampling import resample

SIZE, LARGER = (12, 20), (17, 33)
CORNER = ((LARGER[0] - SIZE[0]) // 2, (LARGER[1] - SIZE[1]) // 2)


def by_repetition(values: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
    """Area average of (H, W): each pixel becomes `new` equal parts per axis, groups of `old` parts a new pixel."""
    for axis, new in enumerate(size):
        old = values.shape[axis]
        parts = np.moveaxis(np.repeat(values, new, axis), axis, -1)
        values = np.moveaxis(parts.reshape(*parts.shape[:-1], new, old).mean(-1), -1, axis)
    return values


def sparse_sample(share: float, seed: int = 0, size: tuple[int, int] = SIZE) -> Sample:
    rng = np.random.default_rng(seed)
    out: dict[str, Any] = {
        "name": "a",
        "left_t0": torch.from_numpy(rng.random((3, *size), np.float32)),
        "flow": torch.from_numpy(rng.uniform(-30, 30, (2, *size)).astype(np.float32)),
        "valid_flow": torch.from_numpy(rng.random((1, *size)) < share),
        "size": torch.tensor(size),
    }
    for key in ("disparity_t0", "disparity_t1"):
        out[key] = torch.from_numpy(rng.uniform(1, 60, (1, *size)).astype(np.float32))
        out[f"valid_{key}"] = torch.from_numpy(rng.random((1, *size)) < share)
    return cast(Sample, out)


def test_mixtures_are_those_of_the_description() -> None:
    sample = sparse_sample(0.3)
    found = cast(dict[str, torch.Tensor], resample(sample, LARGER, CORNER, SIZE, "released"))
    before = cast(dict[str, torch.Tensor], sample)
    window = (slice(CORNER[0], CORNER[0] + SIZE[0]), slice(CORNER[1], CORNER[1] + SIZE[1]))
    on_x, on_y = LARGER[1] / SIZE[1], LARGER[0] / SIZE[0]
    # KITTI's code 0 read as a label: (0 - 2^15) / 64 px of flow, 0 / 256 px of disparity.
    for key, invalid, factors in (
        ("flow", -512.0, (on_x, on_y)), ("disparity_t0", 0.0, (on_x,)), ("disparity_t1", 0.0, (on_x,)),
    ):  # fmt: skip
        valid = before[f"valid_{key}"][0].numpy()
        known = by_repetition(valid.astype(np.float64), LARGER)[window] > 0
        assert (found[f"valid_{key}"][0].numpy() == known).all()
        assert valid.mean() < known.mean() < 1
        for channel, factor in enumerate(factors):
            filled = np.where(valid, before[key][channel].double().numpy(), invalid)
            expected = by_repetition(filled, LARGER)[window] * factor
            np.testing.assert_allclose(found[key][channel].numpy()[known], expected[known], atol=2e-4)


def test_images_and_dense_labels_are_scaled_as_ever_and_no_zoom_is_no_change() -> None:
    sample = sparse_sample(1.0)
    released = cast(dict[str, torch.Tensor], resample(sample, LARGER, CORNER, SIZE, "released"))
    nearest = cast(dict[str, torch.Tensor], resample(sample, LARGER, CORNER, SIZE))
    assert torch.equal(released["left_t0"], nearest["left_t0"])
    assert released["valid_flow"].all()
    # A linear motion field stays linear, with either.
    ramp = sparse_sample(1.0)
    ramp["disparity_t0"] = torch.arange(1.0, SIZE[1] + 1).expand(1, *SIZE).clone()
    steps = resample(ramp, LARGER, CORNER, SIZE, "released")["disparity_t0"][0, 0].diff()
    assert (steps >= -1e-4).all()
    same = cast(dict[str, torch.Tensor], resample(sparse_sample(0.3), SIZE, labels="released"))
    for key, value in cast(dict[str, Any], sparse_sample(0.3)).items():
        if key.startswith("valid"):
            assert torch.equal(same[key], value)
        elif key in ("flow", "disparity_t0"):
            valid = cast(dict[str, Any], sparse_sample(0.3))[f"valid_{key}"].expand_as(value)
            assert torch.equal(same[key][valid], value[valid])


def test_it_only_enlarges() -> None:
    with pytest.raises(ValueError, match="enlarges"):
        resample(sparse_sample(0.5), (6, 20), labels="released")


@pytest.mark.parametrize(
    ("setting", "expected"), [(None, "nearest"), ("nearest", "nearest"), ("released", "released")]
)
def test_the_setting_reaches_the_transform(setting: Any, expected: str) -> None:
    (zoom,) = [
        t for t in Augmentation(preset="dwarf_kitti", sparse_zoom=setting).transforms() if isinstance(t, Zoom)
    ]
    assert zoom.labels == expected


def test_most_labels_of_a_zoomed_sparse_sample_are_mixtures_with_large_errors() -> None:
    """KITTI-like: 20 % of the pixels of a 320x896 crop, a smooth motion; the truth is the motion itself, zoomed."""
    size = (320, 896)
    shares, errors = [], []
    for factor in (1.05, 1.4, 1.75):
        sample = sparse_sample(0.2, seed=2, size=size)
        x = torch.linspace(-20, 20, size[1]).expand(size)
        sample["flow"] = torch.stack([x, 0.2 * x])
        dense = cast(Sample, {**sample, "valid_flow": torch.ones(1, *size, dtype=torch.bool)})
        larger = (int(factor * size[0]), int(factor * size[1]))
        corner = ((larger[0] - size[0]) // 2, (larger[1] - size[1]) // 2)
        found = resample(sample, larger, corner, size, "released")
        truth = resample(dense, larger, corner, size, "released")["flow"]
        off = (found["flow"] - truth).norm(dim=0)[found["valid_flow"][0]]
        mixed = off > 3
        shares.append(mixed.float().mean().item())
        errors.append(off[mixed].mean().item())
    print(
        f"mixtures {[f'{100 * share:.0f} %' for share in shares]}, errors {[f'{error:.0f} px' for error in errors]}"
    )
    assert all(share > 0.5 for share in shares)
    assert all(error > 100 for error in errors)
