"""The three backward warps, forward and backward.

    image       # (B, C, H, W)
    flow        # (B, 2, H, W) px, x (right) then y (down), in pixels of `image`
    disparity   # (B, 1, H, W) px, added to x: negative for a right view
    motion      # one of the two

Conventions differ only at the border. An axis of n pixels is described at each position p by two neighbours, their
weights, and the derivative of the weights in p:

    replicate   neighbours floor(p), floor(p) + 1, clipped; weights from the unclipped fraction
    disparity   the same neighbours; weights from the clipped ones, so that they cancel outside; no second axis
    zero        neighbours trunc(p), trunc(p) + 1, clipped; weights from the clipped ones

Integer parts and clipping carry no gradient.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

Convention = Literal["replicate", "disparity", "zero"]
CONVENTIONS: tuple[Convention, ...] = ("replicate", "disparity", "zero")
_HALF = (torch.float16, torch.bfloat16)
# Fixed-point gradients: bits of a sum, and of the total weight that a pixel contributes (extrapolation: 3 per axis).
SUM_BITS = 62
WEIGHT_BITS = {"replicate": 0, "disparity": 0, "zero": 4}


class Axis(NamedTuple):
    """Location of a position between two pixels of an axis; all (B, H, W)."""

    low: Tensor  # int64
    high: Tensor  # int64
    weight_low: Tensor
    weight_high: Tensor
    slope: Tensor  # derivative of weight_high in the position; that of weight_low is its negative


def warp(image: Tensor, motion: Tensor, convention: Convention) -> Tensor:
    """Sample the image at pixel + motion, differentiably in both. Half precision is warped in float32."""
    dtype = image.dtype
    image, motion = _raised(image), _raised(motion)
    x, y = _axes(image, motion, convention)
    if convention == "disparity":
        own_row = _rows(image)
        warped = _gather(image, own_row, x.low) * _over_channels(x.weight_low)
        warped = warped + _gather(image, own_row, x.high) * _over_channels(x.weight_high)
    elif convention == "replicate":
        assert y is not None
        left, right = _over_channels(x.weight_low), _over_channels(x.weight_high)
        top = _gather(image, y.low, x.low) * left + _gather(image, y.low, x.high) * right
        bottom = _gather(image, y.high, x.low) * left + _gather(image, y.high, x.high) * right
        warped = top * _over_channels(y.weight_low) + bottom * _over_channels(y.weight_high)
    else:
        assert y is not None
        # The original's order of summation: top left, bottom left, top right, bottom right.
        warped = _gather(image, y.low, x.low) * _over_channels(x.weight_low * y.weight_low)
        warped = warped + _gather(image, y.high, x.low) * _over_channels(x.weight_low * y.weight_high)
        warped = warped + _gather(image, y.low, x.high) * _over_channels(x.weight_high * y.weight_low)
        warped = warped + _gather(image, y.high, x.high) * _over_channels(x.weight_high * y.weight_high)
    return warped.to(dtype)


def warp_backward(
    grad: Tensor, image: Tensor, motion: Tensor, convention: Convention, need_image: bool, need_motion: bool
) -> tuple[Tensor, Tensor]:
    """Compute the gradients of image and motion; an input whose gradient is not needed is returned unchanged.

    The image's gradient is a scatter. On the CPU it is summed in the order of the pixels; elsewhere, where threads add
    in any order, in fixed-point integers, whose sum does not depend on the order.
    """
    dtypes = image.dtype, motion.dtype
    grad, image, motion = _raised(grad), _raised(image), _raised(motion)
    x, y = _axes(image, motion, convention)
    rows: list[tuple[Tensor, Tensor, Tensor | None]]
    if y is None:
        rows = [(_rows(image), torch.ones_like(x.weight_low), None)]
    else:
        rows = [(y.low, y.weight_low, -y.slope), (y.high, y.weight_high, y.slope)]
    columns = ((x.low, x.weight_low, -x.slope), (x.high, x.weight_high, x.slope))
    corners = [
        (row, column, row_weight, column_weight, row_slope, column_slope)
        for row, row_weight, row_slope in rows
        for column, column_weight, column_slope in columns
    ]
    grad_image, grad_motion = image, motion
    if need_image:
        adder = (
            _FloatAdder(image) if image.device.type == "cpu" else _FixedPointAdder(image, grad, convention)
        )
        for row, column, row_weight, column_weight, _, _ in corners:
            adder.add(row, column, grad * _over_channels(row_weight * column_weight))
        grad_image = adder.total()
    if need_motion:
        along_x, along_y = torch.zeros_like(motion[:, 0]), torch.zeros_like(motion[:, 0])
        for row, column, row_weight, column_weight, row_slope, column_slope in corners:
            value = (grad * _gather(image, row, column)).sum(1)
            along_x += value * row_weight * column_slope
            if row_slope is not None:
                along_y += value * column_weight * row_slope
        grad_motion = torch.stack([along_x, along_y] if y is not None else [along_x], dim=1)
    return grad_image.to(dtypes[0]), grad_motion.to(dtypes[1])


def fixed_point_exponent(largest: Tensor, pixels: int, convention: Convention) -> Tensor:
    """Return the power of two, as an exponent, that scales contributions to integers whose sum cannot overflow.

    Args:
        largest: 0-dim, the largest absolute gradient.
        pixels: number of pixels of one image, all of which may sample the same one.
    """
    _, exponent = torch.frexp(largest.double())
    return SUM_BITS - WEIGHT_BITS[convention] - pixels.bit_length() - exponent


class _FloatAdder:
    """Accumulate contributions to pixels in floating point, in the order in which they are added."""

    def __init__(self, image: Tensor) -> None:
        self.shape = image.shape
        self.sums = image.new_zeros(image.shape[0], image.shape[1], image.shape[2] * image.shape[3])

    def add(self, row: Tensor, column: Tensor, value: Tensor) -> None:
        index = (row * self.shape[3] + column).flatten(1).unsqueeze(1).expand_as(self.sums)
        self.sums.scatter_add_(2, index, value.flatten(2))

    def total(self) -> Tensor:
        return self.sums.view(self.shape)


class _FixedPointAdder:
    """Accumulate contributions to pixels as integers, bit-identical in any order. Non-finite inputs give NaN."""

    def __init__(self, image: Tensor, grad: Tensor, convention: Convention) -> None:
        batch, channels, height, width = image.shape
        self.shape, self.dtype = image.shape, image.dtype
        self.sums = torch.zeros(batch * height * width, channels, dtype=torch.int64, device=image.device)
        largest = grad.abs().amax()
        exponent = fixed_point_exponent(
            torch.where(largest.isfinite(), largest, 1), height * width, convention
        )
        self.scale = torch.ldexp(torch.ones_like(largest, dtype=torch.float64), exponent)
        self.finite = largest.isfinite()
        self.first = torch.arange(batch, device=image.device).view(batch, 1, 1) * (height * width)

    def add(self, row: Tensor, column: Tensor, value: Tensor) -> None:
        self.finite = self.finite & value.isfinite().all()
        scaled = (value.double() * self.scale).nan_to_num(0.0, 0.0, 0.0).to(torch.int64)
        index = (self.first + row * self.shape[3] + column).flatten()
        self.sums.index_add_(0, index, scaled.permute(0, 2, 3, 1).reshape(-1, self.shape[1]))

    def total(self) -> Tensor:
        batch, channels, height, width = self.shape
        sums = torch.where(self.finite, self.sums.double() / self.scale, torch.nan).to(self.dtype)
        return sums.view(batch, height, width, channels).permute(0, 3, 1, 2)


def _raised(values: Tensor) -> Tensor:
    return values.float() if values.dtype in _HALF else values


def _over_channels(weight: Tensor) -> Tensor:
    return weight.unsqueeze(1)


def _rows(image: Tensor) -> Tensor:
    """(B, H, W) row of every pixel."""
    batch, _, height, width = image.shape
    return torch.arange(height, device=image.device).view(1, height, 1).expand(batch, height, width)


def _axes(image: Tensor, motion: Tensor, convention: Convention) -> tuple[Axis, Axis | None]:
    height, width = image.shape[-2:]
    grid_x = torch.arange(width, device=image.device, dtype=image.dtype).view(1, 1, width)
    grid_y = torch.arange(height, device=image.device, dtype=image.dtype).view(1, height, 1)
    x = _axis(grid_x + motion[:, 0], width - 1, convention)
    if convention == "disparity":
        # The original zeroes the last row: the weights of its two rows cancel there.
        last = grid_y == height - 1
        weights = (w.masked_fill(last, 0.0) for w in (x.weight_low, x.weight_high, x.slope))
        return Axis(x.low, x.high, *weights), None
    return x, _axis(grid_y + motion[:, 1], height - 1, convention)


def _axis(position: Tensor, last: int, convention: Convention) -> Axis:
    whole = torch.trunc(position.detach()) if convention == "zero" else torch.floor(position.detach())
    # Clip in floating point first: int64 of a huge or non-finite position is undefined.
    first = torch.nan_to_num(whole).clamp(-2, last + 1).long()
    low, high = first.clamp(0, last), (first + 1).clamp(0, last)
    if convention == "replicate":
        fraction = position - whole
        return Axis(low, high, 1 - fraction, fraction, torch.ones_like(fraction))
    inside = high > low
    zero = torch.zeros_like(position)
    weight_low = torch.where(inside, high - position, zero)
    weight_high = torch.where(inside, position - low, zero)
    return Axis(low, high, weight_low, weight_high, inside.to(position.dtype))


def _gather(image: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """image[b, :, row[b], column[b]] -> (B, C, H, W); row and column are (B, H, W) int64 inside the image."""
    batch, channels, height, width = image.shape
    index = (row * width + column).reshape(batch, 1, -1).expand(batch, channels, -1)
    return (
        image.reshape(batch, channels, height * width).gather(2, index).view(batch, channels, *row.shape[-2:])
    )
