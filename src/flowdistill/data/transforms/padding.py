"""Reflect padding and its inverse."""

from typing import cast

import numpy as np
import torch.nn.functional as F

from flowdistill.data.sample import IMAGES, OCCLUSIONS, PIXEL_MAPS, Sample, image_size
from flowdistill.data.transforms.maps import move_camera, on_maps, with_masks
from flowdistill.ops.padding import centred_padding, crop_to, reflect_pad


class ReflectPad:
    """Pad symmetrically to at least `size` (height, width).

    Images are reflected. Labels are not: a reflected motion would point in the wrong direction. Padded pixels of
    labels are 0, not valid and occluded (no other image shows them); missing masks are added, even if nothing
    is padded, so that samples of different sizes can form a batch. `size` keeps the original height and width.

    Examples:
        >>> import numpy as np
        >>> import torch
        >>> from flowdistill.data.transforms import ReflectPad
        >>> sample = {"name": "a", "left_t0": torch.rand(3, 4, 6), "flow": torch.ones(2, 4, 6)}
        >>> padded = ReflectPad((6, 8))(sample, np.random.default_rng(0))
        >>> padded["left_t0"].shape, padded["valid_flow"].sum().item()  # the labels of 4 x 6 pixels
        (torch.Size([3, 6, 8]), 24)
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = size

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        rows, columns = centred_padding(image_size(sample), self.size)
        out = with_masks(sample)
        for key in PIXEL_MAPS:
            if key in IMAGES and key in out:
                out[key] = reflect_pad(out[key], rows, columns)
            elif key in out:
                out[key] = F.pad(out[key], (*columns, *rows), value=key in OCCLUSIONS)
        move_camera(out, scale=(1, 1), offset=(columns[0], rows[0]))
        return cast(Sample, out)


def undo_padding(sample: Sample) -> Sample:
    """Invert `ReflectPad`: crop all maps to the sample's `size` and update the camera. Added masks are kept.

    Raises:
        ValueError: if `size` is larger than the images, which were then not padded.

    Examples:
        >>> import numpy as np
        >>> import torch
        >>> from flowdistill.data.transforms import ReflectPad, undo_padding
        >>> sample = {"name": "a", "left_t0": torch.rand(3, 4, 6), "size": torch.tensor([4, 6])}
        >>> padded = ReflectPad((64, 64))(sample, np.random.default_rng(0))
        >>> torch.equal(undo_padding(padded)["left_t0"], sample["left_t0"])
        True
    """
    padded = image_size(sample)
    height, width = (int(length) for length in sample["size"])
    rows, columns = centred_padding((height, width), padded)
    out = on_maps(sample, lambda m: crop_to(m, (height, width)))
    move_camera(out, scale=(1, 1), offset=(-columns[0], -rows[0]))
    return cast(Sample, out)
