"""Patches that occlude parts of the t1 images."""

from functools import partial
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from flowdistill.data.sample import Sample
from flowdistill.data.transforms.visibility import hide

SIDE = (50, 100)
MOST = 2

Rectangles = list[tuple[int, int, int, int]]
"""Left, top, right, bottom of each; right and bottom are exclusive."""


class OccludingPatches:
    """With a given probability, fill one or two rectangles of each t1 image with its mean colour.

    Sides are 50-100 px (at most half of the image), positions are uniform. Like the eraser in RAFT's training (Teed and
    Deng, ECCV 2020), but masks are updated: pixels that move under a patch are occluded, so `occluded` becomes true,
    `valid_flow_noc` and `valid_disparity_t1_noc` false; pixels of a patch are `occluded_backward` (added if a sample
    has `flow_backward` without it). Motions and `valid_*` are kept: the ground truth still holds under a patch. Teacher
    labels are kept, because the teacher used the images without patches.
    """

    def __init__(self, probability: float) -> None:
        self.probability = probability

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        out: dict[str, Any] = dict(sample)
        if "flow_backward" in out and "occluded_backward" not in out:
            out["occluded_backward"] = torch.zeros_like(out["flow_backward"][:1], dtype=torch.bool)
        if rng.random() >= self.probability:
            return cast(Sample, out)
        patches = {
            key: _rectangles(out[key].shape[-2:], rng) for key in ("left_t1", "right_t1") if key in out
        }
        for key, rectangles in patches.items():
            out[key] = _cover(out[key], rectangles)
        if "occluded_backward" in out:
            out["occluded_backward"] = out["occluded_backward"].clone()
            for left, top, right, bottom in patches["left_t1"]:
                out["occluded_backward"][:, top:bottom, left:right] = True
        return hide(cast(Sample, out), {key: partial(_under, value) for key, value in patches.items()})


def _rectangles(size: tuple[int, int], rng: np.random.Generator) -> Rectangles:
    rectangles = []
    for _ in range(rng.integers(1, MOST + 1)):
        height, width = (min(int(rng.integers(SIDE[0], SIDE[1] + 1)), length // 2) for length in size)
        top, left = int(rng.integers(size[0] - height + 1)), int(rng.integers(size[1] - width + 1))
        rectangles.append((left, top, left + width, top + height))
    return rectangles


def _cover(image: Tensor, rectangles: Rectangles) -> Tensor:
    mean = image.mean(dim=(1, 2), keepdim=True)
    covered = image.clone()
    for left, top, right, bottom in rectangles:
        covered[:, top:bottom, left:right] = mean
    return covered


def _under(rectangles: Rectangles, x: Tensor, y: Tensor, size: tuple[int, int]) -> Tensor:
    """Return whether any of the four pixels around each position is covered."""
    found = torch.zeros(torch.broadcast_shapes(x.shape, y.shape), dtype=torch.bool)
    for left, top, right, bottom in rectangles:
        found |= (x > left - 1) & (x < right) & (y > top - 1) & (y < bottom)
    return found
