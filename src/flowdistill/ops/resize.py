"""Resizing of images and motions: the three resamplings that the published methods use.

image   # (B, C, H, W)
flow    # (B, 2, H, W) px, x then y
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Size = tuple[int, int]  # rows, columns


def resize_legacy_bilinear(image: Tensor, size: Size) -> Tensor:
    """Bilinear resize in TensorFlow-1's legacy convention: (B, C, H, W) -> (B, C, *size).

    Source position = output index * (in / out): no half-pixel offset, corners not aligned, the right and
    bottom neighbours are clipped. Values are not scaled.

    Source: DWARF (AAAI 2020), which brings every motion to image size this way.
    """
    if tuple(image.shape[-2:]) == tuple(size):
        return image
    # One replicated row and column turn the legacy rule into the aligned-corners rule on sizes + 1:
    # index * in / out == index * ((in + 1) - 1) / ((out + 1) - 1).
    padded = F.pad(image, (0, 1, 0, 1), mode="replicate")
    larger = F.interpolate(padded, (size[0] + 1, size[1] + 1), mode="bilinear", align_corners=True)
    return larger[..., : size[0], : size[1]]


def resize_flow(flow: Tensor, size: Size) -> Tensor:
    """Resize a flow and its values: (B, 2, H, W) -> (B, 2, *size), in pixels of the new size.

    Bilinear with aligned corners (source = index * (in - 1) / (out - 1)); x is multiplied by
    new width / old width and y by new height / old height.

    Source: DDFlow (AAAI 2019), between pyramid levels and up to the image.
    """
    height, width = flow.shape[-2:]
    if (height, width) == tuple(size):
        return flow
    resized = F.interpolate(flow, tuple(size), mode="bilinear", align_corners=True)
    return resized * scale_of(flow, (size[1] / width, size[0] / height))


def scale_of(like: Tensor, factors: tuple[float, float]) -> Tensor:
    """(1, 2, 1, 1) factors for the x and y channels of a flow."""
    return torch.tensor(factors, dtype=like.dtype, device=like.device).view(1, 2, 1, 1)


def area_average(image: Tensor, factor: int, non_finite: Literal["spread", "leave_out"] = "spread") -> Tensor:
    """Area averaging to 1/2^factor of the size, truncated: (B, C, H, W) -> (B, C, H >> factor, W >> factor).

    Every output cell is the mean over its rectangle of the input; for sizes that do not divide, pixels cut by
    a cell's edge count by their share.

    Args:
        image: values; non-finite ones are allowed.
        factor: exponent of the reduction.
        non_finite: "spread" makes every cell that touches a non-finite value NaN (as the original does);
            "leave_out" averages the finite values only and gives NaN where there are none.

    Source: the ground-truth pyramid of DWARF (AAAI 2020).
    """
    height, width = image.shape[-2:]
    finite = torch.isfinite(image)
    values = torch.where(finite, image, torch.zeros_like(image))
    rows = _area_weights(height, height >> factor, image)  # (h, H)
    columns = _area_weights(width, width >> factor, image).T  # (W, w)
    if bool(finite.all()):
        return rows @ values @ columns
    share = rows @ finite.to(image.dtype) @ columns  # finite part of each cell's area, 0..1
    mean = rows @ values @ columns / share.clamp_min(torch.finfo(image.dtype).tiny)
    # Counting the pixels that a cell touches is exact, a comparison of shares would not be.
    looked_at = finite if non_finite == "leave_out" else ~finite
    touches = (rows > 0).to(image.dtype) @ looked_at.to(image.dtype) @ (columns > 0).to(image.dtype) > 0.5
    return mean.masked_fill(~touches if non_finite == "leave_out" else touches, torch.nan)


def _area_weights(size: int, cells: int, like: Tensor) -> Tensor:
    """(cells, size) matrix: the share of each input pixel in each cell's mean; rows sum to 1."""
    edges = torch.arange(cells + 1, dtype=torch.float64) * (size / cells)
    pixel = torch.arange(size, dtype=torch.float64)
    overlap = torch.minimum(edges[1:, None], pixel + 1) - torch.maximum(edges[:-1, None], pixel)
    overlap[overlap < 1e-9] = 0.0  # no overlap, or rounding of an edge
    return (overlap * (cells / size)).to(like)
