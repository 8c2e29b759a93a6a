"""Conversion of file contents to a sample of the batch contract: signs, masks, units.

One rule per quantity, the same for every dataset:

* images become float32 RGB in [0, 1];
* disparities become positive, and a change is added to the disparity it belongs to, so that `disparity_t1` is absolute;
* unknown motions are 0 and not valid (backward and teacher flow: occluded); a disparity is valid where it is positive;
* `valid_flow_noc` is `valid_flow` outside `occluded`, unless the files contain it.
"""

from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from flowdistill.data.calibration import Calibration
from flowdistill.data.files import Content, SampleFile
from flowdistill.data.sample import DISPARITIES, IMAGES, OCCLUSION_OF, OCCLUSIONS, PIXEL_MAPS, VALID_MASKS
from flowdistill.data.splits import Camera
from flowdistill.errors import UserError

# The keys that are essential for a view. Others are optional in a sample.
ESSENTIAL = frozenset(
    key
    for key in PIXEL_MAPS
    if key.startswith("teacher_") or key.removeprefix("valid_") in (*IMAGES, "flow", *DISPARITIES)
)


def keys_of(files: Iterable[SampleFile]) -> set[str]:
    """Return the keys of a sample made from these files, besides `name` and `size`, without reading them."""
    keys: set[str] = set()
    for file in files:
        keys.add(file.key)
        if file.kind.quantity == "calibration":
            keys.add("baseline")
        elif _is_motion(file):
            keys.add(OCCLUSION_OF.get(file.key, f"valid_{file.key}"))
    if {"occluded", "valid_flow"} <= keys:
        keys.add("valid_flow_noc")
    return keys


def check_size(path: str, content: Content, reference: str, size: tuple[int, ...]) -> None:
    """Check that a file has the (height, width) of the first one of its sample, `reference`.

    Raises:
        UserError: if the sizes differ.
    """
    height, width = content.values.shape[:2]
    if (height, width) != size:
        raise UserError(
            f"Files of one sample differ in size (height x width): {reference} is {size[0]}x{size[1]}, "
            f"{path} is {height}x{width}. Replace the wrong one or remove the sample from the split."
        )


def add_content(
    sample: dict[str, Any], file: SampleFile, content: Content | Calibration, camera: Camera
) -> None:
    """Add the contents of a file to a sample; files must be added in the order of `MotionDataset.files`.

    Raises:
        UserError: if most disparities have the wrong sign.
    """
    key = file.key
    if isinstance(content, Calibration):
        sample[key] = torch.from_numpy(content.intrinsics(camera))
        sample["baseline"] = torch.tensor(content.baseline, dtype=torch.float32)
    elif file.kind.quantity == "image":
        sample[key] = _to_image(content.values)
    elif file.kind.quantity == "object_map":
        sample[key] = _to_map(content.values > 0)
    elif file.kind.quantity == "mask":
        _add_mask(sample, key, _to_map(content.values))
    elif content.valid is None:
        raise ValueError(f"{file.path}: the reader of a {file.kind.title} must return a valid mask")
    elif _is_motion(file):
        _add_motion(sample, file, content.values, content.valid)
    else:
        sample[key] = torch.from_numpy(content.valid[None])


def finish(sample: dict[str, Any]) -> None:
    """Add the keys that are derived from others."""
    if "occluded" in sample and "valid_flow" in sample and "valid_flow_noc" not in sample:
        sample["valid_flow_noc"] = sample["valid_flow"] & ~sample["occluded"]


def _is_motion(file: SampleFile) -> bool:
    return file.kind.quantity in ("flow", "disparity", "disparity_change") and file.key not in VALID_MASKS


def _add_motion(sample: dict[str, Any], file: SampleFile, values: np.ndarray, known: np.ndarray) -> None:
    key, kind = file.key, file.kind
    motion, valid = _to_map(values), torch.from_numpy(known[None])
    if kind.sign < 0:
        motion.neg_()
    if kind.quantity == "disparity":
        positive = motion > 0
        _check_sign(file, positive, valid)
        valid &= positive
    elif kind.quantity == "disparity_change":
        motion += sample["disparity_t0"]
        # A disparity of 0 or less at t1 belongs to a point behind the camera.
        valid &= sample["valid_disparity_t0"] & (motion > 0)
    if kind.holds_unknown and not valid.all():
        motion.masked_fill_(~valid, 0)
    sample[key] = motion
    if key in OCCLUSION_OF:
        sample[OCCLUSION_OF[key]] = ~valid
    else:
        sample[f"valid_{key}"] = valid


def _add_mask(sample: dict[str, Any], key: str, mask: Tensor) -> None:
    if key in OCCLUSIONS:
        sample[key] = mask | sample[key] if key in sample else mask
    else:
        # Marked pixels are removed from the key's mask, or for a `_noc` key from the mask of all pixels with truth.
        sample[key] = sample[key.removesuffix("_noc")] & ~mask


def _check_sign(file: SampleFile, positive: Tensor, valid: Tensor) -> None:
    # numpy counts a mask many times as fast as torch sums one.
    right, total = (int(np.count_nonzero(mask.numpy())) for mask in (positive & valid, valid))
    if 2 * right < total:
        stored, found = ("positive", "negative or 0") if file.kind.sign > 0 else ("negative", "positive or 0")
        raise UserError(
            f"{file.path}: this layout stores the disparities of this camera as {stored} numbers, but here "
            f"{total - right} of {total} are {found}. Does the file belong to another layout or to the other camera?"
        )


def _to_image(values: np.ndarray) -> Tensor:
    """(H, W, 3) uint8 to (3, H, W) float32 in [0, 1]."""
    planes = _to_map(values).numpy()
    # In one pass, into an array allocated by numpy, which requests huge pages: page faults of a new array of this size
    # cost more than the arithmetic.
    image = np.empty(planes.shape, np.float32)
    return torch.from_numpy(np.divide(planes, np.float32(255), out=image))


def _to_map(values: np.ndarray) -> Tensor:
    """(H, W, C) to (C, H, W), dtype kept."""
    height, width, channels = values.shape
    if channels == 1:
        return torch.from_numpy(values.reshape(1, height, width))
    planes = np.empty((channels, height, width), values.dtype)
    if values.flags.c_contiguous:
        cv2.split(values, list(planes))  # writes into `planes`; three times as fast as a transposed copy
    else:
        planes[...] = values.transpose(2, 0, 1)
    return torch.from_numpy(planes)
