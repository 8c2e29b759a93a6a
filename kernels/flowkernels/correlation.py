"""Correlations of two feature maps over a window of shifts.

    x, y     # (B, C, H, W)   features; y is looked up at the shifted position, zeros outside
    volume   # (B, S, H, W)   one channel per shift

Shift order: channel k of a 1-D volume is the x shift k - r. Channel k of a 2-D volume is the y shift k // (2r+1) - r
(slow) and the x shift k % (2r+1) - r (fast). Sums are float32 where the features are half precision; the volume has
their dtype. Two runs give the same bits, forward and backward. What runs is said by `flowkernels.backend()`.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from flowkernels.definitions.correlation import Window
from flowkernels.operators import correlation as _registered  # noqa: F401  (defines the operators)

Reduction = Literal["mean", "sum"]


def correlation_1d(
    x: Tensor,
    y: Tensor,
    radius: int = 4,
    reduction: Reduction = "mean",
    negative_slope: float | None = None,
    stride: int = 1,
    dilation: int = 1,
) -> Tensor:
    """Correlation along rows, for rectified stereo: (B, C, H, W) twice -> (B, 2r+1, H, W).

    Args:
        x: features of the reference view, (B, C, H, W).
        y: features of the other view, same shape; zeros outside.
        radius: largest x shift; channel k holds the shift k - radius.
        reduction: over channels; DWARF takes the mean.
        negative_slope: of a leaky ReLU on the volume, in (0, 1]; None for none.
        stride: every stride-th row and column of x is looked at; the volume is (ceil(H / stride), ceil(W / stride)).
        dilation: px between neighbouring shifts.

    Raises:
        ValueError: shapes that differ, a negative radius, a stride or dilation below 1, a slope outside (0, 1].
        TypeError: dtypes or devices that do not fit.

    Source: DWARF (Aleotti et al., AAAI 2020), section "Scene flow estimation".

    Example:
        >>> import torch
        >>> from flowkernels import correlation_1d
        >>> x = torch.tensor([[[[0.0, 0.0, 1.0, 0.0]]]])
        >>> correlation_1d(x, x.roll(-1, 3), radius=1)[0, :, 0, 2]  # found one pixel to the left
        tensor([1., 0., 0.])
    """
    return _correlate(x, y, Window(0, radius, 0, stride, dilation), reduction, negative_slope)


def correlation_2d(
    x: Tensor,
    y: Tensor,
    radius: int = 4,
    reduction: Reduction = "mean",
    negative_slope: float | None = None,
    stride: int = 1,
    dilation: int = 1,
) -> Tensor:
    """Correlation over a square window: (B, C, H, W) twice -> (B, (2r+1)^2, H, W).

    Args:
        x: features of the reference image, (B, C, H, W).
        y: features of the other image, same shape; zeros outside.
        radius: largest shift in y (slow) and x (fast).
        reduction: over channels; DWARF takes the mean, DDFlow the sum.
        negative_slope, stride, dilation: as for `correlation_1d`.

    Raises:
        ValueError, TypeError: as `correlation_1d`.

    Source: PWC-Net's cost volume, as used by DWARF (AAAI 2020) and DDFlow (AAAI 2019).

    Example:
        >>> import torch
        >>> from flowkernels import correlation_2d
        >>> correlation_2d(torch.rand(1, 8, 6, 10), torch.rand(1, 8, 6, 10)).shape
        torch.Size([1, 81, 6, 10])
    """
    return _correlate(x, y, Window(radius, radius, 0, stride, dilation), reduction, negative_slope)


def correlation_3d(
    x: Tensor, y: Tensor, radius: int = 4, depth_radius: int = 0, negative_slope: float | None = None
) -> Tensor:
    """DWARF's correlation of two 1-D volumes, over y, x and the disparity channel.

    Args:
        x: 1-D volume at t0, (B, C, H, W), C the disparity shifts.
        y: 1-D volume at t1, same shape.
        radius: largest shift in y and x.
        depth_radius: largest shift d over channels; y's channel c + d stands beside x's channel c, zeros
            outside. The mean runs over all C channels, those zeros included.
        negative_slope: as for `correlation_1d`.

    Returns:
        (B, (2*depth_radius+1) * (2*radius+1)^2, H, W), depth shift slowest.

    Raises:
        ValueError, TypeError: as `correlation_1d`.

    Source: DWARF (AAAI 2020), 3-D correlation layer; the published network has depth_radius 0.

    Example:
        >>> import torch
        >>> from flowkernels import correlation_3d
        >>> correlation_3d(torch.rand(1, 9, 6, 10), torch.rand(1, 9, 6, 10), depth_radius=1).shape
        torch.Size([1, 243, 6, 10])
    """
    return _correlate(x, y, Window(radius, radius, depth_radius), "mean", negative_slope)


def _correlate(
    x: Tensor, y: Tensor, window: Window, reduction: Reduction, negative_slope: float | None
) -> Tensor:
    if x.shape != y.shape or x.dim() != 4:
        raise ValueError(
            f"correlation needs two feature maps of one shape (B, C, H, W), got {tuple(x.shape)} and {tuple(y.shape)}"
        )
    if x.device != y.device:
        raise TypeError(f"correlation needs two feature maps on one device, got {x.device} and {y.device}")
    if not (x.is_floating_point() and y.is_floating_point()):
        raise TypeError(f"correlation needs floating-point features, got {x.dtype} and {y.dtype}")
    if min(window.radius_y, window.radius_x, window.depth) < 0 or min(window.stride, window.dilation) < 1:
        raise ValueError(f"correlation: radii are 0 or more, stride and dilation 1 or more; got {window}")
    if negative_slope is not None and not 0 < negative_slope <= 1:
        raise ValueError(f"correlation: negative_slope must be in (0, 1], got {negative_slope}")
    if reduction not in ("mean", "sum"):
        raise ValueError(f'correlation: reduction must be "mean" or "sum", got {reduction!r}')
    if x.dtype != y.dtype:
        dtype = torch.promote_types(x.dtype, y.dtype)
        x, y = x.to(dtype), y.to(dtype)
    scale = 1.0 / max(x.shape[1], 1) if reduction == "mean" else 1.0
    slope = 1.0 if negative_slope is None else float(negative_slope)
    volume: Tensor = torch.ops.flowkernels.correlation(x, y, *window, scale, slope)
    return volume
