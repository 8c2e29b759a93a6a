"""Left-right and top-bottom flips."""

from typing import cast

import numpy as np

from flowdistill.data.sample import FLOWS, Sample, image_size
from flowdistill.data.transforms.maps import is_stereo, move_camera, on_maps
from flowdistill.errors import UserError


class RandomFlips:
    """Flip left-right and top-bottom, each with probability 1/2.

    Args:
        left_right: whether to flip left-right. It must be false for stereo: mirroring a pair swaps its cameras, which
            would require the labels of the right image, and the batch contract does not have these. Raises UserError
            for such a sample.

    Examples:
        >>> import numpy as np
        >>> import torch
        >>> from flowdistill.data.transforms import RandomFlips
        >>> sample = {"name": "a", "left_t0": torch.rand(3, 4, 6), "flow": torch.ones(2, 4, 6)}
        >>> flips, rng = RandomFlips(), np.random.default_rng(0)
        >>> sorted({tuple(flips(sample, rng)["flow"][:, 0, 0].tolist()) for _ in range(50)})
        [(-1.0, -1.0), (-1.0, 1.0), (1.0, -1.0), (1.0, 1.0)]
    """

    def __init__(self, left_right: bool = True) -> None:
        self.left_right = left_right

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        horizontal, vertical = rng.random(2) < 0.5
        if self.left_right and is_stereo(sample):
            raise UserError(
                f"Sample {sample['name']} is a stereo pair: a left-right flip would swap its cameras, and labels of "
                "the right image do not exist. Set flips: vertical for the scene_flow view."
            )
        if self.left_right and horizontal:
            sample = flip_left_right(sample)
        if vertical:
            sample = flip_top_bottom(sample)
        return sample


def flip_left_right(sample: Sample) -> Sample:
    """Flip a flow sample left-right: x of every flow changes its sign, cx becomes W - 1 - cx.

    Examples:
        >>> import torch
        >>> from flowdistill.data.transforms import flip_left_right
        >>> sample = {"name": "a", "left_t0": torch.tensor([[[0.0, 0.5, 1.0]]]), "flow": torch.ones(2, 1, 3)}
        >>> flipped = flip_left_right(sample)
        >>> flipped["left_t0"], flipped["flow"][:, 0, 0]
        (tensor([[[1.0000, 0.5000, 0.0000]]]), tensor([-1.,  1.]))
    """
    return _flip(sample, 0)


def flip_top_bottom(sample: Sample) -> Sample:
    """Flip a sample top-bottom: y of every flow changes its sign, cy becomes H - 1 - cy; disparities are unchanged.

    Examples:
        >>> import torch
        >>> from flowdistill.data.transforms import flip_top_bottom
        >>> sample = {"name": "a", "left_t0": torch.rand(3, 4, 6), "flow": torch.ones(2, 4, 6)}
        >>> flip_top_bottom(sample)["flow"][:, 0, 0]
        tensor([ 1., -1.])
    """
    return _flip(sample, 1)


def _flip(sample: Sample, component: int) -> Sample:
    height, width = image_size(sample)
    out = on_maps(sample, lambda m: m.flip(-1 - component))
    for key in FLOWS:
        if key in out:
            # `flip` returns a copy, so the caller's tensor is not modified.
            out[key][component].neg_()
    if component == 0:
        move_camera(out, scale=(-1, 1), offset=(width - 1, 0))
    else:
        move_camera(out, scale=(1, -1), offset=(0, height - 1))
    return cast(Sample, out)
