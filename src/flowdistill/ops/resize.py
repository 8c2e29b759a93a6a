"""Linear resizing of images and motions, in the two conventions of the published methods.

    image   # (B, C, H, W)
    flow    # (B, 2, H, W) px, x then y

Forward is PyTorch's `interpolate`; backward is our own, since PyTorch's uses atomics on a GPU, which add in any order.
Half precision is converted to float32, with or without autocast: most resized maps are motions. Area averages, which
labels need, are in `area.py`.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from flowdistill.ops.precision import float32_island
from flowdistill.ops.taps import Taps, kept_per_device, sum_of_taps

Size = tuple[int, int]  # rows, columns


@float32_island
def resize_legacy_bilinear(image: Tensor, size: Size) -> Tensor:
    """Resize bilinearly in TensorFlow-1's legacy convention: (B, C, H, W) -> (B, C, *size).

    Source position = output index * (in / out): no half-pixel offset, corners not aligned, the right and
    bottom neighbours are clipped. Values are not scaled.

    Source: DWARF (AAAI 2020), which resizes every motion to image size this way.

    Examples:
        >>> import torch
        >>> from flowdistill.ops.resize import resize_legacy_bilinear
        >>> resize_legacy_bilinear(torch.tensor([[[[0.0, 4.0]]]]), (1, 4))
        tensor([[[[0., 2., 4., 4.]]]])
    """
    return _resize(image, size, corners=False)


@float32_island
def resize_flow(flow: Tensor, size: Size) -> Tensor:
    """Resize a flow and its values: (B, 2, H, W) -> (B, 2, *size), in pixels of the new size.

    Bilinear with aligned corners (source = index * (in - 1) / (out - 1)); x is multiplied by
    new width / old width and y by new height / old height.

    Source: DDFlow (AAAI 2019), between pyramid levels and up to the image.

    Examples:
        >>> import torch
        >>> from flowdistill.ops.resize import resize_flow
        >>> flow = resize_flow(torch.ones(1, 2, 2, 3), (4, 6))
        >>> flow.shape, round(flow.mean().item(), 4)  # one pixel of the old size is two of the new
        (torch.Size([1, 2, 4, 6]), 2.0)
    """
    height, width = flow.shape[-2:]
    if (height, width) == tuple(size):
        return flow
    return scale_flow(_resize(flow, size, corners=True), size[1] / width, size[0] / height)


@float32_island
def scale_flow(flow: Tensor, x: float, y: float) -> Tensor:
    """Multiply the x and y of a flow (B, 2, H, W).

    Examples:
        >>> import torch
        >>> from flowdistill.ops.resize import scale_flow
        >>> scale_flow(torch.ones(1, 2, 1, 1), 2.0, 3.0).flatten()
        tensor([2., 3.])
    """
    # Python numbers, not a tensor of factors, which would be copied to the device in each call.
    return flow * x if x == y else torch.cat([flow[:, :1] * x, flow[:, 1:] * y], dim=1)


def _resize(image: Tensor, size: Size, corners: bool) -> Tensor:
    if tuple(image.shape[-2:]) == tuple(size):
        return image
    if torch.compiler.is_exporting():
        return _interpolate(image, size, corners)  # the size may be symbolic
    resized: Tensor = _Linear.apply(image, (int(size[0]), int(size[1])), corners)
    return resized


def _interpolate(image: Tensor, size: Size, corners: bool) -> Tensor:
    if corners:
        return F.interpolate(image, size, mode="bilinear", align_corners=True)
    # One replicated row and column turn the legacy rule into the aligned-corners rule on sizes + 1:
    # index * in / out == index * ((in + 1) - 1) / ((out + 1) - 1).
    padded = F.pad(image, (0, 1, 0, 1), mode="replicate")
    larger = F.interpolate(padded, (size[0] + 1, size[1] + 1), mode="bilinear", align_corners=True)
    return larger[..., : size[0], : size[1]].contiguous()


class _Linear(torch.autograd.Function):
    """Bilinear resize with a gathered gradient: each input pixel sums, in a fixed order, the outputs that read it."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, size: Size, corners: bool) -> Tensor:
        ctx.source, ctx.corners = (image.shape[-2], image.shape[-1]), corners
        return _interpolate(image, size, corners)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        for axis in (-2, -1):  # rows first: selecting whole rows is four times as fast on a CPU
            grad = sum_of_taps(grad, _readers(grad, ctx.source[axis], grad.shape[axis], ctx.corners), axis)
        return grad, None, None


@kept_per_device
def _readers(length: int, target: int, corners: bool, dtype: torch.dtype, device: torch.device) -> Taps:
    """Return the outputs, out of `target`, that read each of `length` inputs of an axis, and their weights."""
    step, steps = (length - 1, target - 1) if corners else (length, target)  # inputs per this many outputs
    if steps == 0:
        step = 0  # a single output reads the first input
    inputs = torch.arange(length, device=device).view(-1, 1)
    if step == 0:
        first, count = torch.zeros_like(inputs), target
    else:
        # Output j lies at j * step / steps; those strictly between inputs i - 1 and i + 1 read input i.
        first = ((inputs - 1) * steps).div(step, rounding_mode="floor").clamp_min(0)
        count = -(-2 * steps // step) + 1
    outputs = first + torch.arange(count, device=device)
    # As `interpolate` computes it, in the map's own precision. Beyond the last input, only that one is read.
    position = (outputs.to(dtype) * (step / steps if step else 0.0)).clamp_max(length - 1)
    weight = (1 - (position - inputs).abs()).clamp_min(0).masked_fill(outputs >= target, 0)
    return Taps(outputs.clamp_max(target - 1), weight)
