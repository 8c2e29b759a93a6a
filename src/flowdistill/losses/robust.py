"""The robust penalty of the unsupervised losses.

difference   # (B, C, H, W)
mask         # (B, 1, H, W) weights, usually 0 or 1
"""

from torch import Tensor

from flowdistill.losses.ranks import ALONE, Ranks
from flowdistill.ops.precision import float32_island


@float32_island
def robust_loss(difference: Tensor, mask: Tensor, ranks: Ranks = ALONE) -> Tensor:
    """Compute half the masked mean of (|d| + 0.01)^0.4: sum(mask * (|d| + 0.01)^0.4) / (2 * sum(mask) + 1e-6).

    The numerator sums over all channels, the mask counts once per pixel; an empty mask gives 0. Scalar.

    Sums run over all `ranks`, which share the batch: the mean of their results is the loss of the whole batch.

    Source: DDFlow (AAAI 2019), eq. 1 and its released code.

    Examples:
        >>> import torch
        >>> from flowdistill.losses import robust_loss
        >>> difference = torch.full((1, 3, 4, 4), 0.99)  # (0.99 + 0.01) ** 0.4 is 1, in each of 3 channels
        >>> round(robust_loss(difference, torch.ones(1, 1, 4, 4)).item(), 4)
        1.5
    """
    penalty = (difference.abs() + 0.01) ** 0.4
    return ranks.ratio((penalty * mask).sum(), 2 * mask.sum(), 1e-6)
