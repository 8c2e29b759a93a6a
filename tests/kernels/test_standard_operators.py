"""The formulation for exported graphs against the operators, in float64, and free of flowkernels."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import flowkernels
from flowkernels import standard_operators as standard


@settings(max_examples=40, deadline=None)
@given(
    width=st.integers(1, 50),
    height=st.integers(1, 9),
    channels=st.integers(1, 5),
    radius_y=st.integers(0, 4),
    radius_x=st.sampled_from([0, 1, 4, 8, 9]),
    average=st.booleans(),
    slope=st.sampled_from([None, 0.1]),
    depth=st.sampled_from([0, 0, 1]),
    stride=st.sampled_from([1, 1, 2]),
    dilation=st.sampled_from([1, 1, 2]),
)
def test_correlation(
    width: int, height: int, channels: int, radius_y: int, radius_x: int, average: bool, slope: float | None,
    depth: int, stride: int, dilation: int,
) -> None:  # fmt: skip
    generator = torch.Generator().manual_seed(width)
    x, y = torch.randn(2, 2, channels, height, width, dtype=torch.float64, generator=generator)
    rest = (radius_y, radius_x, depth, stride, dilation, average, slope)
    expected = torch.ops.flowkernels.correlation(x, y, *rest)
    torch.testing.assert_close(standard.correlation(x, y, *rest), expected)


@pytest.mark.parametrize("convention", ["replicate", "disparity", "zero"])
def test_warp(convention: str) -> None:
    generator = torch.Generator().manual_seed(1)
    image = torch.randn(2, 3, 12, 20, dtype=torch.float64, generator=generator)
    motion = 30 * torch.randn(
        2, 1 if convention == "disparity" else 2, 12, 20, dtype=torch.float64, generator=generator
    )
    expected = torch.ops.flowkernels.warp(image, motion, convention)
    torch.testing.assert_close(standard.warp(image, motion, convention), expected)


def test_every_operator_of_a_network_has_a_translation() -> None:
    """All but the losses' census and the backwards, which no exported graph contains."""
    named = {each.name() for each in standard.standard_operators()}
    registered = {name for name in torch._C._dispatch_get_all_op_names() if name.startswith("flowkernels::")}
    assert flowkernels is not None
    inference = {name for name in registered if "backward" not in name and "census" not in name}
    assert named == inference
