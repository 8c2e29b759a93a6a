"""Correlations against the original's numbers and a slow definition."""

import pytest
import torch

import reference
from flowkernels import correlation_1d, correlation_2d, correlation_3d

OPS = "dwarf_ops"
CASES = {
    "correlation1d": correlation_1d,
    "correlation2d": correlation_2d,
    "correlation3d_depth0": correlation_3d,
    "correlation3d_depth2": lambda x, y: correlation_3d(x, y, depth_radius=2),
}


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_match_the_reference(name: str) -> None:
    x = reference.tensor(OPS, f"{name}__x").requires_grad_()
    y = reference.tensor(OPS, f"{name}__y").requires_grad_()
    out = CASES[name](x, y)
    assert reference.relative_error(out, reference.tensor(OPS, f"{name}__out")) < 1e-5
    (out * reference.tensor(OPS, f"{name}__weight")).sum().backward()
    assert reference.relative_error(x.grad, reference.tensor(OPS, f"{name}__grad_x")) < 1e-5
    assert reference.relative_error(y.grad, reference.tensor(OPS, f"{name}__grad_y")) < 1e-5


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_correlation_2d_is_its_definition_in_float64(reduction: str) -> None:
    torch.manual_seed(0)
    x, y = torch.randn(2, 2, 3, 4, 6, dtype=torch.float64)
    volume = correlation_2d(x, y, radius=2, reduction=reduction)
    for k in range(25):
        dy, dx = k // 5 - 2, k % 5 - 2
        for row in range(4):
            for column in range(6):
                expected = torch.zeros(2, dtype=torch.float64)
                if 0 <= row + dy < 4 and 0 <= column + dx < 6:
                    expected = (x[:, :, row, column] * y[:, :, row + dy, column + dx]).sum(1)
                if reduction == "mean":
                    expected = expected / 3
                torch.testing.assert_close(volume[:, k, row, column], expected, rtol=0, atol=1e-14)


def test_gradients_pass_gradcheck() -> None:
    torch.manual_seed(0)
    x, y = (torch.randn(1, 2, 3, 4, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(lambda a, b: correlation_2d(a, b, radius=1), (x, y))
    assert torch.autograd.gradcheck(lambda a, b: correlation_1d(a, b, radius=2), (x, y))
    assert torch.autograd.gradcheck(lambda a, b: correlation_3d(a, b, radius=1, depth_radius=1), (x, y))


def test_different_shapes_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"the same shape.*\(1, 2, 3, 4\).*\(1, 2, 3, 5\)"):
        correlation_2d(torch.zeros(1, 2, 3, 4), torch.zeros(1, 2, 3, 5))
