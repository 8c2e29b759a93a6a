"""Correlations between two feature maps over a window of shifts. Shapes:

    x, y     # (B, C, H, W)     features; `y` is sampled at the shifted position, zero outside
    volume   # (B, S, H', W')   one channel per shift; H' = ceil(H / stride)

Shift order: 1-D channel k is the x shift k - r. 2-D channel k is the y shift k // (2r+1) - r (slow) and
the x shift k % (2r+1) - r (fast). 3-D: the channel shift is slowest.

`definitions/correlation.py` is the specification. Sums are float32 for half-precision features, under autocast too;
the volume has the features' dtype, float32 under autocast. Repeated runs on the same device and software version are
bit-identical, forward and backward. A second derivative raises an error.
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
    """Correlate along rows, for rectified stereo: two (B, C, H, W) -> (B, 2r+1, H', W').

    Args:
        x: features of the reference view, (B, C, H, W).
        y: features of the other view, same shape; zero outside.
        radius: largest x shift; channel k holds the shift k - radius.
        reduction: over channels; DWARF uses the mean.
        negative_slope: of a leaky ReLU applied to the result, if given; it costs no extra pass.
        stride: the volume is computed at every stride-th pixel of x, along both axes.
        dilation: distance between neighbouring shifts in pixels.

    Raises:
        ValueError, TypeError: incompatible features, or an argument out of range.

    Source: DWARF (Aleotti et al., AAAI 2020), section "Scene flow estimation".

    Examples:
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
    """Correlate over a square window: two (B, C, H, W) -> (B, (2r+1)^2, H', W').

    Args:
        x: features of the reference image, (B, C, H, W).
        y: features of the other image, same shape; zero outside.
        radius: largest shift in y (slow) and x (fast), in steps of `dilation` pixels.
        reduction: over channels; DWARF uses the mean, DDFlow the sum.
        negative_slope: of a leaky ReLU applied to the result, if given; it costs no extra pass.
        stride: the volume is computed at every stride-th pixel of x, along both axes (FlowNet-C's `stride_1`).
        dilation: distance between neighbouring shifts in pixels (FlowNet-C's `stride_2`).

    Raises:
        ValueError, TypeError: incompatible features, or an argument out of range.

    Source: PWC-Net's cost volume, as used by DWARF (AAAI 2020) and DDFlow (AAAI 2019).

    Examples:
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
    """Correlate two 1-D volumes over y, x and the disparity channel, as in DWARF.

    Args:
        x: 1-D volume at t0, (B, C, H, W), C the disparity shifts.
        y: 1-D volume at t1, same shape.
        radius: largest shift in y and x.
        depth_radius: largest shift d over channels; y's channel c + d is multiplied with x's channel c, zero
            outside. The mean is taken over all C channels, including those zeros.
        negative_slope: of a leaky ReLU applied to the result, if given; it costs no extra pass.

    Returns:
        (B, (2*depth_radius+1) * (2*radius+1)^2, H, W), depth shift slowest.

    Raises:
        ValueError, TypeError: incompatible volumes, or an argument out of range.

    Source: DWARF (AAAI 2020), 3-D correlation layer; the published network has depth_radius 0.

    Examples:
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
            f"correlation needs two feature maps of the same shape (B, C, H, W), got {tuple(x.shape)} and "
            f"{tuple(y.shape)}"
        )
    if 0 in x.shape[1:]:
        raise ValueError(f"correlation needs at least one channel and one pixel, got {tuple(x.shape)}")
    if not (x.dtype.is_floating_point and y.dtype.is_floating_point):
        raise TypeError(
            f"correlation needs floating-point features, got {x.dtype} and {y.dtype}; convert them first"
        )
    if x.device != y.device:
        raise ValueError(
            f"correlation needs both feature maps on the same device, got {x.device} and {y.device}"
        )


def _check_window(window: Window, reduction: Reduction, negative_slope: float | None) -> None:
    if min(window.radius_y, window.radius_x, window.depth_radius) < 0:
        raise ValueError(f"correlation needs radii of 0 or more, got {window}")
    if min(window.stride, window.dilation) < 1:
        raise ValueError(
            f"correlation needs a stride and a dilation of 1 or more, got {window.stride} and {window.dilation}"
        )
    if reduction not in get_args(Reduction):
        raise ValueError(f"correlation's reduction must be mean or sum, got {reduction!r}")
    # Backward derives the branch of the leaky ReLU from the sign of its output.
    if negative_slope is not None and not 0 < negative_slope < math.inf:
        raise ValueError(f"correlation needs a negative_slope above 0, or None, got {negative_slope}")
