"""Errors per pixel, the outlier rule at its edges, and sums that do not depend on their order."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from flowdistill.metrics import end_point_error, is_outlier, outliers
from flowdistill.metrics.exact_sum import INFINITE, exact_parts, exact_total
from flowdistill.metrics.functional import masked_count, masked_sum, vector_length

NAN, INF = math.nan, math.inf


def scalar(
    value: float, device: torch.device | None = None, dtype: torch.dtype = torch.float32
) -> torch.Tensor:
    return torch.full((1, 1, 1, 1), value, device=device, dtype=dtype)


def error_sum(errors: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """px, as `EndPointError` adds errors (B, 1, H, W) over a mask."""
    return exact_total(masked_sum(exact_parts(errors), mask))


@pytest.mark.parametrize("channels", [1, 2])
def test_end_point_error_is_the_euclidean_length(
    channels: int, device: torch.device, dtype: torch.dtype
) -> None:
    rng = np.random.default_rng(0)
    prediction, truth = (rng.normal(scale=30, size=(2, channels, 5, 7)).astype(np.float32) for _ in range(2))
    error = end_point_error(*(torch.from_numpy(array).to(device, dtype) for array in (prediction, truth)))
    assert error.shape == (2, 1, 5, 7)
    assert error.dtype == torch.float32
    expected = np.linalg.norm(prediction.astype(np.float64) - truth.astype(np.float64), axis=1, keepdims=True)
    np.testing.assert_allclose(error.cpu().numpy(), expected, rtol=3e-7, atol=1e-6)


@settings(deadline=None)  # other work may hold the processor
@given(bits=npst.arrays(np.float32, (1, 2, 2, 3), elements=st.floats(-600, 600, width=32)))
def test_lengths_are_rounded_step_by_step_in_single_precision(
    bits: np.ndarray, device: torch.device, dtype: torch.dtype
) -> None:
    x, y = bits[:, :1], bits[:, 1:]
    expected = np.sqrt((x * x).astype(np.float32) + (y * y).astype(np.float32))
    found = vector_length(torch.from_numpy(bits).to(device, dtype))
    np.testing.assert_array_equal(found.cpu().numpy(), expected)


def test_half_precision_is_widened_before_the_difference() -> None:
    prediction = torch.full((1, 1, 1, 1), 100.0, dtype=torch.bfloat16)
    error = end_point_error(prediction, torch.full((1, 1, 1, 1), 100.125))
    assert error.dtype == torch.float32
    assert error.item() == 0.125


@pytest.mark.parametrize(
    ("error", "magnitude", "expected"),
    [
        (3.0, 1.0, False),
        (3.0000002, 1.0, True),
        (3.0000002, 60.0, True),  # the single-precision quotient is 0.05 rounded up
        (4.0, 80.0, True),  # exactly 5 %: the quotient 0.0500000007 lies above the double 0.05
        (4.0, 80.00001, False),
        (3.5, 70.0, True),
        (5.0, 0.0, True),  # no ratio: only the 3 px threshold applies
        (3.0, 0.0, False),
        (0.0, 0.0, False),
        (100.0, 2000.1, False),
        (INF, 10.0, True),
        (NAN, 10.0, True),
        (NAN, 0.0, True),
    ],
)
def test_the_rule_at_its_edges(
    error: float, magnitude: float, expected: bool, device: torch.device, dtype: torch.dtype
) -> None:
    found = is_outlier(scalar(error, device, dtype), scalar(magnitude, device, dtype))
    assert found.dtype == torch.bool
    assert found.shape == (1, 1, 1, 1)
    assert found.item() is expected


@settings(deadline=None)  # other work may hold the processor
@given(error=st.floats(0, 100, width=32), magnitude=st.floats(0, 2000, width=32))
def test_the_rule_in_numpy_single_precision(
    error: float, magnitude: float, device: torch.device, dtype: torch.dtype
) -> None:
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = np.float32(error) / np.float32(magnitude)
    expected = error > 3 and float(ratio) > 0.05
    found = is_outlier(scalar(error, device, dtype), scalar(magnitude, device, dtype))
    assert found.item() is expected


def test_a_negative_disparity_has_a_positive_magnitude(device: torch.device, dtype: torch.dtype) -> None:
    prediction, truth, near = (scalar(value, device, dtype) for value in (-104.0, -100.0, -79.0))
    assert not outliers(prediction, truth).item()
    assert outliers(prediction, near).item()


def test_nothing_leaks_from_under_the_mask(device: torch.device, dtype: torch.dtype) -> None:
    values = torch.tensor([1.0, NAN, INF, 2.5], device=device, dtype=dtype).reshape(1, 1, 2, 2)
    mask = torch.tensor([True, False, False, True], device=device).reshape(1, 1, 2, 2)
    total = error_sum(values, mask)
    assert total.dtype == torch.float64
    assert total.item() == 3.5
    count = masked_count(values.isfinite().logical_not() | mask, mask)
    assert count.dtype == torch.int64
    assert count.item() == 2
    assert error_sum(values, torch.zeros_like(mask)).item() == 0
    assert error_sum(values, ~mask).isnan()
    infinite = torch.tensor([False, False, True, True], device=device).reshape(1, 1, 2, 2)
    assert error_sum(values, infinite).item() == INF


def test_a_sum_does_not_depend_on_its_order(device: torch.device, dtype: torch.dtype) -> None:
    rng = np.random.default_rng(0)
    values = torch.from_numpy(rng.lognormal(0, 4, 100_000).astype(np.float32)).to(device, dtype)
    values = values.reshape(1, 1, 100, 1000)
    mask = torch.ones_like(values, dtype=torch.bool)
    whole = error_sum(values, mask).item()
    for seed in range(5):
        order = torch.from_numpy(np.random.default_rng(seed).permutation(100_000)).to(device)
        parts = values.flatten()[order].reshape(1, 1, 100, 1000).split([1, 30, 69], dim=2)
        assert sum(error_sum(part, torch.ones_like(part, dtype=torch.bool)).item() for part in parts) == whole
    assert whole == pytest.approx(math.fsum(values.flatten().tolist()), abs=100_000 * 2**-21)


@settings(deadline=None)
@given(errors=st.lists(st.floats(0, INFINITE, width=32, exclude_max=True), min_size=1, max_size=30))
def test_a_sum_is_that_of_fractions(errors: list[float], device: torch.device, dtype: torch.dtype) -> None:
    """Each rounded to 2**-20 px, halves to even, and no rounding other than of the total."""
    exact = sum((Fraction(round(Fraction(error) * 2**20), 2**20) for error in errors), Fraction(0))
    values = torch.tensor(errors, device=device, dtype=dtype).reshape(1, 1, 1, -1)
    assert error_sum(values, torch.ones_like(values, dtype=torch.bool)).item() == float(exact)


def test_a_sum_of_errors_that_no_picture_has_neither_overflows_nor_turns_negative() -> None:
    """2**63 steps of 2**-20 px, where one integer would end, are 2**15 pixels of the largest error that counts."""
    values = torch.full((1, 1, 2**8, 2**9), float(np.nextafter(np.float32(INFINITE), np.float32(0))))
    mask = torch.ones_like(values, dtype=torch.bool)
    assert error_sum(values, mask).item() == values.double().sum().item() > 2**43
    values[0, 0, 0, 0] = INFINITE
    assert error_sum(values, mask).item() == INF


@pytest.mark.parametrize("shape", [(2, 3, 4), (1, 3, 4, 5), (2, 2)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="motion must have the shape"):
        end_point_error(torch.zeros(shape), torch.zeros(shape))


def test_shapes_that_would_broadcast_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in shape"):
        end_point_error(torch.zeros(2, 2, 4, 5), torch.zeros(1, 2, 4, 5))
    values = torch.zeros(2, 1, 4, 5)
    with pytest.raises(ValueError, match="the mask must have the shape"):
        masked_sum(values, torch.ones(1, 1, 4, 5, dtype=torch.bool))
    with pytest.raises(ValueError, match="the mask must be bool"):
        masked_count(values > 0, torch.ones(2, 1, 4, 5))
