"""Correlation of two feature maps over a window of shifts: the specification, in plain PyTorch.

Shapes:

    x, y     # (B, C, H, W)         features; y is zero outside its map
    volume   # (B, S, H', W')       one channel per shift; H' = ceil(H / stride), W' likewise

The centre of output pixel (i, j) is x's pixel (i * stride, j * stride). Channel s holds the shift (d, v, u), d
slowest and u fastest, each from -radius to +radius:

    volume[b, s, i, j] = scale * sum over c of x[b, c, p, q] * y[b, c + d, p + v * dilation, q + u * dilation]

where (p, q) is the centre. The sum runs over the channels c for which y has a channel c + d.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

HALF = (torch.float16, torch.bfloat16)


class Window(NamedTuple):
    """The shifts between the two maps, and the pixels at which they are evaluated.

    Args:
        radius_y, radius_x: largest shifts, in steps of `dilation` pixels.
        depth_radius: largest shift over channels.
        stride: every stride-th pixel of x, in both directions, is a centre.
        dilation: distance between neighbouring shifts in pixels.
    """

    radius_y: int
    radius_x: int
    depth_radius: int = 0
    stride: int = 1
    dilation: int = 1

    @property
    def counts(self) -> tuple[int, int, int]:
        """Number of shifts over channels, in y and in x; their product is the volume's channel count."""
        return 2 * self.depth_radius + 1, 2 * self.radius_y + 1, 2 * self.radius_x + 1

    @property
    def reach(self) -> tuple[int, int]:
        """Largest shifts in y and x, in pixels."""
        return self.radius_y * self.dilation, self.radius_x * self.dilation

    def depths(self) -> range:
        return range(-self.depth_radius, self.depth_radius + 1)

    def shifts(self) -> Iterator[tuple[int, int, int]]:
        """Yield (channels, y pixels, x pixels) of every shift, in the volume's order."""
        for depth in self.depths():
            for v in range(-self.radius_y, self.radius_y + 1):
                for u in range(-self.radius_x, self.radius_x + 1):
                    yield depth, v * self.dilation, u * self.dilation

    def volume_shape(self, x: Tensor) -> tuple[int, int, int, int]:
        """Return the shape of the volume for features x."""
        depths, rows, columns = self.counts
        height, width = (-(-size // self.stride) for size in x.shape[-2:])
        return x.shape[0], depths * rows * columns, height, width


def overlap(shift: int, size: int) -> tuple[slice, slice]:
    """Return the p in [0, size) for which p + shift is inside too, and these p + shift; both may be empty."""
    first, last = max(-shift, 0), size - max(shift, 0)
    if first >= last:
        return slice(0, 0), slice(0, 0)
    return slice(first, last), slice(first + shift, last + shift)


def correlation(
    x: Tensor, y: Tensor, window: Window, scale: float, negative_slope: float | None = None
) -> Tensor:
    """Compute the volume of x and y, (B, S, H', W'), through a leaky ReLU if `negative_slope` is given.

    Half precision is computed in float32 and rounded at the end.
    """
    dtype = x.dtype
    if dtype in HALF:
        x, y = x.float(), y.float()
    height, width = x.shape[-2:]
    reach_y, reach_x = window.reach
    step = window.stride
    centres = x[:, :, ::step, ::step]
    padded = F.pad(y, (reach_x, reach_x, reach_y, reach_y))
    slices = []
    for depth, v, u in window.shifts():
        of_x, of_y = overlap(depth, x.shape[1])
        top, left = reach_y + v, reach_x + u
        shifted = padded[:, of_y, top : top + height : step, left : left + width : step]
        slices.append((centres[:, of_x] * shifted).sum(1))
    volume = torch.stack(slices, 1) * scale
    if negative_slope is not None:
        volume = F.leaky_relu(volume, negative_slope)
    return volume.to(dtype)


def correlation_backward(
    grad: Tensor, x: Tensor, y: Tensor, window: Window, scale: float, needed: tuple[bool, bool]
) -> tuple[Tensor | None, Tensor | None]:
    """Compute the gradients of x and y, (B, C, H, W) each, or None where not needed.

    `correlation` differentiated by hand: an operator's implementation runs below autograd.

    Args:
        grad: gradient of the volume before its leaky ReLU, (B, S, H', W').
        needed: whether the gradients of x and y are needed.
    """
    dtype = x.dtype
    if dtype in HALF:
        grad, x, y = grad.float(), x.float(), y.float()
    height, width = x.shape[-2:]
    reach_y, reach_x = window.reach
    step = window.stride
    padded = F.pad(y, (reach_x, reach_x, reach_y, reach_y))
    grad_x = torch.zeros_like(x, memory_format=torch.contiguous_format) if needed[0] else None
    grad_padded = torch.zeros_like(padded, memory_format=torch.contiguous_format) if needed[1] else None
    for k, (depth, v, u) in enumerate(window.shifts()):
        of_x, of_y = overlap(depth, x.shape[1])
        top, left = reach_y + v, reach_x + u
        there = (slice(None), of_y, slice(top, top + height, step), slice(left, left + width, step))
        weight = grad[:, k : k + 1]
        if grad_x is not None:
            grad_x[:, of_x, ::step, ::step].addcmul_(weight, padded[there], value=scale)
        if grad_padded is not None:
            grad_padded[there].addcmul_(weight, x[:, of_x, ::step, ::step], value=scale)
    grad_y = None
    if grad_padded is not None:
        grad_y = grad_padded[:, :, reach_y : reach_y + height, reach_x : reach_x + width].to(dtype)
        grad_y = grad_y.contiguous()
    return None if grad_x is None else grad_x.to(dtype), grad_y


def leaky_relu_backward(grad: Tensor, output: Tensor, negative_slope: float) -> Tensor:
    """Return the gradient before a leaky ReLU of positive slope, whose output has the sign of its input."""
    return torch.where(output > 0, grad, grad * negative_slope)
