"""Correlation kernels with one pixel per thread: any W, radius, stride and dilation. Shapes:

x, y     # (B, C, H, W)       contiguous
volume   # (B, S, H', W')     S = depths * rows * columns shifts, columns fastest; H' = ceil(H / stride)
"""

# Triton's language differs from Python: untyped, tuples that grow, no tuple unpacking.
# mypy: ignore-errors
from __future__ import annotations

import triton
import triton.language as tl

# Not specialised; see correlation_quads.
SIZES = (
    "channels", "height", "width", "centre_rows", "centre_columns", "radius_y", "radius_x", "depth_radius", "stride",
    "dilation", "tiles",
)  # fmt: skip


@triton.jit(do_not_specialize=SIZES)
def forward_single(
    x, y, volume, channels, height, width, centre_rows, centre_columns, radius_y, radius_x, depth_radius, stride,
    dilation, tiles, scale, slope, GROUP: tl.constexpr, N: tl.constexpr,
):  # fmt: skip
    """Programs: batch x tiles of N centres, row by row x depth shifts x y shifts x groups of GROUP x shifts."""
    plane = height * width
    depths, rows, columns = 2 * depth_radius + 1, 2 * radius_y + 1, 2 * radius_x + 1
    program = tl.program_id(0)
    groups = tl.cdiv(columns, GROUP)
    first_shift = (program % groups) * GROUP
    program //= groups
    row_shift = program % rows
    program //= rows
    depth_index = program % depths
    program //= depths
    tile = program % tiles
    batch = (program // tiles).to(tl.int64)

    pixel = tile * N + tl.arange(0, N)
    inside = pixel < centre_rows * centre_columns
    row = (pixel // centre_columns) * stride
    column = (pixel % centre_columns) * stride
    y_row = row + (row_shift - radius_y) * dilation
    row_mask = inside & (y_row >= 0) & (y_row < height)

    depth = depth_index - depth_radius
    first_channel = tl.maximum(-depth, 0)
    last_channel = tl.minimum(channels - depth, channels)
    x_at = x + (batch * channels + first_channel) * plane + row * width + column
    y_at = y + (batch * channels + first_channel + depth) * plane + y_row * width + column
    sums = ()
    for _ in tl.static_range(GROUP):
        sums = sums + (tl.zeros((N,), tl.float32),)
    for _ in range(first_channel, last_channel):
        of_x = tl.load(x_at, mask=inside, other=0.0).to(tl.float32)
        new = ()
        for k in tl.static_range(GROUP):
            shift = (first_shift + k - radius_x) * dilation
            mask = row_mask & (column + shift >= 0) & (column + shift < width)
            new = new + (sums[k] + of_x * tl.load(y_at + shift, mask=mask, other=0.0).to(tl.float32),)
        sums = new
        x_at += plane
        y_at += plane
    centres = centre_rows * centre_columns
    first_plane = ((batch * depths + depth_index) * rows + row_shift) * columns + first_shift
    for k in tl.static_range(GROUP):
        value = sums[k] * scale
        value = tl.where(value > 0, value, value * slope)
        mask = inside & (pixel * 0 + (first_shift + k) < columns)
        tl.store(volume + (first_plane + k) * centres + pixel, value.to(volume.dtype.element_ty), mask=mask)


@triton.jit(do_not_specialize=SIZES)
def backward_single(
    grad_volume, volume, other, grad, channels, height, width, centre_rows, centre_columns, radius_y, radius_x,
    depth_radius, stride, dilation, tiles, scale, slope,
    SIGN: tl.constexpr, LEAKY: tl.constexpr, CHANNELS: tl.constexpr, N: tl.constexpr,
):  # fmt: skip
    """As `backward_quads`. Programs: batch x tiles of N pixels, row by row x groups of CHANNELS channels."""
    plane = height * width
    centres = centre_rows * centre_columns
    depths, rows, columns = 2 * depth_radius + 1, 2 * radius_y + 1, 2 * radius_x + 1
    program = tl.program_id(0)
    groups = tl.cdiv(channels, CHANNELS)
    first_channel = (program % groups) * CHANNELS
    program //= groups
    tile = program % tiles
    batch = (program // tiles).to(tl.int64)

    pixel = tile * N + tl.arange(0, N)
    row, column = pixel // width, pixel % width
    sums = ()
    for _ in tl.static_range(CHANNELS):
        sums = sums + (tl.zeros((N,), tl.float32),)
    for shift in range(depths * rows * columns):
        depth = SIGN * (shift // (rows * columns) - depth_radius)
        other_row = row + SIGN * dilation * (shift // columns % rows - radius_y)
        other_column = column + SIGN * dilation * (shift % columns - radius_x)
        # The centre, a pixel of x, of this pair of pixels.
        if SIGN == 1:
            centre_row, centre_column = row, column
        else:
            centre_row, centre_column = other_row, other_column
        other_inside = (other_row >= 0) & (other_row < height) & (other_column >= 0) & (other_column < width)
        mask = (pixel < plane) & (centre_row % stride == 0) & (centre_column % stride == 0)
        if SIGN == -1:
            mask = mask & other_inside
        centre = centre_row // stride * centre_columns + centre_column // stride
        at = (batch * depths * rows * columns + shift) * centres + centre
        weight = tl.load(grad_volume + at, mask=mask, other=0.0).to(tl.float32)
        if LEAKY:
            output = tl.load(volume + at, mask=mask, other=0.0).to(tl.float32)
            weight = tl.where(output > 0, weight, weight * slope)
        new = ()
        for c in tl.static_range(CHANNELS):
            channel = first_channel + c + depth
            of_other = tl.load(
                other + (batch * channels + channel) * plane + other_row * width + other_column,
                mask=mask & other_inside & (pixel * 0 + channel >= 0) & (pixel * 0 + channel < channels),
                other=0.0,
            )
            new = new + (sums[c] + weight * of_other.to(tl.float32),)
        sums = new
    for c in tl.static_range(CHANNELS):
        channel = first_channel + c
        mask = (pixel < plane) & (pixel * 0 + channel < channels)
        at = grad + (batch * channels + channel) * plane + pixel
        tl.store(at, (sums[c] * scale).to(grad.dtype.element_ty), mask=mask)
