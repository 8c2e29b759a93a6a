"""A teacher's raw prediction for one sample, before confidence filtering.

values   # (H, W, 2) flow, px, x then y; (H, W, 1) disparity, px, positive
known    # (H, W) bool: the teacher gives a value here
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np
import numpy.typing as npt
from torch import Tensor

from flowdistill.data.sample import Sample
from flowdistill.errors import UserError

Values = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

MOTIONS = (
    "flow",
    "flow_backward",
    "disparity_t0",  # on the grid of left_t0
    "disparity_right_t0",  # on that of right_t0, positive too
    "disparity_next",  # on that of left_t1: plain stereo of the second pair
    "disparity_right_next",  # on that of right_t1
    "disparity_t1",  # the contract's: that of time t1 on the grid of left_t0
)
"""All motions that a teacher may give. The last is derived from the others if a teacher does not give it."""


@dataclass(frozen=True)
class Estimate:
    """One motion of one teacher; `values` are finite, and 0 where it is not `known`.

    `spread` (H, W), px: difference between several predictions of the same teacher, if it made several.
    `probability` (H, W): that the error is under 3 px, from a calibrated teacher.
    """

    values: Values
    known: Mask
    spread: Values | None = None
    probability: Values | None = None


class Teacher(Protocol):
    """Predicts motions of a sample: some of `MOTIONS`, as far as the sample has the images for them."""

    def __call__(self, sample: Sample) -> dict[str, Estimate]:
        """Return estimates by name, all of the images' size. Raises UserError if something is wrong with them."""


def estimate(
    values: npt.ArrayLike,
    known: Mask | None = None,
    spread: Values | None = None,
    probability: Values | None = None,
) -> Estimate:
    """Make an estimate that is known where `known` is true (default: everywhere) and every channel is finite.

    Examples:
        >>> import numpy as np
        >>> from flowdistill.labels.estimate import estimate
        >>> found = estimate([[[37.5], [np.nan]]])  # disparity (1, 2, 1) px
        >>> found.values[..., 0].tolist(), found.known.tolist()
        ([[37.5, 0.0]], [[True, False]])
    """
    array = np.asarray(values, dtype=np.float32)
    says = np.logical_and.reduce(np.isfinite(array), axis=2)
    if known is not None:
        says &= known
    return Estimate(np.where(says[..., None], array, np.float32(0)), says, spread, probability)


def image_array(sample: Sample, key: str) -> npt.NDArray[np.uint8]:
    """Return an image of a sample as (H, W, 3) uint8 RGB, as in its file.

    Raises:
        UserError: the sample has no such image.

    Examples:
        >>> import torch
        >>> from flowdistill.labels.estimate import image_array
        >>> image_array({"name": "a", "left_t0": torch.full((3, 2, 2), 0.2)}, "left_t0")[0, 0].tolist()
        [51, 51, 51]
    """
    images = cast(dict[str, Tensor], sample)
    if key not in images:
        raise UserError(
            f"{sample['name']}: a teacher needs {key}, which this view of the data does not have. Set view: "
            "scene_flow, or make only flow labels (disparity: [])."
        )
    image = images[key].numpy()
    return np.ascontiguousarray(np.rint(image.transpose(1, 2, 0) * 255).astype(np.uint8))
