"""DWARF's losses against true or proxy labels.

    flow                         # (B, 2, H, W) px
    disparity_t0, disparity_t1   # (B, 1, H, W) px, positive, on the grid of left_t0
    valid_*                      # (B, 1, H, W) bool

Both run in float32 at any precision of the network, and compare in network units, full-resolution pixels / 20. They
sum over pixels: their size grows with the image, as in the original. Each returns its terms, weighted with the level's
alpha but not with the flow's factor 0.5, and their sum (with that factor) under "data_loss".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol

import torch
from torch import Tensor

from flowdistill.ops.area import area_averages
from flowdistill.ops.precision import float32_island, raised
from flowdistill.ops.resize import resize_legacy_bilinear
from flowdistill.ops.units import SCALE

NonFinite = Literal["zero", "mask"]
FLOW_WEIGHT = 0.5
# Published weights: pre-training on FlyingThings3D, fine-tuning on KITTI (level -> alpha).
PRETRAINING_ALPHAS = {2: 0.005, 3: 0.01, 4: 0.02, 5: 0.08, 6: 0.32}
KITTI_ALPHAS = {2: 0.001}


class Motion(Protocol):
    """Scene flow in full-resolution pixels at the resolution of a level."""

    flow: Tensor
    disparity_t0: Tensor
    disparity_t1: Tensor


@float32_island
def dwarf_pretraining_loss(
    levels: Mapping[int, Motion],
    flow: Tensor,
    disparity_t0: Tensor,
    disparity_t1: Tensor,
    alphas: Mapping[int, float] = PRETRAINING_ALPHAS,
    non_finite: NonFinite = "zero",
) -> dict[str, Tensor]:
    """Compute the multi-level L1 loss against dense labels, area-averaged to each level's size.

    Args:
        levels: the network's output, level -> motion in full-resolution pixels.
        flow, disparity_t0, disparity_t1: labels at full size, NaN or infinite where unknown.
        alphas: level -> weight; levels that are not listed are ignored.
        non_finite: handling of unknown labels. "zero" is the published behaviour: one such pixel makes its whole
            area cell a label of 0. "mask" excludes unknown pixels from the average, and cells without any
            known pixel from the loss.

    Returns:
        "level{l}/flow", "level{l}/disparity_t0", "level{l}/disparity_t1" and "data_loss" (the flow terms times
        0.5): scalars, summed over pixels, averaged over the batch.

    Source: DWARF (AAAI 2020), training on FlyingThings3D; released code for the weights.

    Examples:
        >>> import torch
        >>> from flowdistill.losses import dwarf_pretraining_loss
        >>> from flowdistill.networks import SceneMotion
        >>> found = SceneMotion(torch.zeros(1, 2, 2, 2), torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2))
        >>> flow, disparity = torch.full((1, 2, 8, 8), 20.0), torch.zeros(1, 1, 8, 8)  # px
        >>> terms = dwarf_pretraining_loss({2: found}, flow, disparity, disparity, alphas={2: 1.0})
        >>> terms["level2/flow"].item(), terms["data_loss"].item()  # 4 cells, x and y wrong by 20 px, 1 unit each
        (8.0, 4.0)
    """
    labels = _maps(flow, disparity_t0, disparity_t1)
    averages = area_averages(labels, alphas, "spread" if non_finite == "zero" else "leave_out")
    sums = {
        level: alpha * _l1(_level(levels[level]), averages[level], None, non_finite)
        for level, alpha in alphas.items()
    }
    return _terms(sums)


@float32_island
def dwarf_kitti_loss(
    levels: Mapping[int, Motion],
    flow: Tensor,
    disparity_t0: Tensor,
    disparity_t1: Tensor,
    valid_flow: Tensor,
    valid_disparity_t0: Tensor,
    valid_disparity_t1: Tensor,
    alphas: Mapping[int, float] = KITTI_ALPHAS,
    non_finite: NonFinite = "zero",
) -> dict[str, Tensor]:
    """Compute the L1 loss against sparse labels, at full size (legacy bilinear up-sampling) and only where valid.

    Args:
        levels: the network's output, level -> motion in full-resolution pixels.
        flow, disparity_t0, disparity_t1: labels at full size; any value where invalid.
        valid_*: (B, 1, H, W) bool; invalid pixels contribute exactly 0.
        alphas: level -> weight.
        non_finite: a valid but non-finite label counts as 0 ("zero", published) or is ignored ("mask").

    Returns:
        As `dwarf_pretraining_loss`. Sums over pixels are **not** divided by the number of valid ones.

    Source: DWARF (AAAI 2020), fine-tuning on KITTI; released code for the weights.

    Examples:
        >>> import torch
        >>> from flowdistill.losses import dwarf_kitti_loss
        >>> from flowdistill.networks import SceneMotion
        >>> found = SceneMotion(torch.zeros(1, 2, 2, 2), torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2))
        >>> flow, disparity = torch.full((1, 2, 8, 8), 20.0), torch.zeros(1, 1, 8, 8)  # px
        >>> valid = torch.zeros(1, 1, 8, 8, dtype=torch.bool)
        >>> valid[..., 0, 0] = True
        >>> terms = dwarf_kitti_loss({2: found}, flow, disparity, disparity, valid, valid, valid, alphas={2: 1.0})
        >>> terms["level2/flow"].item(), terms["data_loss"].item()  # 1 pixel, x and y wrong by 20 px, 1 unit each
        (2.0, 1.0)
    """
    labels = _maps(flow, disparity_t0, disparity_t1)
    valid = torch.cat([valid_flow.expand_as(flow), valid_disparity_t0, valid_disparity_t1], dim=1)
    size = (flow.shape[-2], flow.shape[-1])
    sums = {
        level: alpha * _l1(resize_legacy_bilinear(_level(levels[level]), size), labels, valid, non_finite)
        for level, alpha in alphas.items()
    }
    return _terms(sums)


def _level(motion: Motion) -> Tensor:
    return _maps(motion.flow, motion.disparity_t0, motion.disparity_t1)


def _maps(flow: Tensor, disparity_t0: Tensor, disparity_t1: Tensor) -> Tensor:
    """Concatenate the three motions to one map (B, 4, H, W), so that one kernel of each kind handles all."""
    return raised(torch.cat([flow, disparity_t0, disparity_t1], dim=1))


def _l1(predicted: Tensor, label: Tensor, valid: Tensor | None, non_finite: NonFinite) -> Tensor:
    """Sum absolute differences of (B, 4, H, W) over pixels, mean over the batch, in network units: (4,)."""
    if non_finite == "mask":
        finite = torch.isfinite(label)
        both = finite[:, 0:1] & finite[:, 1:2]  # a flow is known if x and y are
        finite = torch.cat([both, both, finite[:, 2:]], dim=1)
        valid = finite if valid is None else valid & finite
    elif non_finite != "zero":
        raise ValueError(f'non_finite must be "zero" or "mask", got {non_finite!r}')
    difference = (predicted - torch.nan_to_num(label, 0.0, 0.0, 0.0)).abs()
    if valid is not None:
        difference = torch.where(valid, difference, 0.0)
    return difference.sum(dim=(0, 2, 3)) / (SCALE * predicted.shape[0])


def _terms(sums: Mapping[int, Tensor]) -> dict[str, Tensor]:
    """Return the terms from the levels' sums (4,), and their weighted sum."""
    levels = torch.stack(list(sums.values()))  # (levels, 4)
    flow, disparities = levels[:, :2].sum(dim=1), levels[:, 2:]
    terms: dict[str, Tensor] = {}
    for k, level in enumerate(sums):
        terms |= {
            f"level{level}/flow": flow[k],
            f"level{level}/disparity_t0": disparities[k, 0],
            f"level{level}/disparity_t1": disparities[k, 1],
        }
    return {**terms, "data_loss": FLOW_WEIGHT * flow.sum() + disparities.sum()}
