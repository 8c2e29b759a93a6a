"""Backward warps: look an image up where a motion says that its pixels went.

Three published warps differ only at the border, and there they differ on purpose. Shapes:

    image       # (B, C, H, W)
    flow        # (B, 2, H, W) px, x (right) then y (down), in pixels of `image`
    disparity   # (B, 1, H, W) px, added to x: negative for a right view

Half-precision inputs are warped in float32 and cast back: bfloat16 cannot tell neighbouring columns apart from
256 on. Integer coordinates are pixel centres. Gradients reach the image and, through the interpolation weights, the
motion; integer parts and clipping of indices carry none. Two runs give the same bits, forward and backward, on every
device. On a GPU one gradient or weight that is not finite makes the whole gradient of the image NaN.
"""

from __future__ import annotations

import torch
from torch import Tensor

from flowkernels.definitions.warp import Convention
from flowkernels.operators import warp as _registered  # noqa: F401  (defines the operators)


def warp_replicate(image: Tensor, flow: Tensor) -> Tensor:
    """Bilinear look-up at pixel + flow; outside, the border pixel is repeated.

    Args:
        image: (B, C, H, W).
        flow: (B, 2, H, W) px of `image`.

    Returns:
        (B, C, H, W).

    Raises:
        ValueError: the shapes do not fit.
        TypeError: the devices or dtypes do not fit.

    Source: the flow warp of DWARF (AAAI 2020): neighbours clipped, weights from the unclipped fraction.

    Example:
        >>> import torch
        >>> from flowkernels import warp_replicate
        >>> row = torch.tensor([[[[0.0, 10.0, 20.0]]]])
        >>> flow = torch.stack([torch.full((1, 1, 3), 0.5), torch.zeros(1, 1, 3)], 1)
        >>> warp_replicate(row, flow)
        tensor([[[[ 5., 15., 20.]]]])
    """
    return _warp(image, flow, "replicate")


def warp_disparity(image: Tensor, disparity: Tensor) -> Tensor:
    """Linear look-up along the row at x + disparity, zero for x < 0 and x >= W - 1, last row always zero.

    Args:
        image: (B, C, H, W), the right view or its features.
        disparity: (B, 1, H, W) px of `image`, **negative** where the point lies left of x in the right view.

    Returns:
        (B, C, H, W). With zero disparity the last column is zero too.

    Raises:
        ValueError: the shapes do not fit.
        TypeError: the devices or dtypes do not fit.

    Source: the 1-D warp of DWARF (AAAI 2020): weights are taken from the clipped neighbours, so they cancel
    outside; the same happens to the last row.

    Example:
        >>> import torch
        >>> from flowkernels import warp_disparity
        >>> right = torch.tensor([[[[0.0, 10.0, 20.0], [0.0, 0.0, 0.0]]]])
        >>> warp_disparity(right, torch.full((1, 1, 2, 3), -0.5))[0, 0, 0]
        tensor([ 0.,  5., 15.])
    """
    return _warp(image, disparity, "disparity")


def warp_zero(image: Tensor, flow: Tensor) -> Tensor:
    """Bilinear look-up at pixel + flow; zero outside, extrapolated in (-1, 0).

    Per axis, with p the position and n the size: for p in (-1, 0) the line through pixels 0 and 1 is
    continued; for p <= -1 and p >= n - 1 the result is zero, so with zero flow the last row and column vanish.

    Args:
        image: (B, C, H, W).
        flow: (B, 2, H, W) px of `image`.

    Returns:
        (B, C, H, W).

    Raises:
        ValueError: the shapes do not fit.
        TypeError: the devices or dtypes do not fit.

    Source: the warp of DDFlow (AAAI 2019), which truncates towards zero and takes weights from the clipped
    neighbours. Where they cancel we give exact zeros (the original leaves rounding noise there).

    Example:
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
        raise ValueError(f"warp: an image is (B, C, H, W), got {tuple(image.shape)}")
    expected = (image.shape[0], 1 if convention == "disparity" else 2, *image.shape[-2:])
    if tuple(motion.shape) != expected:
        raise ValueError(
            f"warp: an image of shape {tuple(image.shape)} needs a motion of {expected}, got {tuple(motion.shape)}"
        )
    if image.device != motion.device:
        raise TypeError(
            f"warp: image and motion must be on one device, got {image.device} and {motion.device}"
        )
    if not (image.is_floating_point() and motion.is_floating_point()):
        raise TypeError(
            f"warp: image and motion must be floating point, got {image.dtype} and {motion.dtype}"
        )
    if image.dtype == motion.dtype:
        warped: Tensor = torch.ops.flowkernels.warp(image, motion, convention)
        return warped
    # The result has the image's dtype; positions have the finer of the two.
    dtype = torch.promote_types(image.dtype, motion.dtype)
    mixed: Tensor = torch.ops.flowkernels.warp(image.to(dtype), motion.to(dtype), convention)
    return mixed.to(image.dtype)
