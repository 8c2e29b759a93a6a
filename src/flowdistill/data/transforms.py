"""Geometric transforms: what moves pixels also moves labels, changes vector values and keeps the intrinsics
true.

Each is a callable ``(sample, rng) -> sample`` that leaves its input alone. Maps are ``(C, H, W)``.
"""

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from flowdistill.data.sample import (
    DISPARITIES,
    FLOWS,
    IMAGES,
    OCCLUSIONS,
    PIXEL_MAPS,
    Sample,
    image_size,
)
from flowdistill.errors import UserError
from flowdistill.ops.padding import centred_padding, reflect_pad

# The mask that says where a motion is to be trusted, so that padding can say "not here".
_VALID_OF = {key: f"valid_{key}" for key in ("flow", *DISPARITIES)}
_OCCLUDED_OF = {
    "flow_backward": "occluded_backward",
    "teacher_flow": "teacher_occluded",
    "teacher_flow_backward": "teacher_occluded_backward",
}


class ReflectPad:
    """Pad, centred, to at least `size` (height, width).

    Images are reflected. Labels are not: a reflected motion would point the wrong way. Padded pixels of
    labels are 0, not valid and occluded (no other image shows them); masks that say so are added if the
    sample has none. `size` keeps the original height and width.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = size

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        rows, columns = centred_padding(image_size(sample), self.size)
        if not any(rows + columns):
            return sample
        out = _with_masks(sample)
        for key in PIXEL_MAPS:
            if key in IMAGES and key in out:
                out[key] = reflect_pad(out[key], rows, columns)
            elif key in out:
                out[key] = F.pad(out[key], (*columns, *rows), value=key in OCCLUSIONS)
        _move_principal_point(out, dx=columns[0], dy=rows[0])
        return cast(Sample, out)


class RandomCrop:
    """Cut a window of `size` (height, width) at a random place; the same for everything in the sample.

    The sample's `size` becomes the window's: nothing is left to undo. Raises UserError for smaller images.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = size

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        (height, width), (crop_height, crop_width) = image_size(sample), self.size
        if crop_height > height or crop_width > width:
            raise UserError(
                f"Sample {sample['name']} is {height}x{width} (height x width), smaller than the crop of "
                f"{crop_height}x{crop_width}. Make crop smaller in the data config, or set pad_to to at "
                "least the crop's size."
            )
        top = int(rng.integers(height - crop_height + 1))
        left = int(rng.integers(width - crop_width + 1))
        out = _on_maps(sample, lambda m: m[:, top : top + crop_height, left : left + crop_width])
        _move_principal_point(out, dx=-left, dy=-top)
        out["size"] = torch.tensor(self.size, dtype=torch.int64)
        return cast(Sample, out)


class RandomFlips:
    """Flip left-right and top-bottom, each with probability 1/2.

    For flow samples only: a left-right flip of a stereo pair would make the left camera the right one. Raises
    UserError for such a sample.
    """

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        if stereo := [key for key in ("right_t0", "right_t1", *DISPARITIES) if key in sample]:
            raise UserError(
                f"Sample {sample['name']} holds {', '.join(stereo)}: flips would swap the cameras of a "
                "stereo pair. Set flips: false for the scene_flow view."
            )
        horizontal, vertical = rng.random(2) < 0.5
        if horizontal:
            sample = flip_left_right(sample)
        if vertical:
            sample = flip_top_bottom(sample)
        return sample


class ChannelSwap:
    """Permute red, green and blue: a random one of the six orders, the same in all images."""

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        order = torch.from_numpy(rng.permutation(3))
        out: dict[str, Any] = dict(sample)
        for key in IMAGES:
            if key in out:
                out[key] = out[key][order]
        return cast(Sample, out)


def flip_left_right(sample: Sample) -> Sample:
    """Mirror a flow sample: x of every flow changes its sign, cx becomes W - 1 - cx."""
    return _flip(sample, axis=-1, component=0)


def flip_top_bottom(sample: Sample) -> Sample:
    """Turn a flow sample upside down: y of every flow changes its sign, cy becomes H - 1 - cy."""
    return _flip(sample, axis=-2, component=1)


def _flip(sample: Sample, axis: int, component: int) -> Sample:
    length = sample["left_t0"].shape[axis]
    out = _on_maps(sample, lambda m: m.flip(axis))
    for key in FLOWS:
        if key in out:
            # `flip` made a copy, so this does not reach the caller's tensor.
            out[key][component].neg_()
    if "intrinsics" in out:
        out["intrinsics"] = out["intrinsics"].clone()
        out["intrinsics"][component, 2] = length - 1 - out["intrinsics"][component, 2]
    return cast(Sample, out)


def _on_maps(sample: Sample, function: Callable[[Tensor], Tensor]) -> dict[str, Any]:
    return {
        key: function(value) if key in PIXEL_MAPS else value
        for key, value in cast(dict[str, Any], sample).items()
    }


def _move_principal_point(out: dict[str, Any], dx: int, dy: int) -> None:
    if "intrinsics" in out:
        out["intrinsics"] = out["intrinsics"].clone()
        out["intrinsics"][0, 2] += dx
        out["intrinsics"][1, 2] += dy


def _with_masks(sample: Sample) -> dict[str, Any]:
    """A copy in which every motion has the mask that tells where it is to be used."""
    out: dict[str, Any] = dict(sample)
    for masks, everywhere in ((_VALID_OF, True), (_OCCLUDED_OF, False)):
        for key, mask in masks.items():
            if key in out and mask not in out:
                out[mask] = torch.full_like(out[key][:1], everywhere, dtype=torch.bool)
    return out
