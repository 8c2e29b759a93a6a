"""The three published warps against the originals' numbers, and their behaviour at the border."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import reference
from flowkernels import warp_disparity, warp_replicate, warp_zero

CASES = [
    ("dwarf_ops", "image_warp", "flow", warp_replicate),
    ("dwarf_ops", "generate_image_left", "disp", warp_disparity),
    ("ddflow_ops", "tf_warp", "flow", warp_zero),
]


@pytest.mark.parametrize(("file", "name", "motion_key", "warp"), CASES)
def test_values_and_gradients_match_the_reference(
    file: str, name: str, motion_key: str, warp: Callable[[Tensor, Tensor], Tensor]
) -> None:
    image = reference.tensor(file, f"{name}__img").requires_grad_()
    motion = reference.tensor(file, f"{name}__{motion_key}").requires_grad_()
    out = warp(image, motion)
    assert reference.relative_error(out, reference.tensor(file, f"{name}__out")) < 1e-5
    (out * reference.tensor(file, f"{name}__weight")).sum().backward()
    assert reference.relative_error(image.grad, reference.tensor(file, f"{name}__grad_img")) < 1e-5
    assert reference.relative_error(motion.grad, reference.tensor(file, f"{name}__grad_{motion_key}")) < 1e-5


def test_zero_motion_shows_each_border_rule() -> None:
    image = reference.tensor("ddflow_ops", "tf_warp_zero_flow__img")
    flow = reference.tensor("ddflow_ops", "tf_warp_zero_flow__flow")
    torch.testing.assert_close(
        warp_zero(image, flow), reference.tensor("ddflow_ops", "tf_warp_zero_flow__out"), rtol=0, atol=1e-7
    )
    stereo = reference.tensor("dwarf_ops", "generate_image_left_zero_disp__img")
    disparity = reference.tensor("dwarf_ops", "generate_image_left_zero_disp__disp")
    warped = warp_disparity(stereo, disparity)
    expected = reference.tensor("dwarf_ops", "generate_image_left_zero_disp__out")
    torch.testing.assert_close(warped, expected, rtol=0, atol=1e-7)
    assert warped[..., -1].abs().max() == 0
    assert warped[..., -1, :].abs().max() == 0
    torch.testing.assert_close(warp_replicate(image, flow), image, rtol=0, atol=0)


@pytest.mark.parametrize("warp", [warp_replicate, warp_zero])
def test_a_linear_image_moves_by_exactly_the_flow(warp: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Bilinear interpolation is exact on a plane, so the warped plane is the plane plus slope times flow."""
    torch.manual_seed(0)
    y, x = torch.meshgrid(torch.arange(9.0), torch.arange(11.0), indexing="ij")
    plane = (2 * x - 3 * y).to(torch.float64).expand(1, 1, 9, 11)
    flow = torch.rand(1, 2, 9, 11, dtype=torch.float64) * 1.9 - 0.95
    warped = warp(plane, flow)
    expected = plane + 2 * flow[:, :1] - 3 * flow[:, 1:]
    inside = (slice(None), slice(None), slice(1, -2), slice(1, -2))
    torch.testing.assert_close(warped[inside], expected[inside], rtol=0, atol=1e-12)


@pytest.mark.parametrize(("channels", "warp"), [(2, warp_replicate), (1, warp_disparity), (2, warp_zero)])
def test_gradients_pass_gradcheck(channels: int, warp: Callable[[Tensor, Tensor], Tensor]) -> None:
    torch.manual_seed(1)
    image = torch.randn(1, 2, 4, 5, dtype=torch.float64, requires_grad=True)
    # Positions a quarter and more away from whole pixels, where the interpolation has kinks.
    motion = torch.randint(-4, 4, (1, channels, 4, 5)).double() + 0.25 + 0.5 * torch.rand(1, channels, 4, 5)
    assert torch.autograd.gradcheck(warp, (image, motion.double().requires_grad_()))


@pytest.mark.parametrize(("channels", "warp"), [(2, warp_replicate), (1, warp_disparity), (2, warp_zero)])
def test_far_and_non_finite_motion_does_not_crash(
    channels: int, warp: Callable[[Tensor, Tensor], Tensor]
) -> None:
    image = torch.ones(1, 1, 4, 5)
    motion = torch.full((1, channels, 4, 5), 1e30)
    motion[..., 0] = -1e30
    warped = warp(image, motion)
    assert torch.isfinite(warped).all() or warp is warp_replicate
    motion[..., 1, 1] = torch.nan
    assert torch.isnan(warp(image, motion)[..., 1, 1]).all() or warp is not warp_replicate


def test_shapes_that_do_not_fit_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"needs a motion of \(1, 2, 4, 5\), got \(1, 1, 4, 5\)"):
        warp_zero(torch.zeros(1, 3, 4, 5), torch.zeros(1, 1, 4, 5))


@pytest.mark.parametrize(("channels", "warp"), [(2, warp_replicate), (1, warp_disparity), (2, warp_zero)])
def test_half_precision_keeps_columns_apart(channels: int, warp: Callable[[Tensor, Tensor], Tensor]) -> None:
    """In bfloat16, x = 900 and x = 901 are the same number; the warp must not use it for positions."""
    ramp = (torch.arange(1242.0) % 7).expand(1, 1, 4, 1242).to(torch.bfloat16)
    motion = torch.full((1, channels, 4, 1242), 0.5, dtype=torch.bfloat16)
    if channels == 2:
        motion[:, 1] = 0
    warped = warp(ramp, motion)
    assert warped.dtype == torch.bfloat16
    expected = warp(ramp.float(), motion.float())
    torch.testing.assert_close(warped.float(), expected, rtol=0.01, atol=0.01)
