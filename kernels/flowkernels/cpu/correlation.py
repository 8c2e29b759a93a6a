"""Correlation for the CPU: batched matrix products over tiles of columns, forward and backward.

A row of width W is cut into tiles of TILE columns. A tile's pixels read TILE + 2 * reach columns of the other map,
and one small matrix product multiplies every pixel of the tile with every one of these columns:

    products   # (H * tiles, TILE, TILE + 2 * reach)
    products[n, t, t + u * dilation]   # the band: pixel t of a tile at its u-th x shift

The volume is the band; the other half to two thirds of the products is the cost of using the library's fast loops. In
backward the band is filled with the volume's gradient, zeros beside it, and multiplied with the other map. Tiles and
band are views: only the padding and the band itself are copied.

Results are bit-identical in every run: no atomics, and tiles start at multiples of 64 bytes, so that the alignment is
always the same.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from flowkernels.definitions.correlation import Window, correlation_backward, overlap

# Columns. Wider tiles compute more unused products; narrower ones make products too small to be efficient.
TILE = 16


class _Tiling:
    """Layout of the tiles of a map of a given size, and the buffer of products with a view of the band."""

    def __init__(self, like: Tensor, window: Window) -> None:
        self.height, self.width = like.shape[-2:]
        _, self.rows, self.columns = window.counts
        self.reach_y, self.reach_x = window.reach
        self.tiles = -(-(self.width + 2 * self.reach_x) // TILE)  # per row
        self.count = self.height * self.tiles
        self.padded_width = self.tiles * TILE
        self.looked_at = TILE + 2 * self.reach_x
        # The last tile reads 2 * reach_x columns beyond its row: spare rows follow the last one.
        self.spare_rows = -(-2 * self.reach_x // self.padded_width)
        self.padded_height = self.height + 2 * self.reach_y + self.spare_rows
        #: Index of the map in a padded one whose last axes are (padded_height, padded_width).
        self.inside = (
            ...,
            slice(self.reach_y, self.reach_y + self.height),
            slice(self.reach_x, self.reach_x + self.width),
        )
        self.products = like.new_zeros(self.count, TILE, self.looked_at)
        tile = TILE * self.looked_at
        self._band = self.products.as_strided(
            (self.columns, self.height, self.tiles, TILE),
            (window.dilation, self.tiles * tile, tile, self.looked_at + 1),
        )
        self._whole = self.width // TILE
        self._split = self._whole * TILE

    def read_band(self, volume: Tensor) -> None:
        """Copy the band into (columns, H, W)."""
        volume[..., : self._split].unflatten(-1, (self._whole, TILE)).copy_(self._band[:, :, : self._whole])
        if self._split < self.width:
            volume[..., self._split :].copy_(self._band[:, :, self._whole, : self.width - self._split])

    def write_band(self, volume: Tensor) -> None:
        """Copy (columns, H, W) into the band."""
        self._band[:, :, : self._whole].copy_(volume[..., : self._split].unflatten(-1, (self._whole, TILE)))
        if self._split < self.width:
            self._band[:, :, self._whole, : self.width - self._split].copy_(volume[..., self._split :])


def forward(
    x: Tensor, y: Tensor, window: Window, scale: float, negative_slope: float | None = None
) -> Tensor:
    """Compute the volume of x and y, (B, S, H, W), for a window of stride 1.

    A pixel's products do not depend on other pixels' features: a NaN in y affects only the pixels that read it.
    """
    batch, channels = x.shape[:2]
    volume = x.new_empty(window.volume_shape(x))
    if volume.numel() == 0:
        return volume
    t = _Tiling(x, window)
    # Not F.pad, which preserves channels_last; the views below rely on the contiguous layout.
    padded_x = x.new_zeros(batch, channels, t.height, t.padded_width)
    padded_x[..., : t.width] = x
    padded_y = y.new_zeros(batch, channels, t.padded_height, t.padded_width)
    padded_y[t.inside] = y
    plane_x, plane_y = padded_x.stride(1), padded_y.stride(1)
    for b in range(batch):
        slices = volume[b].split(t.columns)  # one per depth and y shift
        for n, depth in enumerate(window.depths()):
            of_x, of_y = overlap(depth, channels)
            used = of_x.stop - of_x.start
            offset_x = (b * channels + of_x.start) * plane_x
            offset_y = (b * channels + of_y.start) * plane_y
            left = padded_x.as_strided((t.count, TILE, used), (TILE, 1, plane_x), offset_x)
            for i in range(t.rows):
                out = slices[n * t.rows + i]
                if used == 0:
                    out.zero_()
                    continue
                right = padded_y.as_strided(
                    (t.count, used, t.looked_at),
                    (TILE, plane_y, 1),
                    offset_y + i * window.dilation * t.padded_width,
                )
                torch.baddbmm(t.products, left, right, beta=0, alpha=scale, out=t.products)
                t.read_band(out)
                if negative_slope is not None:
                    F.leaky_relu_(out, negative_slope)
    return volume


def backward(
    grad: Tensor, x: Tensor, y: Tensor, window: Window, scale: float, needed: tuple[bool, bool]
) -> tuple[Tensor | None, Tensor | None]:
    """Compute the gradients of x and y, (B, C, H, W) each, or None where not needed, for a window of stride 1.

    Args:
        grad: gradient of the volume before its leaky ReLU, (B, S, H, W).
        needed: whether the gradients of x and y are needed.
    """
    # The zeros beside the band turn a non-finite feature into NaN for a whole tile, unlike in the definition.
    # (A sum that overflows falls back to the definition too, which is only slower.)
    if not bool(torch.isfinite(x.sum() + y.sum())):
        return correlation_backward(grad, x, y, window, scale, needed)
    columns = window.counts[2]

    def of_x(b: int, k: int) -> Tensor:
        return grad[b, k * columns : (k + 1) * columns]

    def of_y(b: int, k: int) -> Tensor:
        return _seen_from_y(grad[b], window, k)

    grad_x = _weighted_sums(of_x, y, window, scale) if needed[0] else None
    grad_y = _weighted_sums(of_y, x, window, scale) if needed[1] else None
    return grad_x, grad_y


def _weighted_sums(
    weights: Callable[[int, int], Tensor], other: Tensor, window: Window, scale: float
) -> Tensor:
    """Sum each pixel's weight times `other` at the shifted pixel and channel over shifts, times scale, (B, C, H, W).

    Args:
        weights: (image, k) -> (columns, H, W), the weights at the k-th pair of depth and y shift.
    """
    batch, channels = other.shape[:2]
    sums = torch.empty_like(other, memory_format=torch.contiguous_format)
    if sums.numel() == 0:
        return sums
    t = _Tiling(other, window)
    # Channels last: a product's rows are pixels, and its columns are contiguous.
    padded = other.new_zeros(batch, t.padded_height, t.padded_width, channels)
    padded.permute(0, 3, 1, 2)[t.inside] = other
    total = other.new_empty(t.count, TILE, channels)
    for b in range(batch):
        total.zero_()
        for n, depth in enumerate(window.depths()):
            here, there = overlap(depth, channels)
            if here.stop == 0:
                continue
            for i in range(t.rows):
                t.write_band(weights(b, n * t.rows + i))
                right = padded.as_strided(
                    (t.count, t.looked_at, here.stop - here.start),
                    (TILE * channels, channels, 1),
                    (b * t.padded_height + i * window.dilation) * t.padded_width * channels + there.start,
                )
                out = total[..., here]
                torch.baddbmm(out, t.products, right, alpha=scale, out=out)
        of_image = total.view(t.height, t.padded_width, channels)[:, : t.width]
        sums[b].copy_(of_image.permute(2, 0, 1))
    return sums


def _seen_from_y(grad: Tensor, window: Window, k: int) -> Tensor:
    """Return the weights for y's gradient at the k-th pair of depth and y shift, (columns, H, W).

    With q = p + s, the pair of pixels p and p + s is that of q and q - s: the gradient of the opposite shift, moved
    by it; zero where q - s is outside.
    """
    _, rows, columns = window.counts
    height, width = grad.shape[-2:]
    weights = grad.new_zeros(columns, height, width)
    v = (k % rows - window.radius_y) * window.dilation
    opposite = grad.shape[0] - 1 - k * columns
    for j in range(columns):
        u = (j - window.radius_x) * window.dilation
        to_y, from_y = overlap(v, height)
        to_x, from_x = overlap(u, width)
        weights[j, to_y, to_x] = grad[opposite - j, from_y, from_x]
    return weights
