"""Tables that stay on the device: created once, never mixed with those of a trace, and usable for training."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from flowdistill.ops.area import area_average
from flowdistill.ops.resize import resize_flow
from flowdistill.ops.taps import KEPT, Taps, kept_per_device, sum_of_taps


def resized(flow: Tensor) -> tuple[Tensor, Tensor]:
    """Return a resized flow and the gradient of its sum of squares."""
    flow = flow.detach().requires_grad_()
    out = resize_flow(flow, (11, 17))
    return out.detach(), torch.autograd.grad(out.square().sum(), flow)[0]


def test_a_table_is_made_once_for_each_size_and_dtype() -> None:
    made = []

    @kept_per_device
    def table(cells: int, dtype: torch.dtype, device: torch.device) -> Taps:
        made.append((cells, dtype))
        return Taps(torch.arange(cells).view(-1, 1), torch.ones(cells, 1, dtype=dtype))

    x = torch.rand(1, 1, 3, 4)
    for like in (x, x, x.double(), x.double()):
        assert torch.equal(sum_of_taps(like, table(like, 4), -1), like)
    assert made == [(4, torch.float32), (4, torch.float64)]
    for cells in range(KEPT + 8):
        table(x, cells)
    table(x, KEPT + 7)
    assert len(made) == 2 + KEPT + 8 - 1  # 4 was cached already; the oldest ones were evicted


@pytest.mark.parametrize("first", ["fake", "real"])
def test_traces_and_real_tensors_do_not_meet(first: str) -> None:
    torch.manual_seed(0)
    height = 5 if first == "fake" else 6  # tables of a size that no other test has made
    flow = torch.rand(1, 2, height, 9)

    def fake() -> None:
        with FakeTensorMode() as mode:
            values, gradient = resized(mode.from_tensor(flow))
            assert values.shape == (1, 2, 11, 17)
            assert gradient.shape == flow.shape
            assert area_average(mode.from_tensor(flow), 1).shape == (1, 2, height // 2, 4)

    def real() -> list[Tensor]:
        return [*resized(flow), area_average(flow, 1)]

    if first == "fake":
        fake()
    found = real()
    fake()
    exact = flow.double()
    for value, expected in zip(found, [*resized(exact), area_average(exact, 1)], strict=True):
        assert type(value) is Tensor
        torch.testing.assert_close(value.double(), expected, rtol=1e-5, atol=1e-5)


def test_the_meta_device_gives_shapes() -> None:
    flow = torch.rand(1, 2, 5, 9, device="meta")
    values, gradient = resized(flow)
    assert (values.shape, gradient.shape) == ((1, 2, 11, 17), flow.shape)
    assert values.device.type == gradient.device.type == "meta"
    assert area_average(flow, 1, "leave_out").shape == (1, 2, 2, 4)


def test_a_level_without_a_pixel_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"7x13 pixels: no pixel is left at levels \[3\]"):
        area_average(torch.rand(1, 1, 7, 13), 3)
