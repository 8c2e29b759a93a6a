"""Correlations between two feature maps over a window of shifts. Shapes:

    x, y     # (B, C, H, W)     features; `y` is looked up at the shifted position, zeros outside
    volume   # (B, S, H', W')   one channel per shift; H' = ceil(H / stride)

Shift order: 1-D channel k is the x shift k - r. 2-D channel k is the y shift k // (2r+1) - r (slow) and
the x shift k % (2r+1) - r (fast). 3-D: the channel shift is slowest.

`definitions/correlation.py` is the specification. Sums are float32 for half-precision features, under autocast too;
the volume has the features' dtype, float32 under autocast. On one device and one software version two runs give the
same bits, forward and backward. A second derivative is an error.
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor

from flowkernels.definitions.correlation import Window
from flowkernels.operators.correlation import correlation

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
    """Correlation along rows, for rectified stereo: (B, C, H, W) twice -> (B, 2r+1, H', W').

    Args:
        x: features of the reference view, (B, C, H, W).
        y: features of the other view, same shape; zeros outside.
        radius: largest x shift; channel k holds the shift k - radius.
        reduction: over channels; DWARF takes the mean.
        negative_slope: of a leaky ReLU applied to the result, if given; it costs no extra pass.
        stride: every stride-th pixel of x, in x and y, gets a volume.
        dilation: distance of neighbouring shifts in pixels.

    Raises:
        ValueError, TypeError: features that do not belong together, or an argument out of range.

    Source: DWARF (Aleotti et al., AAAI 2020), section "Scene flow estimation".

    Example:
        >>> import torch
        >>> left = torch.tensor([[[[0.0, 0.0, 1.0, 0.0]]]])
        >>> right = torch.tensor([[[[0.0, 1.0, 0.0, 0.0]]]])  # the same point, one pixel to the left
        >>> correlation_1d(left, right, radius=1)[0, :, 0, 2]  # shifts -1, 0, 1
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
    """Correlation over a square window: (B, C, H, W) twice -> (B, (2r+1)^2, H', W').

    Args:
        x: features of the reference image, (B, C, H, W).
        y: features of the other image, same shape; zeros outside.
        radius: largest shift in y (slow) and x (fast), in steps of `dilation` pixels.
        reduction: over channels; DWARF takes the mean, DDFlow the sum.
        negative_slope: of a leaky ReLU applied to the result, if given; it costs no extra pass.
        stride: every stride-th pixel of x, in x and y, gets a volume (FlowNet-C's `stride_1`).
        dilation: distance of neighbouring shifts in pixels (FlowNet-C's `stride_2`).

    Raises:
        ValueError, TypeError: features that do not belong together, or an argument out of range.

    Source: PWC-Net's cost volume, as used by DWARF (AAAI 2020) and DDFlow (AAAI 2019).

    Example:
        >>> import torch
        >>> features = torch.rand(1, 32, 24, 40)
        >>> correlation_2d(features, features, radius=4, negative_slope=0.1).shape
        torch.Size([1, 81, 24, 40])
        >>> ones = torch.ones(1, 8, 3, 3)
        >>> correlation_2d(ones, ones, radius=1)[0, :, 0, 0].view(3, 3)  # zeros outside, above and left of the corner
        tensor([[0., 0., 0.],
                [0., 1., 1.],
                [0., 1., 1.]])
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
        negative_slope: of a leaky ReLU applied to the result, if given; it costs no extra pass.

    Returns:
        (B, (2*depth_radius+1) * (2*radius+1)^2, H, W), depth shift slowest.

    Raises:
        ValueError, TypeError: volumes that do not belong together, or an argument out of range.

    Source: DWARF (AAAI 2020), 3-D correlation layer; the published network has depth_radius 0.

    Example:
        >>> import torch
        >>> volume = torch.rand(1, 9, 12, 20)
        >>> correlation_3d(volume, volume, depth_radius=1).shape
        torch.Size([1, 243, 12, 20])
        >>> ones = torch.ones(1, 9, 3, 3)
        >>> correlation_3d(ones, ones, radius=0, depth_radius=1)[0, :, 1, 1]  # 8, 9 and 8 of 9 channels overlap
        tensor([0.8889, 1.0000, 0.8889])
    """
    return _correlate(x, y, Window(radius, radius, depth_radius), "mean", negative_slope)


def _correlate(
    x: Tensor, y: Tensor, window: Window, reduction: Reduction, negative_slope: float | None
) -> Tensor:
    _check_features(x, y)
    _check_window(window, reduction, negative_slope)
    dtype = torch.promote_types(x.dtype, y.dtype)
    volume: Tensor = correlation(x.to(dtype), y.to(dtype), *window, reduction == "mean", negative_slope)
    return volume


def _check_features(x: Tensor, y: Tensor) -> None:
    if x.shape != y.shape or x.dim() != 4:
        raise ValueError(
            f"correlation needs two feature maps of one shape (B, C, H, W), got {tuple(x.shape)} and {tuple(y.shape)}"
        )
    if 0 in x.shape[1:]:
        raise ValueError(f"correlation needs at least one channel and one pixel, got {tuple(x.shape)}")
    if not (x.dtype.is_floating_point and y.dtype.is_floating_point):
        raise TypeError(
            f"correlation needs floating-point features, got {x.dtype} and {y.dtype}; convert them first"
        )
    if x.device != y.device:
        raise ValueError(f"correlation needs both feature maps on one device, got {x.device} and {y.device}")


def _check_window(window: Window, reduction: Reduction, negative_slope: float | None) -> None:
    if min(window.radius_y, window.radius_x, window.depth_radius) < 0:
        raise ValueError(f"correlation needs radii of 0 or more, got {window}")
    if min(window.stride, window.dilation) < 1:
        raise ValueError(
            f"correlation needs a stride and a dilation of 1 or more, got {window.stride} and {window.dilation}"
        )
    if reduction not in get_args(Reduction):
        raise ValueError(f"correlation's reduction must be mean or sum, got {reduction!r}")
    # Backward reads the leaky ReLU's branch from the sign of its output.
    if negative_slope is not None and not 0 < negative_slope < math.inf:
        raise ValueError(f"correlation needs a negative_slope above 0, or None, got {negative_slope}")
