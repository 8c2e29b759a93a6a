"""The correlation of two feature maps over a window of shifts, forward and backward.

    x, y            # (B, C, H, W)   features; y is looked up at the shifted position, zeros outside
    volume          # (B, S, h, w)   one channel per shift; h = ceil(H / stride), w = ceil(W / stride)

Shift order, slowest first: channels (depth), rows, columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Window(NamedTuple):
    """Which shifts, and where they are looked up."""

    radius_y: int
    radius_x: int
    depth: int = 0  # largest shift over channels
    stride: int = 1  # every stride-th row and column of x is a centre
    dilation: int = 1  # px between neighbouring shifts

    @property
    def shifts(self) -> int:
        return (2 * self.depth + 1) * (2 * self.radius_y + 1) * (2 * self.radius_x + 1)

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of the volume."""
        return -(-height // self.stride), -(-width // self.stride)


def correlation(x: Tensor, y: Tensor, window: Window, scale: float, slope: float) -> Tensor:
    """volume[k] = leaky(scale * sum over channels of x * (y moved by the k-th shift)), slope 1 for no leaky ReLU."""
    dtype = x.dtype
    x, padded = _centres(_raised(x), window), _padded(_raised(y), window)
    volume = torch.stack([(x * moved).sum(1) for moved in _moved(padded, x, window)], dim=1) * scale
    return (volume if slope == 1.0 else F.leaky_relu(volume, slope)).to(dtype)


def correlation_backward(
    grad: Tensor, x: Tensor, y: Tensor, volume: Tensor | None, window: Window, scale: float, slope: float
) -> tuple[Tensor, Tensor]:
    """The gradients of x and y: sums in the order of the shifts, without atomics on any device.

    `volume` is the output, needed where there is a leaky ReLU: its sign is that of the sums.
    """
    dtype = x.dtype
    weights = _raised(grad) * scale
    if volume is not None:
        weights = torch.where(volume < 0, weights * slope, weights)
    x, padded = _raised(x), _padded(_raised(y), window)
    centres = _centres(x, window)
    grad_x, grad_padded = torch.zeros_like(x), torch.zeros_like(padded)
    grad_centres = _centres(grad_x, window)  # a view
    shifted = zip(_moved(padded, centres, window), _moved(grad_padded, centres, window), strict=True)
    for k, (moved, grad_moved) in enumerate(shifted):
        weight = weights[:, k : k + 1]
        grad_centres.add_(weight * moved)
        grad_moved.add_(weight * centres)
    depth, rows, columns = _margins(window)
    grad_y = grad_padded[
        :, depth : depth + x.shape[1], rows : rows + x.shape[2], columns : columns + x.shape[3]
    ]
    return grad_x.to(dtype), grad_y.to(dtype)


def _raised(features: Tensor) -> Tensor:
    half = features.dtype in (torch.float16, torch.bfloat16)
    return (features.float() if half else features).contiguous()


def _margins(window: Window) -> tuple[int, int, int]:
    return window.depth, window.radius_y * window.dilation, window.radius_x * window.dilation


def _padded(y: Tensor, window: Window) -> Tensor:
    depth, rows, columns = _margins(window)
    return F.pad(y, (columns, columns, rows, rows, depth, depth))


def _centres(x: Tensor, window: Window) -> Tensor:
    return x if window.stride == 1 else x[..., :: window.stride, :: window.stride]


def _moved(padded: Tensor, centres: Tensor, window: Window) -> Iterator[Tensor]:
    """Views of a padded map, one for each shift, of the centres' shape."""
    channels, height, width = centres.shape[1:]
    step, apart = window.stride, window.dilation
    for depth in range(2 * window.depth + 1):
        for i in range(2 * window.radius_y + 1):
            for j in range(2 * window.radius_x + 1):
                rows = slice(i * apart, i * apart + (height - 1) * step + 1, step)
                columns = slice(j * apart, j * apart + (width - 1) * step + 1, step)
                yield padded[:, depth : depth + channels, rows, columns]
