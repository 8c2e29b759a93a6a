"""The outlier rule on arrays and on tensors: the same result as double-precision comparisons."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from flowdistill.metrics.rules import OUTLIER_RATIO, is_outlier

lengths = st.floats(0, 2000, width=32) | st.integers(0, 2000 * 256).map(lambda code: code / 256)


@settings(deadline=None)  # other work may hold the processor
@given(pairs=npst.arrays(np.float32, (2, 3, 4), elements=lengths.map(np.float32)))
def test_arrays_and_tensors(pairs: np.ndarray, device: torch.device) -> None:
    error, magnitude = pairs
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        found = is_outlier(error, magnitude)
        ratio = (error / magnitude).astype(np.float64)
    assert (found.dtype, found.shape) == (np.bool_, (3, 4))
    np.testing.assert_array_equal(found, (error > 3) & (ratio > 0.05))
    tensors = is_outlier(torch.from_numpy(error).to(device), torch.from_numpy(magnitude).to(device))
    assert tensors.dtype == torch.bool
    np.testing.assert_array_equal(tensors.cpu().numpy(), found)


def test_ratios_beside_five_percent(device: torch.device) -> None:
    """All single-precision ratios near 0.05, which lies between two of them."""
    nearest = np.float32(OUTLIER_RATIO)
    ratios = nearest + np.spacing(nearest) * np.arange(-50, 51, dtype=np.float32)
    magnitude = np.full_like(ratios, 1024)  # a power of two: the ratio comes back exactly
    np.testing.assert_array_equal(is_outlier(ratios * 1024, magnitude), ratios.astype(np.float64) > 0.05)
    tensors = is_outlier(torch.from_numpy(ratios * 1024).to(device), torch.from_numpy(magnitude).to(device))
    np.testing.assert_array_equal(tensors.cpu().numpy(), ratios.astype(np.float64) > 0.05)
    assert is_outlier(ratios * 1024, magnitude).sum() == 51


def test_an_array_that_diverged_is_an_outlier() -> None:
    assert is_outlier(np.array([np.nan], np.float32), np.array([10], np.float32)).all()
