"""DWARF's zoom augmentation."""

import numpy as np

from flowdistill.data.sample import Sample, image_size
from flowdistill.data.transforms.resampling import resample

LARGEST = 1.8


class Zoom:
    """With a given probability, enlarge by 1-1.8 (uniform, same for both axes) and crop the centre to the old size.

    The enlarged size is rounded down; motions are multiplied by the resulting factor. As in DWARF's released code
    (AAAI 2020, filters/zoom.py), except for its area filter, which also averages labels with adjacent zeros.

    Examples:
        >>> import numpy as np
        >>> import torch
        >>> from flowdistill.data.transforms import Zoom
        >>> sample = {"name": "a", "left_t0": torch.rand(3, 64, 96), "flow": torch.ones(2, 64, 96)}
        >>> zoomed = Zoom(probability=1.0)(sample, np.random.default_rng(0))
        >>> zoomed["left_t0"].shape, (1 < zoomed["flow"].mean() < 1.8).item()
        (torch.Size([3, 64, 96]), True)
    """

    def __init__(self, probability: float) -> None:
        self.probability = probability

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        if rng.random() >= self.probability:
            return sample
        factor = rng.uniform(1, LARGEST)
        height, width = image_size(sample)
        size = (int(factor * height), int(factor * width))
        corner = ((size[0] - height) // 2, (size[1] - width) // 2)
        return resample(sample, size, corner, (height, width))
