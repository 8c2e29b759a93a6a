"""Correlations between two feature maps over a window of shifts, in plain PyTorch.

These are the definitions that every faster kernel is held to. Shapes:

    x, y     # (B, C, H, W)   features; `y` is looked up at the shifted position, zeros outside
    volume   # (B, S, H, W)   one channel a shift

Shift order: 1-D channel k is the x shift k - r. 2-D channel k is the y shift k // (2r+1) - r (slow) and
the x shift k % (2r+1) - r (fast).

Forward and backward are loops over shifts with reused buffers and without atomics: on one device and one
software version two runs give the same bits.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

Reduction = Literal["mean", "sum"]


class _ShiftedProducts(torch.autograd.Function):
    """volume[:, k] = scale * sum over channels of x * (y shifted by the k-th shift)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, radius_y: int, radius_x: int, scale: float) -> Tensor:
        ctx.save_for_backward(x, y)
        ctx.radii, ctx.scale = (radius_y, radius_x), scale
        height, width = x.shape[-2:]
        padded = F.pad(y, (radius_x, radius_x, radius_y, radius_y))
        shifts = [(i, j) for i in range(2 * radius_y + 1) for j in range(2 * radius_x + 1)]
        volume = x.new_empty(x.shape[0], len(shifts), height, width)
        product = torch.empty_like(x, memory_format=torch.contiguous_format)
        for k, (i, j) in enumerate(shifts):
            torch.mul(x, padded[:, :, i : i + height, j : j + width], out=product)
            torch.sum(product, dim=1, out=volume[:, k])
        return volume.mul_(scale) if scale != 1.0 else volume

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_volume: Tensor) -> tuple[Tensor | None, ...]:
        x, y = ctx.saved_tensors
        radius_y, radius_x = ctx.radii
        height, width = x.shape[-2:]
        need_x, need_y = ctx.needs_input_grad[:2]
        grad = grad_volume * ctx.scale if ctx.scale != 1.0 else grad_volume
        padded = F.pad(y, (radius_x, radius_x, radius_y, radius_y))
        grad_x = torch.zeros_like(x, memory_format=torch.contiguous_format) if need_x else None
        grad_padded = torch.zeros_like(padded) if need_y else None
        shifts = [(i, j) for i in range(2 * radius_y + 1) for j in range(2 * radius_x + 1)]
        for k, (i, j) in enumerate(shifts):
            weight = grad[:, k : k + 1]
            if grad_x is not None:
                grad_x.addcmul_(weight, padded[:, :, i : i + height, j : j + width])
            if grad_padded is not None:
                grad_padded[:, :, i : i + height, j : j + width].addcmul_(weight, x)
        grad_y = None
        if grad_padded is not None:
            grad_y = grad_padded[:, :, radius_y : radius_y + height, radius_x : radius_x + width]
        return grad_x, grad_y, None, None, None


def _correlate(x: Tensor, y: Tensor, radius_y: int, radius_x: int, reduction: Reduction) -> Tensor:
    if x.shape != y.shape or x.dim() != 4:
        raise ValueError(
            f"correlation needs two feature maps of one shape (B, C, H, W), got {tuple(x.shape)} and {tuple(y.shape)}"
        )
    scale = 1.0 / x.shape[1] if reduction == "mean" else 1.0
    volume: Tensor = _ShiftedProducts.apply(x, y, radius_y, radius_x, scale)
    return volume


def correlation_1d(x: Tensor, y: Tensor, radius: int = 4, reduction: Reduction = "mean") -> Tensor:
    """Correlation along rows, for rectified stereo: (B, C, H, W) twice -> (B, 2r+1, H, W).

    Args:
        x: features of the reference view, (B, C, H, W).
        y: features of the other view, same shape; zeros outside.
        radius: largest x shift; channel k holds the shift k - radius.
        reduction: over channels; DWARF takes the mean.

    Raises:
        ValueError: the shapes differ.

    Source: DWARF (Aleotti et al., AAAI 2020), section "Scene flow estimation".
    """
    return _correlate(x, y, 0, radius, reduction)


def correlation_2d(x: Tensor, y: Tensor, radius: int = 4, reduction: Reduction = "mean") -> Tensor:
    """Correlation over a square window: (B, C, H, W) twice -> (B, (2r+1)^2, H, W).

    Args:
        x: features of the reference image, (B, C, H, W).
        y: features of the other image, same shape; zeros outside.
        radius: largest shift in y (slow) and x (fast).
        reduction: over channels; DWARF takes the mean, DDFlow the sum.

    Raises:
        ValueError: the shapes differ.

    Source: PWC-Net's cost volume, as used by DWARF (AAAI 2020) and DDFlow (AAAI 2019).
    """
    return _correlate(x, y, radius, radius, reduction)


def correlation_3d(x: Tensor, y: Tensor, radius: int = 4, depth_radius: int = 0) -> Tensor:
    """DWARF's correlation of two 1-D volumes, over y, x and the disparity channel.

    Args:
        x: 1-D volume at t0, (B, C, H, W), C the disparity shifts.
        y: 1-D volume at t1, same shape.
        radius: largest shift in y and x.
        depth_radius: largest shift d over channels; y's channel c + d stands beside x's channel c, zeros
            outside. The mean runs over all C channels, those zeros included.

    Returns:
        (B, (2*depth_radius+1) * (2*radius+1)^2, H, W), depth shift slowest.

    Raises:
        ValueError: the shapes differ.

    Source: DWARF (AAAI 2020), 3-D correlation layer; the published network has depth_radius 0.
    """
    channels = y.shape[1]
    volumes = []
    for depth in range(-depth_radius, depth_radius + 1):
        shifted = y if depth == 0 else F.pad(y, (0, 0, 0, 0, max(-depth, 0), max(depth, 0)))
        if depth != 0:
            shifted = shifted.narrow(1, max(depth, 0), channels)
        volumes.append(_correlate(x, shifted, radius, radius, "mean"))
    return volumes[0] if len(volumes) == 1 else torch.cat(volumes, dim=1)
