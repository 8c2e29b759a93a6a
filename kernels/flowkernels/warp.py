"""Backward warps: look an image up where a motion says that its pixels went, in plain PyTorch.

Three published warps differ only at the border, and there they differ on purpose. Shapes:

    image       # (B, C, H, W)
    flow        # (B, 2, H, W) px, x (right) then y (down), in pixels of `image`
    disparity   # (B, 1, H, W) px, added to x: negative for a right view

Half-precision inputs are warped in float32 and cast back: bfloat16 cannot tell neighbouring columns apart from
256 on. Integer coordinates are pixel centres. Gradients reach the image and, through the interpolation weights, the
motion; integer parts and clipping of indices carry none.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor

_HALF = (torch.float16, torch.bfloat16)


def _pixel_grid(image: Tensor) -> tuple[Tensor, Tensor]:
    """x (1, 1, W) and y (1, H, 1) of every pixel, in `image`'s dtype."""
    height, width = image.shape[-2:]
    x = torch.arange(width, device=image.device, dtype=image.dtype).view(1, 1, width)
    y = torch.arange(height, device=image.device, dtype=image.dtype).view(1, height, 1)
    return x, y


def _gather(image: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """image[b, :, row[b], column[b]] -> (B, C, H, W); row and column are (B, H, W) int64 inside the image."""
    batch, channels, height, width = image.shape
    index = (row * width + column).reshape(batch, 1, -1).expand(batch, channels, -1)
    return (
        image.reshape(batch, channels, height * width).gather(2, index).view(batch, channels, *row.shape[-2:])
    )


def _in_float32(warp: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """Run a warp of half-precision tensors in float32; the result has the image's dtype."""

    @functools.wraps(warp)
    def run(image: Tensor, motion: Tensor) -> Tensor:
        if image.dtype in _HALF or motion.dtype in _HALF:
            return warp(image.float(), motion.float()).to(image.dtype)
        return warp(image, motion)

    return run


def _check(image: Tensor, motion: Tensor, channels: int) -> None:
    expected = (image.shape[0], channels, *image.shape[-2:])
    if tuple(motion.shape) != expected:
        raise ValueError(
            f"warp: an image of shape {tuple(image.shape)} needs a motion of {expected}, got {tuple(motion.shape)}"
        )


def _indices(position: Tensor, last: int) -> tuple[Tensor, Tensor, Tensor]:
    """Floor of a position and its two neighbours' indices clipped to [0, last]."""
    whole = torch.floor(position.detach())
    # Clip in floating point first: int64 of a huge or non-finite position is undefined.
    low = torch.nan_to_num(whole).clamp(-1, last).long()
    return whole, low.clamp(0, last), (low + 1).clamp(0, last)


@_in_float32
def warp_replicate(image: Tensor, flow: Tensor) -> Tensor:
    """Bilinear look-up at pixel + flow; outside, the border pixel is repeated.

    Args:
        image: (B, C, H, W).
        flow: (B, 2, H, W) px of `image`.

    Returns:
        (B, C, H, W).

    Raises:
        ValueError: the shapes do not fit.

    Source: the flow warp of DWARF (AAAI 2020): neighbours clipped, weights from the unclipped fraction.
    """
    _check(image, flow, 2)
    height, width = image.shape[-2:]
    grid_x, grid_y = _pixel_grid(image)
    position_x, position_y = grid_x + flow[:, 0], grid_y + flow[:, 1]
    floor_x, x0, x1 = _indices(position_x, width - 1)
    floor_y, y0, y1 = _indices(position_y, height - 1)
    right = (position_x - floor_x).unsqueeze(1)  # (B, 1, H, W) weight of the right neighbour
    lower = (position_y - floor_y).unsqueeze(1)
    top = _gather(image, y0, x0) * (1 - right) + _gather(image, y0, x1) * right
    bottom = _gather(image, y1, x0) * (1 - right) + _gather(image, y1, x1) * right
    return top * (1 - lower) + bottom * lower


@_in_float32
def warp_disparity(image: Tensor, disparity: Tensor) -> Tensor:
    """Linear look-up along the row at x + disparity, zero for x < 0 and x >= W - 1, last row always zero.

    Args:
        image: (B, C, H, W), the right view or its features.
        disparity: (B, 1, H, W) px of `image`, **negative** where the point lies left of x in the right view.

    Returns:
        (B, C, H, W). With zero disparity the last column is zero too.

    Raises:
        ValueError: the shapes do not fit.

    Source: the 1-D warp of DWARF (AAAI 2020): weights are taken from the clipped neighbours, so they cancel
    outside; the same happens to the last row.
    """
    _check(image, disparity, 1)
    height, width = image.shape[-2:]
    grid_x, _ = _pixel_grid(image)
    position = grid_x + disparity[:, 0]
    _, x0, x1 = _indices(position, width - 1)
    index = torch.stack((x0, x1), dim=1)  # (B, 2, H, W)
    left = index[:, :1] if image.shape[1] == 1 else index[:, :1].expand_as(image)
    right = index[:, 1:] if image.shape[1] == 1 else index[:, 1:].expand_as(image)
    weight_left = torch.where(x1 > x0, x1 - position, torch.zeros_like(position)).unsqueeze(1)
    weight_right = torch.where(x1 > x0, position - x0, torch.zeros_like(position)).unsqueeze(1)
    warped = image.gather(3, left) * weight_left + image.gather(3, right) * weight_right
    last_row = torch.arange(height, device=image.device).view(1, 1, height, 1) == height - 1
    return warped.masked_fill(last_row, 0.0)


@_in_float32
def warp_zero(image: Tensor, flow: Tensor) -> Tensor:
    """Bilinear look-up at pixel + flow; zero outside, extrapolated in (-1, 0).

    Per axis, with p the position and n the size: for p in (-1, 0) the line through pixels 0 and 1 is
    continued; for p <= -1 and p >= n - 1 the result is zero, so with zero flow the last row and column vanish.

    Args:
        image: (B, C, H, W).
        flow: (B, 2, H, W) px of `image`.

    Returns:
        (B, C, H, W).

    Raises:
        ValueError: the shapes do not fit.

    Source: the warp of DDFlow (AAAI 2019), which truncates towards zero and takes weights from the clipped
    neighbours. Where they cancel we give exact zeros (the original leaves rounding noise there).
    """
    _check(image, flow, 2)
    height, width = image.shape[-2:]
    grid_x, grid_y = _pixel_grid(image)
    x0, x1, left, right = _truncated(grid_x + flow[:, 0], width - 1)
    y0, y1, upper, lower = _truncated(grid_y + flow[:, 1], height - 1)
    # The original's order of summation: top left, bottom left, top right, bottom right.
    warped = _gather(image, y0, x0) * (left * upper) + _gather(image, y1, x0) * (left * lower)
    warped = warped + _gather(image, y0, x1) * (right * upper)
    return warped + _gather(image, y1, x1) * (right * lower)


def _truncated(position: Tensor, last: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """DDFlow's neighbours (B, H, W) and weights (B, 1, H, W) along one axis; weights 0 where they cancel."""
    whole = torch.nan_to_num(torch.trunc(position.detach())).clamp(-2, last + 1).long()
    low, high = whole.clamp(0, last), (whole + 1).clamp(0, last)
    inside = high > low
    zero = torch.zeros_like(position)
    weight_low = torch.where(inside, high - position, zero).unsqueeze(1)
    weight_high = torch.where(inside, position - low, zero).unsqueeze(1)
    return low, high, weight_low, weight_high
