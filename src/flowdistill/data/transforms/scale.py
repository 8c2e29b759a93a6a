"""Random scaling: of the whole field of view, or DWARF's zoom into its centre."""

import math

import numpy as np

from flowdistill.data.sample import Sample, image_size
from flowdistill.data.transforms.resampling import Labels, resample

LARGEST_ZOOM = 1.8


class RandomScale:
    """Resize by a random factor, keeping the whole field of view.

    Args:
        factors: smallest and largest factor, drawn log-uniformly: halving is as likely as doubling.
        stretch: largest ratio of the factors of x and y in either direction, also log-uniform; 1 keeps the aspect
            ratio. Disparities use the factor of x, the intrinsics both.
        least: (height, width) below which images are not scaled down: the size of the crop that follows.

    Examples:
        >>> import numpy as np
        >>> import torch
        >>> from flowdistill.data.transforms import RandomScale
        >>> sample = {"name": "a", "left_t0": torch.rand(3, 4, 6), "flow": torch.ones(2, 4, 6)}
        >>> scaled = RandomScale((2.0, 2.0))(sample, np.random.default_rng(0))
        >>> scaled["left_t0"].shape, scaled["flow"].mean()
        (torch.Size([3, 8, 12]), tensor(2.))
    """

    def __init__(
        self, factors: tuple[float, float], stretch: float = 1.0, least: tuple[int, int] = (1, 1)
    ) -> None:
        self.factors = factors
        self.stretch = stretch
        self.least = least

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        height, width = image_size(sample)
        factor = math.exp(rng.uniform(*np.log(self.factors)))
        ratio = math.exp(rng.uniform(-1, 1) * math.log(self.stretch))
        size = (
            _at_least(self.least[0], height, factor / math.sqrt(ratio)),
            _at_least(self.least[1], width, factor * math.sqrt(ratio)),
        )
        return resample(sample, size)


def _at_least(least: int, length: int, factor: float) -> int:
    """Return the new length; images that are too small to begin with are reported by the crop."""
    return max(round(length * factor), min(least, length))


class Zoom:
    """With a given probability, enlarge by 1-1.8 (uniform, same for both axes) and crop the centre to the old size.

    The enlarged size is rounded down; motions are multiplied by the resulting factor. As in DWARF's released code
    (AAAI 2020, filters/zoom.py), except for its area filter, which also averages labels with adjacent invalid pixels;
    `labels="released"` does the same (`released_zoom.py`).

    Args:
        probability: of a zoom.
        labels: `nearest`: no label is a mean of others; `released`: as in the released code.

    Examples:
        >>> import numpy as np
        >>> import torch
        >>> from flowdistill.data.transforms import Zoom
        >>> sample = {"name": "a", "left_t0": torch.rand(3, 64, 96), "flow": torch.ones(2, 64, 96)}
        >>> zoomed = Zoom(probability=1.0)(sample, np.random.default_rng(0))
        >>> zoomed["left_t0"].shape, (1 < zoomed["flow"].mean() < 1.8).item()
        (torch.Size([3, 64, 96]), True)
    """

    def __init__(self, probability: float, labels: Labels = "nearest") -> None:
        self.probability = probability
        self.labels = labels

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        if rng.random() >= self.probability:
            return sample
        factor = rng.uniform(1, LARGEST_ZOOM)
        height, width = image_size(sample)
        size = (int(factor * height), int(factor * width))
        corner = ((size[0] - height) // 2, (size[1] - width) // 2)
        return resample(sample, size, corner, (height, width), self.labels)
