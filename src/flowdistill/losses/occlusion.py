"""Occlusion estimation from the flows alone.

flow       # (B, 2, H, W) px, x then y
occluded   # (B, 1, H, W) bool
"""

import torch
from torch import Tensor

from flowdistill.ops.precision import float32_island
from flowkernels import warp_zero


@float32_island
def occlusion_masks(flow_forward: Tensor, flow_backward: Tensor) -> tuple[Tensor, Tensor]:
    """Estimate occlusions by a forward-backward check: True where the two flows are inconsistent.

    With w the other direction's flow warped by f: |f + w|^2 > 0.01 (|f|^2 + |w|^2) + 0.5.

    Args:
        flow_forward: (B, 2, H, W) px on the grid of image 1.
        flow_backward: (B, 2, H, W) px on the grid of image 2.

    Returns:
        (occluded_forward on image 1's grid, occluded_backward on image 2's), bool. Without gradients.

    Source: DDFlow (AAAI 2019), "Occlusion estimation"; its released code.

    Examples:
        >>> import torch
        >>> from flowdistill.losses import occlusion_masks
        >>> flow = torch.tensor([1.0, 0.0]).view(1, 2, 1, 1).expand(1, 2, 3, 5)  # everything moves right by one pixel
        >>> occluded_forward, occluded_backward = occlusion_masks(flow, -flow)
        >>> occluded_forward[0, 0, 0].int()  # samples at the last column and beyond are zero
        tensor([0, 0, 0, 1, 1], dtype=torch.int32)
        >>> occluded_backward[0, 0, 0].int()
        tensor([1, 0, 0, 0, 0], dtype=torch.int32)
    """
    with torch.no_grad():
        return _inconsistent(flow_forward, flow_backward), _inconsistent(flow_backward, flow_forward)


def _inconsistent(flow: Tensor, other: Tensor) -> Tensor:
    returned = warp_zero(other, flow)
    gap = (flow + returned).square().sum(dim=1, keepdim=True)
    size = flow.square().sum(dim=1, keepdim=True) + returned.square().sum(dim=1, keepdim=True)
    return gap > 0.01 * size + 0.5
