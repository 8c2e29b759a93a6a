"""Helpers of the geometric transforms: apply a function to all maps, update the camera, add missing masks."""

import math
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor

from flowdistill.data.sample import DISPARITIES, OCCLUSION_OF, PIXEL_MAPS, Sample

# The mask of each motion in which a transform marks pixels as unusable; for other flows it is OCCLUSION_OF.
_VALID_OF = {key: f"valid_{key}" for key in ("flow", *DISPARITIES)}
ON_T1 = ("flow_backward", "occluded_backward", "teacher_flow_backward", "teacher_occluded_backward")
"""The labels on the grid of `left_t1`; all others are on that of `left_t0`."""


def is_stereo(sample: Sample) -> bool:
    """Whether a sample has data of two cameras."""
    return any(key in sample for key in ("right_t0", "right_t1", *DISPARITIES))


def on_maps(sample: Sample, function: Callable[[Tensor], Tensor]) -> dict[str, Any]:
    """Return a copy of a sample with `function` applied to each map."""
    return {
        key: function(value) if key in PIXEL_MAPS else value
        for key, value in cast(dict[str, Any], sample).items()
    }


def move_camera(out: dict[str, Any], scale: tuple[float, float], offset: tuple[float, float]) -> None:
    """Update the intrinsics for pixels that moved to ``x' = scale * x + offset`` (x, then y).

    A negative scale mirrors an axis of the image and of the world: focal lengths stay positive.
    """
    if "intrinsics" not in out:
        return
    old = out["intrinsics"]
    move, mirror = torch.eye(3, dtype=old.dtype), torch.eye(3, dtype=old.dtype)
    for axis in (0, 1):
        move[axis, axis], move[axis, 2] = scale[axis], offset[axis]
        mirror[axis, axis] = math.copysign(1, scale[axis])
    out["intrinsics"] = move @ old @ mirror


def with_masks(sample: Sample) -> dict[str, Any]:
    """Return a copy in which every motion has a mask; new masks mark all pixels as usable."""
    out: dict[str, Any] = dict(sample)
    for masks, everywhere in ((_VALID_OF, True), (OCCLUSION_OF, False)):
        for key, mask in masks.items():
            if key in out and mask not in out:
                out[mask] = torch.full_like(out[key][:1], everywhere, dtype=torch.bool)
    return out
