"""Random crops."""

from typing import cast

import numpy as np
import torch

from flowdistill.data.sample import Sample, image_size
from flowdistill.data.transforms.maps import move_camera, on_maps
from flowdistill.data.transforms.visibility import hide_what_leaves
from flowdistill.errors import UserError


class RandomCrop:
    """Crop all maps of a sample to the same random window of `size` (height, width).

    The sample's `size` becomes that of the window, so there is no padding to undo. Pixels whose match leaves the window
    are occluded. Raises UserError for smaller images.

    Examples:
        >>> import numpy as np
        >>> import torch
        >>> from flowdistill.data.transforms import RandomCrop
        >>> sample = {"name": "a", "left_t0": torch.rand(3, 64, 96), "left_t1": torch.rand(3, 64, 96)}
        >>> crop = RandomCrop((32, 48))(sample, np.random.default_rng(0))
        >>> crop["left_t0"].shape, crop["size"]
        (torch.Size([3, 32, 48]), tensor([32, 48]))
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
        return cut(sample, top, left, self.size)


def cut(sample: Sample, top: int, left: int, size: tuple[int, int]) -> Sample:
    """Return the window of `size` whose first pixel is (row `top`, column `left`).

    Examples:
        >>> import torch
        >>> from flowdistill.data.transforms.crop import cut
        >>> image = torch.arange(12.0).view(1, 3, 4)
        >>> cut({"name": "a", "left_t0": image}, top=1, left=2, size=(2, 2))["left_t0"]
        tensor([[[ 6.,  7.],
                 [10., 11.]]])
    """
    height, width = size
    out = on_maps(sample, lambda m: m[:, top : top + height, left : left + width])
    move_camera(out, scale=(1, 1), offset=(-left, -top))
    out["size"] = torch.tensor(size, dtype=torch.int64)
    return hide_what_leaves(cast(Sample, out))
