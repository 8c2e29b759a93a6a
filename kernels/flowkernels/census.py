"""Census distance between the local brightness orders of two grey images.

grey       # (B, 1, H, W) 0..255
distance   # (B, 1, H, W) 0..48
"""

from __future__ import annotations

import torch
from torch import Tensor

from flowkernels.operators import census as _registered  # noqa: F401  (defines the operators)


def census_distance(grey1: Tensor, grey2: Tensor) -> Tensor:
    """Compute the soft census distance over a 7x7 window, 0 where the brightness orders agree.

    Each of the 48 neighbours gives a soft sign t / sqrt(0.81 + t^2) of its difference t to the centre; squared
    differences e of the two images' signs are summed as e / (0.1 + e). Neighbours outside the image count as grey 0.
    Differentiable in both images; repeated runs are bit-identical.

    Args:
        grey1, grey2: (B, 1, H, W), grey values 0..255.

    Returns:
        (B, 1, H, W).

    Raises:
        ValueError: different shapes, or more than one channel.
        TypeError: different devices, or dtypes that are not floating-point.

    Source: DDFlow (AAAI 2019), census loss with a 7x7 window; after UnFlow (AAAI 2018).

    Examples:
        >>> import torch
        >>> from flowkernels import census_distance
        >>> grey = 255 * torch.rand(1, 1, 8, 8)
        >>> census_distance(grey, grey).max()
        tensor(0.)
    """
    if grey1.shape != grey2.shape or grey1.dim() != 4 or grey1.shape[1] != 1:
        raise ValueError(
            f"census_distance needs two grey images (B, 1, H, W) of the same shape, got {tuple(grey1.shape)} and "
            f"{tuple(grey2.shape)}"
        )
    if grey1.device != grey2.device:
        raise TypeError(
            f"census_distance needs two images on the same device, got {grey1.device} and {grey2.device}"
        )
    if not (grey1.is_floating_point() and grey2.is_floating_point()):
        raise TypeError(f"census_distance needs floating-point images, got {grey1.dtype} and {grey2.dtype}")
    dtype = torch.promote_types(grey1.dtype, grey2.dtype)
    distance: Tensor = torch.ops.flowkernels.census(grey1.to(dtype), grey2.to(dtype))
    return distance
