"""The rules on KITTI's codes: every planted mistake is detected, for any valid code, and correct files pass."""

from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowdistill.formats.encodings import (
    DISPARITY_FACTORS,
    odd_disparity_codes,
    odd_disparity_factor,
    odd_flow_codes,
)
from flowdistill.render import render_scene


@lru_cache
def rendered(world: str = "rooms", seed: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """True flow (H, W, 2) and disparity (H, W), px."""
    (frame,) = render_scene(seed, 0, 2, (64, 128), 1, world)
    return frame.flow, frame.disparity_t0[..., 0]


def flow_codes(flow: np.ndarray, valid: np.ndarray | None = None, mark: int = 1) -> np.ndarray:
    """As written by the development kit: x, y, valid."""
    known = np.ones(flow.shape[:2], bool) if valid is None else valid
    codes = np.dstack([np.rint(flow * 64) + 32768, np.full(known.shape, mark)])
    return np.where(known[..., None], codes, 0).astype(np.uint16)


def sparse(shape: tuple[int, int], share: float = 0.2) -> np.ndarray:
    return np.random.default_rng(3).random(shape) < share


def names(codes: np.ndarray) -> list[str]:
    return [oddity.name for oddity in (odd_flow_codes if codes.ndim == 3 else odd_disparity_codes)(codes)]


@pytest.mark.parametrize("world", ["rooms", "street"])
@pytest.mark.parametrize("mark", [1, 255, 65535])
@pytest.mark.parametrize("share", [1.0, 0.2])
def test_reversed_channels_are_named_whatever_the_valid_code(world: str, mark: int, share: float) -> None:
    flow, _ = rendered(world)
    right = flow_codes(flow, sparse(flow.shape[:2], share), mark)
    assert names(right) == []
    (oddity,) = odd_flow_codes(right[..., ::-1])
    assert (oddity.name, oddity.sure) == ("channel order", True)
    assert str(mark) in oddity.detail


def test_other_orders_of_channels_are_named() -> None:
    flow, _ = rendered()
    right = flow_codes(flow)
    for order in ((2, 0, 1), (0, 2, 1), (1, 2, 0), (2, 1, 0)):
        assert names(right[..., order]) == ["channel order"], order


@pytest.mark.parametrize("flow", [(0.0, 0.0), (3.0, 0.0), (0.0, -2.0), (-7.5, 1.25)])
def test_a_constant_flow_is_right_and_its_reversal_is_not(flow: tuple[float, float]) -> None:
    values = np.broadcast_to(np.float32(flow), (8, 12, 2))
    for mark in (1, 255, 65535):
        assert names(flow_codes(values, mark=mark)) == []
        assert names(flow_codes(values, mark=mark)[..., ::-1]) == ["channel order"]


@pytest.mark.parametrize("wrap", [False, True])
@pytest.mark.parametrize("share", [1.0, 0.2])
def test_a_missing_offset_is_named_clipped_or_wrapped_around(wrap: bool, share: float) -> None:
    flow, _ = rendered()
    valid = sparse(flow.shape[:2], share)
    plain = np.rint(flow * 64)
    codes = flow_codes(flow, valid)
    codes[..., :2] = np.where(valid[..., None], plain % 65536 if wrap else np.clip(plain, 0, None), 0)
    assert names(codes) == ["offset"]


def test_values_piled_up_at_an_end_are_named_and_single_ones_are_not() -> None:
    flow, disparity = rendered()
    codes = flow_codes(flow)
    codes[:2, :5, 0] = 65535
    assert names(codes) == []
    codes[:4, :5, 1] = 0
    assert names(codes) == ["piled up"]
    codes = np.rint(disparity * 256).astype(np.uint16)
    codes[:4, :5] = 65535
    assert names(codes) == ["piled up"]


def test_small_disparities_are_odd_but_not_surely_wrong() -> None:
    _, disparity = rendered()
    assert disparity.max() > 3
    assert names(np.rint(disparity * 256).astype(np.uint16)) == []
    (oddity,) = odd_disparity_codes(np.maximum(disparity, 1).astype(np.uint16))
    assert (oddity.name, oddity.sure) == ("small", False)
    assert names(np.zeros((4, 6), np.uint16)) == []
    assert names(np.zeros((4, 6, 3), np.uint16)) == []


@settings(deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["rooms", "street"]), st.sampled_from([1, 255, 65535]))
def test_random_shifts_of_true_flow_are_never_odd(seed: int, world: str, mark: int) -> None:
    flow, _ = rendered(world)
    shift = np.random.default_rng(seed).uniform(-120, 120, 2)
    assert names(flow_codes(flow + shift, mark=mark)) == []


@pytest.mark.parametrize("factor", DISPARITY_FACTORS)
def test_another_factor_is_seen_beside_the_truth(factor: float) -> None:
    _, truth = rendered()
    rng = np.random.default_rng(0)
    estimate = truth * rng.normal(1, 0.03, truth.shape) + rng.normal(0, 0.1, truth.shape)
    outliers = rng.random(truth.shape) < 0.1
    estimate = np.where(outliers, rng.uniform(0, 30, truth.shape), estimate)
    stored = estimate * factor / 256
    oddity = odd_disparity_factor([stored[:32], stored[32:]], [truth[:32], truth[32:]])
    assert oddity is not None
    assert f"the factor {factor:g} in place of 256" in oddity.problem
    assert not oddity.sure


def test_right_and_merely_bad_disparities_are_no_factor() -> None:
    _, truth = rendered()
    rng = np.random.default_rng(0)
    for estimate in (truth, truth * 1.3, rng.uniform(0.1, 8, truth.shape), np.full_like(truth, 0.1)):
        assert odd_disparity_factor([estimate], [truth]) is None
    assert odd_disparity_factor([], []) is None
