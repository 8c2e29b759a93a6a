"""The correlation's specification against sums written out pixel by pixel, and its gradient against autograd."""

import pytest
import torch
from torch import Tensor

from flowkernels.definitions.correlation import Window, correlation, correlation_backward, overlap

WINDOWS = [
    Window(1, 2),
    Window(0, 4),
    Window(0, 0),
    Window(1, 1, depth_radius=2),
    Window(2, 1, depth_radius=6),  # more than the number of channels
    Window(1, 1, stride=2),
    Window(1, 2, dilation=3),
    Window(2, 1, depth_radius=1, stride=3, dilation=2),
]


def summed_pixel_by_pixel(x: Tensor, y: Tensor, window: Window, scale: float) -> Tensor:
    """The volume in float64, each value from its own loop over channels."""
    batch, channels, height, width = x.shape
    a, b = x.double().numpy(), y.double().numpy()
    shifts = list(window.shifts())
    rows, columns = range(0, height, window.stride), range(0, width, window.stride)
    volume = torch.zeros(batch, len(shifts), len(rows), len(columns), dtype=torch.float64)
    for n in range(batch):
        for k, (d, v, u) in enumerate(shifts):
            for i, row in enumerate(rows):
                for j, column in enumerate(columns):
                    if 0 <= row + v < height and 0 <= column + u < width:
                        volume[n, k, i, j] = scale * sum(
                            a[n, c, row, column] * b[n, c + d, row + v, column + u]
                            for c in range(channels)
                            if 0 <= c + d < channels
                        )
    return volume


@pytest.mark.parametrize("window", WINDOWS)
def test_the_definition_is_the_sum_pixel_by_pixel(window: Window) -> None:
    torch.manual_seed(0)
    x, y = torch.randn(2, 2, 3, 5, 7, dtype=torch.float64)
    expected = summed_pixel_by_pixel(x, y, window, 0.3)
    found = correlation(x, y, window, 0.3)
    assert found.shape == window.volume_shape(x)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-14)
    leaky = correlation(x, y, window, 0.3, 0.1)
    torch.testing.assert_close(leaky, torch.where(expected > 0, expected, 0.1 * expected), rtol=0, atol=1e-14)


def test_shifts_are_ordered_depth_then_y_then_x() -> None:
    shifts = list(Window(1, 2, depth_radius=1, dilation=3).shifts())
    assert shifts[0] == (-1, -3, -6)
    assert shifts[1] == (-1, -3, -3)
    assert shifts[5] == (-1, 0, -6)
    assert shifts[15] == (0, -3, -6)
    assert shifts[-1] == (1, 3, 6)
    assert len(shifts) == 3 * 3 * 5


@pytest.mark.parametrize("shift", range(-5, 6))
def test_overlap_holds_every_position_whose_neighbour_is_inside(shift: int) -> None:
    here, there = overlap(shift, 3)
    expected = [p for p in range(3) if 0 <= p + shift < 3]
    assert list(range(3))[here] == expected
    assert list(range(3))[there] == [p + shift for p in expected]


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("needed", [(True, True), (True, False), (False, True)])
def test_the_written_gradient_is_autograds(window: Window, needed: tuple[bool, bool]) -> None:
    torch.manual_seed(0)
    x, y = (torch.randn(2, 3, 5, 7, dtype=torch.float64, requires_grad=True) for _ in range(2))
    volume = correlation(x, y, window, 0.3)
    grad = torch.randn_like(volume)
    expected = torch.autograd.grad(volume, (x, y), grad)
    found = correlation_backward(grad, x.detach(), y.detach(), window, 0.3, needed)
    for gradient, truth, wanted in zip(found, expected, needed, strict=True):
        assert (gradient is not None) == wanted
        if gradient is not None:
            torch.testing.assert_close(gradient, truth, rtol=0, atol=1e-14)


def test_half_precision_is_summed_in_float32() -> None:
    """The sum of 196 products of 20 x 20 exceeds the range of float16; their mean does not."""
    x = torch.full((1, 196, 2, 3), 20.0, dtype=torch.float16)
    volume = correlation(x, x, Window(1, 1), 1 / 196)
    assert volume.dtype == torch.float16
    assert volume[0, 4].tolist() == [[400.0] * 3] * 2
