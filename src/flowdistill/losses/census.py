"""Census distance between the local brightness orders of two colour images, and its loss.

image      # (B, 3, H, W) RGB in [0, 1]
grey       # (B, 1, H, W) 0..255
distance   # (B, 1, H, W) 0..48
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

import flowkernels
from flowdistill.losses.ranks import ALONE, Ranks
from flowdistill.losses.robust import robust_loss
from flowdistill.ops.precision import float32_island

RADIUS = 3  # of the census window
_LUMA = (0.2989, 0.5870, 0.1140)


@float32_island
def census_distance(image1: Tensor, image2: Tensor) -> Tensor:
    """Compute the soft census distance of two images (B, 3, H, W) in [0, 1]: (B, 1, H, W), 0 where orders agree.

    Differentiable in both images; the formula is in `flowkernels.census_distance`.

    Source: DDFlow (AAAI 2019), census loss with a 7x7 window; after UnFlow (AAAI 2018).

    Examples:
        >>> import torch
        >>> from flowdistill.losses import census_distance
        >>> image = 0.5 * torch.rand(1, 3, 9, 9)
        >>> distance = census_distance(image, image + 0.25)  # brighter, in the same order
        >>> round(distance[..., 3:-3, 3:-3].max().item(), 3)  # the outside of the image counts as grey 0
        0.0
    """
    return flowkernels.census_distance(_grey(image1), _grey(image2))


@float32_island
def census_loss(image1: Tensor, image2: Tensor, mask: Tensor, ranks: Ranks = ALONE) -> Tensor:
    """Compute the robust loss of the census distance over `mask` (B, 1, H, W) without a border of 3 px, for the
    batch shared by `ranks`. Scalar.

    Source: DDFlow (AAAI 2019) and its released code.

    Examples:
        >>> import torch
        >>> from flowdistill.losses import census_loss
        >>> image, mask = torch.rand(1, 3, 16, 16), torch.ones(1, 1, 16, 16)
        >>> round(census_loss(image, image, mask).item(), 4)  # 0.01 ** 0.4 / 2, the minimum
        0.0792
        >>> (census_loss(image, image.flip(-1), mask) > 0.5).item()
        True
    """
    inner = F.pad(mask[..., RADIUS:-RADIUS, RADIUS:-RADIUS], (RADIUS,) * 4)
    return robust_loss(census_distance(image1, image2), inner, ranks)


def _grey(image: Tensor) -> Tensor:
    # Numbers, not a tensor of weights, which would be copied to the device at every step.
    red, green, blue = (image[:, k : k + 1] * weight for k, weight in enumerate(_LUMA))
    return (red + green + blue) * 255.0
