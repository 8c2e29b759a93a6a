"""Photometric augmentation through albumentations, as a pure function of the sample's random generator."""

import os
from functools import cache
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from flowdistill.data.sample import IMAGES, Sample

GAMMA = (0.8, 1.2)
BRIGHTNESS = (0.5, 2.0)
CHANNEL = (0.8, 1.2)


class Colour:
    """With a probability, change gamma, brightness and the weight of each channel.

    ``clip(image ** gamma * brightness * channel, 0, 1)``, gamma in 0.8-1.2, brightness in 0.5-2, one factor a
    channel in 0.8-1.2, all uniform. Source: the augmentation of monodepth (Godard et al. 2017) that DWARF's
    code uses.

    Args:
        probability: of changing a sample at all.
        shared: one draw for all images of the sample; else each image has its own (as DWARF's released code
            does).
    """

    def __init__(self, probability: float, shared: bool = True) -> None:
        self.probability = probability
        self.shared = shared
        _albumentations()  # imported here once, so that forked workers need not each do it

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        if rng.random() >= self.probability:
            return sample
        out: dict[str, Any] = dict(sample)
        keys = [key for key in IMAGES if key in out]
        factors = [_draw(rng)] * len(keys) if self.shared else [_draw(rng) for _ in keys]
        for key, (gamma, multiplier) in zip(keys, factors, strict=True):
            out[key] = _apply(out[key], gamma, multiplier)
        return cast(Sample, out)


def _draw(rng: np.random.Generator) -> tuple[float, np.ndarray]:
    gamma = float(rng.uniform(*GAMMA))
    multiplier = rng.uniform(*BRIGHTNESS) * rng.uniform(*CHANNEL, size=3)
    return gamma, multiplier.astype(np.float32)


def _apply(image: Tensor, gamma: float, multiplier: np.ndarray) -> Tensor:
    """(3, H, W) to the same."""
    functional = _albumentations()
    pixels = np.ascontiguousarray(image.permute(1, 2, 0).numpy())
    # One product, since albumentations clips after each: brightness 2 then channel 0.8 must not clip in
    # between.
    changed = functional.multiply(functional.gamma_transform(pixels, gamma), multiplier)
    return torch.from_numpy(np.ascontiguousarray(changed.transpose(2, 0, 1)))


@cache
def _albumentations() -> Any:
    """albumentations' pixel functions; imported late, since that takes seconds."""
    # Otherwise it asks the network for its newest version.
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    from albumentations.augmentations.pixel import functional

    return functional
