"""Backward warps: sample an image at the positions given by a motion field.

The three published warps differ only at the border, where the differences are intended. Shapes:

    image       # (B, C, H, W)
    flow        # (B, 2, H, W) px, x (right) then y (down), in pixels of `image`
    disparity   # (B, 1, H, W) px, added to x: negative for a right view

Half-precision inputs are warped in float32 and cast back: from column 256 on, bfloat16 cannot distinguish neighbouring
columns. Integer coordinates are pixel centres. Gradients reach the image and, through the interpolation weights, the
motion; integer parts and clipping of indices carry none. Repeated runs are bit-identical, forward and backward, on
every device. On a GPU a single non-finite gradient or weight makes the whole gradient of the image NaN.
"""

from __future__ import annotations

import torch
from torch import Tensor

from flowkernels.definitions.warp import Convention
from flowkernels.operators import warp as _registered  # noqa: F401  (defines the operators)


def warp_replicate(image: Tensor, flow: Tensor) -> Tensor:
    """Sample bilinearly at pixel + flow; border pixels are repeated outside.

    Args:
        image: (B, C, H, W).
        flow: (B, 2, H, W) px of `image`.

    Returns:
        (B, C, H, W).

    Raises:
        ValueError: incompatible shapes.
        TypeError: different devices, or dtypes that are not floating-point.

    Source: the flow warp of DWARF (AAAI 2020): neighbours clipped, weights from the unclipped fraction.

    Examples:
        >>> import torch
        >>> from flowkernels import warp_replicate
        >>> row = torch.tensor([[[[0.0, 10.0, 20.0]]]])
        >>> flow = torch.stack([torch.full((1, 1, 3), 0.5), torch.zeros(1, 1, 3)], 1)
        >>> warp_replicate(row, flow)
        tensor([[[[ 5., 15., 20.]]]])
    """
    return _warp(image, flow, "replicate")


def warp_disparity(image: Tensor, disparity: Tensor) -> Tensor:
    """Sample linearly along the row at x + disparity; zero for x < 0 and x >= W - 1, and in the last row.

    Args:
        image: (B, C, H, W), the right view or its features.
        disparity: (B, 1, H, W) px of `image`, **negative** where the point lies left of x in the right view.

    Returns:
        (B, C, H, W). With zero disparity the last column is zero too.

    Raises:
        ValueError: incompatible shapes.
        TypeError: different devices, or dtypes that are not floating-point.

    Source: the 1-D warp of DWARF (AAAI 2020): weights are taken from the clipped neighbours, so they cancel
    outside; the same happens in the last row.

    Examples:
        >>> import torch
        >>> from flowkernels import warp_disparity
        >>> right = torch.tensor([[[[0.0, 10.0, 20.0], [0.0, 0.0, 0.0]]]])
        >>> warp_disparity(right, torch.full((1, 1, 2, 3), -0.5))[0, 0, 0]
        tensor([ 0.,  5., 15.])
    """
    return _warp(image, disparity, "disparity")


def warp_zero(image: Tensor, flow: Tensor) -> Tensor:
    """Sample bilinearly at pixel + flow; zero outside, extrapolated in (-1, 0).

    Per axis, with p the position and n the size: for p in (-1, 0) the line through pixels 0 and 1 is
    continued; for p <= -1 and p >= n - 1 the result is zero, so with zero flow the last row and column are zero.

    Args:
        image: (B, C, H, W).
        flow: (B, 2, H, W) px of `image`.

    Returns:
        (B, C, H, W).

    Raises:
        ValueError: incompatible shapes.
        TypeError: different devices, or dtypes that are not floating-point.

    Source: the warp of DDFlow (AAAI 2019), which truncates towards zero and takes weights from the clipped
    neighbours. Where they cancel, the result is exactly zero (the original leaves rounding noise there).

    Examples:
        >>> import torch
        >>> from flowkernels import warp_zero
        >>> image = torch.tensor([[[[0.0, 10.0, 20.0], [0.0, 10.0, 20.0]]]])
        >>> flow = torch.stack([torch.full((1, 2, 3), 0.5), torch.zeros(1, 2, 3)], 1)
        >>> warp_zero(image, flow)[0, 0, 0]
        tensor([ 5., 15.,  0.])
    """
    return _warp(image, flow, "zero")


def _warp(image: Tensor, motion: Tensor, convention: Convention) -> Tensor:
    if image.dim() != 4:
        raise ValueError(f"warp: the image must be (B, C, H, W), got {tuple(image.shape)}")
    expected = (image.shape[0], 1 if convention == "disparity" else 2, *image.shape[-2:])
    if tuple(motion.shape) != expected:
        raise ValueError(
            f"warp: an image of shape {tuple(image.shape)} needs a motion of {expected}, got {tuple(motion.shape)}"
        )
    if image.device != motion.device:
        raise TypeError(
            f"warp: image and motion must be on the same device, got {image.device} and {motion.device}"
        )
    if not (image.is_floating_point() and motion.is_floating_point()):
        raise TypeError(
            f"warp: image and motion must be floating-point, got {image.dtype} and {motion.dtype}"
        )
    if image.dtype == motion.dtype:
        warped: Tensor = torch.ops.flowkernels.warp(image, motion, convention)
        return warped
    # The result has the image's dtype; positions use the more precise of the two.
    dtype = torch.promote_types(image.dtype, motion.dtype)
    mixed: Tensor = torch.ops.flowkernels.warp(image.to(dtype), motion.to(dtype), convention)
    return mixed.to(image.dtype)
