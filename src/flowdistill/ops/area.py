"""Area averages of labels: the ground truth of DWARF's coarser levels.

    labels    # (B, C, H, W), NaN or infinite where unknown
    average   # (B, C, H >> level, W >> level)

Sums in float32 (or float64) in a fixed order, each level from the previous one: few kernels, and no matrix products,
whose inputs TF32 or bfloat16 would round to a few digits. Labels need no gradient, so none is computed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from flowdistill.ops.precision import float32_island
from flowdistill.ops.taps import Taps, kept_per_device, sum_of_taps

NonFinite = Literal["spread", "leave_out"]


@torch.no_grad()
@float32_island
def area_averages(
    labels: Tensor, levels: Iterable[int], non_finite: NonFinite = "spread"
) -> dict[int, Tensor]:
    """Average over areas to 1/2^level of the size, truncated: (B, C, H, W) -> level -> (B, C, H >> level, W >> level).

    Every output cell is the mean over its rectangle of the input; for sizes that are not divisible, pixels cut by
    a cell's edge count in proportion. Channels are independent.

    Args:
        labels: values; non-finite ones are allowed. Half precision is converted to float32.
        levels: exponents of the reduction, 0 or more.
        non_finite: "spread" makes every cell that touches a non-finite value NaN (as the original does);
            "leave_out" averages only the finite values and gives NaN where there are none.

    Raises:
        ValueError: a level is negative or leaves no pixel.

    Source: the ground-truth pyramid of DWARF (AAAI 2020).

    Examples:
        >>> import torch
        >>> from flowdistill.ops.area import area_averages
        >>> labels = torch.tensor([[[[1.0, 2.0], [3.0, torch.nan]]]])
        >>> area_averages(labels, [1])[1].item(), area_averages(labels, [1], "leave_out")[1].item()
        (nan, 2.0)
    """
    channels, (height, width) = labels.shape[1], labels.shape[-2:]
    finite = torch.isfinite(labels)
    wanted = set(levels)
    if any(level < 0 or not (height >> level and width >> level) for level in wanted):
        raise ValueError(
            f"area averages of {height}x{width} pixels: no pixel is left at levels {sorted(wanted)}"
        )
    if non_finite == "spread":
        total = labels.masked_fill(~finite, torch.nan)
    else:
        # Two maps: the mean with non-finite values as 0, and the share of finite values in the cell.
        total = torch.cat([labels.masked_fill(~finite, 0), finite.to(labels.dtype)], dim=1)
    averages = {}
    for level in range(max(wanted, default=-1) + 1):
        even = height % (1 << level) == 0 and width % (1 << level) == 0
        if even and level > 0:
            total = F.avg_pool2d(total, 2)
        if level in wanted:
            means = total if even else _uneven(total, height, width, level)
            if non_finite == "spread":
                averages[level] = means
            else:
                averages[level] = means[:, :channels] / means[:, channels:]  # 0 / 0 is NaN: no finite value
    return averages


def area_average(labels: Tensor, level: int, non_finite: NonFinite = "spread") -> Tensor:
    """Compute `area_averages` of one level: (B, C, H, W) -> (B, C, H >> level, W >> level)."""
    return area_averages(labels, [level], non_finite)[level]


def _uneven(maps: Tensor, height: int, width: int, level: int) -> Tensor:
    """Average a map whose size is not divisible, from the last level at which it was."""
    cells = (height >> level, width >> level)
    for axis, count in zip((-2, -1), cells, strict=True):
        maps = sum_of_taps(maps, _cells(maps, maps.shape[axis], count), axis)
    return maps


@kept_per_device
def _cells(size: int, cells: int, dtype: torch.dtype, device: torch.device) -> Taps:
    """Return the pixels, out of `size`, in each cell of an axis, and their shares of it, which sum to 1."""
    cell = torch.arange(cells, device=device).view(-1, 1)
    first = (cell * size).div(cells, rounding_mode="floor")
    pixel = first + torch.arange(size // cells + 2, device=device)
    # In units of 1 / cells pixels, edges and overlaps are integers.
    right = torch.minimum((cell + 1) * size, (pixel + 1) * cells)
    overlap = (right - torch.maximum(cell * size, pixel * cells)).clamp_min(0)
    # Pixels outside a cell must not even be multiplied by 0: they may be NaN.
    return Taps(torch.where(overlap > 0, pixel, first), overlap.to(dtype) / size)
