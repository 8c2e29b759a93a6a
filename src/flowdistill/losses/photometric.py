"""The unsupervised losses of DDFlow: photometric losses between the first image and the second warped by the flow.

image1, image2   # (B, 3, H, W) RGB in [0, 1]
flow             # (B, 2, H, W) px
occluded         # (B, 1, H, W) bool
"""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor

from flowdistill.losses.census import census_loss
from flowdistill.losses.ranks import ALONE, Ranks
from flowdistill.losses.robust import robust_loss
from flowdistill.ops.precision import float32_island
from flowkernels import warp_zero

#: What is compared, and where, by the names of the released code: `_occlusion` leaves occluded pixels out.
PHOTOMETRIC_TERMS = (
    "abs_robust_mean_no_occlusion",
    "abs_robust_mean_occlusion",
    "census_no_occlusion",
    "census_occlusion",
)
#: The same terms by names that say which pixels they average over -> the released name.
PLAIN_TERMS = {
    "abs_robust_mean_all_pixels": "abs_robust_mean_no_occlusion",
    "abs_robust_mean_visible": "abs_robust_mean_occlusion",
    "census_all_pixels": "census_no_occlusion",
    "census_visible": "census_occlusion",
}
#: Every name of a photometric term.
PHOTOMETRIC_NAMES = (*PHOTOMETRIC_TERMS, *PLAIN_TERMS)


def released_term(name: str) -> str:
    """The released code's name of a term; other names come back as they are."""
    return PLAIN_TERMS.get(name, name)


def masks_occlusion(name: str) -> bool:
    """Whether a photometric term averages over the visible pixels only."""
    return name in PHOTOMETRIC_NAMES and not released_term(name).endswith("_no_occlusion")


@float32_island
def photometric_losses(
    image1: Tensor,
    image2: Tensor,
    flow_forward: Tensor,
    flow_backward: Tensor,
    occluded_forward: Tensor,
    occluded_backward: Tensor,
    terms: Collection[str] = PHOTOMETRIC_TERMS,
    ranks: Ranks = ALONE,
) -> dict[str, Tensor]:
    """Compute photometric losses, each summed over both directions.

    Args:
        image1, image2: (B, 3, H, W) RGB in [0, 1].
        flow_forward: (B, 2, H, W) px on image 1's grid; flow_backward on image 2's.
        occluded_forward, occluded_backward: (B, 1, H, W) bool or 0/1; excluded by the `_occlusion` terms
            (the `_no_occlusion` terms ignore occlusion and average over all pixels).
        terms: the terms to compute, from `PHOTOMETRIC_TERMS` or `PLAIN_TERMS`.
        ranks: the processes that share the batch.

    Returns:
        term -> scalar. `abs_robust_mean_*` compare colours, `census_*` the local order of grey values.

    Raises:
        ValueError: an unknown term.

    Source: DDFlow (AAAI 2019) and its released code.

    Examples:
        >>> import torch
        >>> from flowdistill.losses import occlusion_masks, photometric_losses
        >>> image1 = torch.rand(1, 3, 16, 16)
        >>> image2 = image1.roll(1, dims=-1)  # everything moves right by one pixel
        >>> flow = torch.tensor([1.0, 0.0]).view(1, 2, 1, 1).expand(1, 2, 16, 16)
        >>> term = "abs_robust_mean_occlusion"
        >>> losses = photometric_losses(image1, image2, flow, -flow, *occlusion_masks(flow, -flow), terms=[term])
        >>> round(losses[term].item(), 4)  # 0.01 ** 0.4 / 2 for each of 3 channels and 2 directions: no difference
        0.4755
    """
    unknown = set(terms) - set(PHOTOMETRIC_NAMES)
    if unknown:
        raise ValueError(
            f"unknown photometric terms {sorted(unknown)}; known: {', '.join(PHOTOMETRIC_NAMES)}"
        )
    warped = ((image1, warp_zero(image2, flow_forward)), (image2, warp_zero(image1, flow_backward)))
    visible = [1.0 - occluded.to(image1.dtype) for occluded in (occluded_forward, occluded_backward)]
    everywhere = [torch.ones_like(mask) for mask in visible]
    losses: dict[str, Tensor] = {}
    for term in PHOTOMETRIC_NAMES:
        if term not in terms:
            continue
        masks = visible if masks_occlusion(term) else everywhere
        losses[term] = sum(
            (
                census_loss(image, other, mask, ranks)
                if term.startswith("census")
                else robust_loss(image - other, mask, ranks)
                for (image, other), mask in zip(warped, masks, strict=True)
            ),
            start=image1.new_zeros(()),
        )
    return losses
