"""DWARF's losses against true or proxy labels.

    flow                         # (B, 2, H, W) px
    disparity_t0, disparity_t1   # (B, 1, H, W) px, positive, on the grid of left_t0
    valid_*                      # (B, 1, H, W) bool

Both compare in network units, full-resolution pixels / 20, and sum over pixels: their size grows with the image, as in
the original. Each returns its terms, weighted with the level's alpha and not yet with the flow's factor 0.5, and
their sum under "data_loss".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol

import torch
from torch import Tensor

from flowdistill.ops.resize import area_average, resize_legacy_bilinear

NonFinite = Literal["zero", "mask"]
SCALE = 20.0
FLOW_WEIGHT = 0.5
# Published weights: pre-training on FlyingThings3D, fine-tuning on KITTI (level -> alpha).
PRETRAINING_ALPHAS = {2: 0.005, 3: 0.01, 4: 0.02, 5: 0.08, 6: 0.32}
KITTI_ALPHAS = {2: 0.001}
_MOTIONS = ("flow", "disparity_t0", "disparity_t1")


class Motion(Protocol):
    """Scene flow in full-resolution pixels at some level's resolution."""

    flow: Tensor
    disparity_t0: Tensor
    disparity_t1: Tensor


def dwarf_pretraining_loss(
    levels: Mapping[int, Motion],
    flow: Tensor,
    disparity_t0: Tensor,
    disparity_t1: Tensor,
    alphas: Mapping[int, float] = PRETRAINING_ALPHAS,
    non_finite: NonFinite = "zero",
) -> dict[str, Tensor]:
    """Multi-level L1 against dense labels, averaged over areas to each level's size.

    Args:
        levels: the network's output, level -> motion in full-resolution pixels.
        flow, disparity_t0, disparity_t1: labels at full size, NaN or infinite where unknown.
        alphas: level -> weight; levels that are not named do not count.
        non_finite: what an unknown label does. "zero" is the published behaviour: one such pixel makes its whole
            area cell a label of 0. "mask" leaves unknown pixels out of the average, and cells without any
            known pixel out of the loss.

    Returns:
        "level{l}/flow", "level{l}/disparity_t0", "level{l}/disparity_t1" and "data_loss" (the flow terms times
        0.5): scalars, summed over pixels, averaged over the batch.

    Source: DWARF (AAAI 2020), training on FlyingThings3D; released code for the weights.
    """
    labels = {"flow": flow, "disparity_t0": disparity_t0, "disparity_t1": disparity_t1}
    terms: dict[str, Tensor] = {}
    for level, alpha in alphas.items():
        for name in _MOTIONS:
            policy: Literal["spread", "leave_out"] = "spread" if non_finite == "zero" else "leave_out"
            label = area_average(labels[name], level, policy)
            predicted = getattr(levels[level], name)
            terms[f"level{level}/{name}"] = alpha * _l1(predicted, label, None, non_finite)
    return _with_sum(terms)


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
    """L1 against sparse labels: each level is enlarged to full size (legacy bilinear) and compared where valid.

    Args:
        levels: the network's output, level -> motion in full-resolution pixels.
        flow, disparity_t0, disparity_t1: labels at full size; anything where invalid.
        valid_*: (B, 1, H, W) bool; invalid pixels contribute exactly 0.
        alphas: level -> weight.
        non_finite: a valid but non-finite label counts as 0 ("zero", published) or not at all ("mask").

    Returns:
        As `dwarf_pretraining_loss`. Sums over pixels are **not** divided by the number of valid ones.

    Source: DWARF (AAAI 2020), fine-tuning on KITTI; released code for the weights.
    """
    labels = {"flow": flow, "disparity_t0": disparity_t0, "disparity_t1": disparity_t1}
    valid = {"flow": valid_flow, "disparity_t0": valid_disparity_t0, "disparity_t1": valid_disparity_t1}
    size = (flow.shape[-2], flow.shape[-1])
    terms: dict[str, Tensor] = {}
    for level, alpha in alphas.items():
        for name in _MOTIONS:
            predicted = resize_legacy_bilinear(getattr(levels[level], name), size)
            terms[f"level{level}/{name}"] = alpha * _l1(predicted, labels[name], valid[name], non_finite)
    return _with_sum(terms)


def _l1(predicted: Tensor, label: Tensor, valid: Tensor | None, non_finite: NonFinite) -> Tensor:
    """Sum of absolute differences over channels and pixels, mean over the batch, in network units."""
    finite = torch.isfinite(label).all(dim=1, keepdim=True)
    if non_finite == "mask":
        valid = finite if valid is None else valid & finite
    elif non_finite != "zero":
        raise ValueError(f'non_finite must be "zero" or "mask", got {non_finite!r}')
    label = torch.where(torch.isfinite(label), label, torch.zeros_like(label))
    difference = (predicted - label).abs() / SCALE
    if valid is not None:
        difference = torch.where(valid, difference, torch.zeros_like(difference))
    return difference.sum() / predicted.shape[0]


def _with_sum(terms: dict[str, Tensor]) -> dict[str, Tensor]:
    weighted = [value * FLOW_WEIGHT if name.endswith("/flow") else value for name, value in terms.items()]
    return {**terms, "data_loss": torch.stack(weighted).sum()}
