"""The correlation on a CPU: small matrix products along rows forward, tiles of rows that stay in cache backward.

    x, y     # (B, C, H, W) float32, contiguous
    volume   # (B, S, H, W)

Forward: 16 neighbouring pixels of a row and the 16 + 2 radius_x pixels of y's row that they look at give a (16, 24)
matrix of products, of which a band of 2 radius_x + 1 diagonals is the volume. Half of the products are for nothing, and
the matrix unit is still faster than one pass over memory per shift. No entry outside the band is used, so a NaN
reaches those shifts only that look at it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from flowkernels.definitions.correlation import Window

TILE = 16  # pixels of a row
TILE_BYTES = (
    2**18
)  # of one map in the backward: three of them and a share of the volume stay in a second-level cache


def takes(x: Tensor, window: Window) -> bool:
    """Whether these formulations apply."""
    plain_window = window.depth == 0 and window.stride == 1 and window.dilation == 1
    return x.device.type == "cpu" and x.dtype == torch.float32 and plain_window


def correlation(x: Tensor, y: Tensor, window: Window, scale: float, slope: float) -> Tensor:
    """As the definition."""
    batch, channels, height, width = x.shape
    radius_y, radius_x = window.radius_y, window.radius_x
    rows, columns, reach = 2 * radius_y + 1, 2 * radius_x + 1, TILE + 2 * radius_x
    padded_width = -(-(width + 2 * radius_x) // TILE) * TILE
    tiles = padded_width // TILE
    whole, rest = divmod(width, TILE)
    # One row more than needed: the last tile of the last row reads a few values past its end.
    padded_x = F.pad(x, (0, padded_width - width))
    padded_y = F.pad(y, (radius_x, padded_width - width - radius_x, radius_y, radius_y + 1))
    plane_x, plane_y = height * padded_width, (height + rows) * padded_width
    volume = x.new_empty(batch, rows * columns, height, width)
    products = x.new_empty(height * tiles, TILE, reach)
    # Entry (t, t + j) of a tile's matrix is pixel t at column shift j: a view with one more step per pixel.
    step = (1, tiles * TILE * reach, TILE * reach, reach + 1)
    band = products.as_strided((columns, height, tiles, TILE), step)
    for b in range(batch):
        tiles_x = padded_x.as_strided(
            (height * tiles, TILE, channels), (TILE, 1, plane_x), b * channels * plane_x
        )
        for i in range(rows):
            tiles_y = padded_y.as_strided(
                (height * tiles, channels, reach),
                (TILE, plane_y, 1),
                b * channels * plane_y + i * padded_width,
            )
            torch.baddbmm(products, tiles_x, tiles_y, beta=0, alpha=scale, out=products)
            found = volume[b, i * columns : (i + 1) * columns]
            found[..., : whole * TILE].unflatten(-1, (whole, TILE)).copy_(band[:, :, :whole])
            if rest:
                found[..., whole * TILE :].copy_(band[:, :, whole, :rest])
    return volume if slope == 1.0 else F.leaky_relu_(volume, slope)


def correlation_backward(
    grad: Tensor,
    x: Tensor,
    y: Tensor,
    volume: Tensor | None,
    window: Window,
    scale: float,
    slope: float,
    need_x: bool,
    need_y: bool,
) -> tuple[Tensor, Tensor]:
    """As the definition; a gradient that is not needed is not computed (what is returned for it means nothing)."""
    batch, channels, height, width = x.shape
    radius_y, radius_x = window.radius_y, window.radius_x
    padded = F.pad(y, (radius_x, radius_x, radius_y, radius_y))
    grad_x = torch.zeros_like(x) if need_x else x
    grad_padded = torch.zeros_like(padded) if need_y else padded
    row_bytes = 4 * channels * width
    tall = max(1, min(height, TILE_BYTES // row_bytes))
    many = max(1, TILE_BYTES // (row_bytes * height))
    for first in range(0, batch, many):
        images = slice(first, first + many)
        for top in range(0, height, tall):
            own = slice(top, min(top + tall, height))
            weights = grad[images, :, own]
            if volume is not None:
                weights = torch.where(volume[images, :, own] < 0, weights * slope, weights)
            for k in range(window.shifts):
                i, j = divmod(k, 2 * radius_x + 1)
                there, columns, weight = (
                    slice(own.start + i, own.stop + i),
                    slice(j, j + width),
                    weights[:, k : k + 1],
                )
                if need_x:
                    grad_x[images, :, own].addcmul_(weight, padded[images, :, there, columns], value=scale)
                if need_y:
                    grad_padded[images, :, there, columns].addcmul_(weight, x[images, :, own], value=scale)
    return grad_x, grad_padded[:, :, radius_y : radius_y + height, radius_x : radius_x + width]
