"""Photometric augmentation of one image with albumentations, as a pure function of the drawn parameters."""

import os
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from flowdistill.data.photometric.strength import BLUR_RADIUS, Draw


def change(image: Tensor, draw: Draw) -> Tensor:
    """Apply a draw to a (3, H, W) float32 RGB image in [0, 1]; see `Draw` for the formula."""
    library = albumentations()
    pixels = np.ascontiguousarray(image.permute(1, 2, 0).numpy())
    if draw.gamma != 1 or draw.gain != (1, 1, 1):
        # One product, because albumentations clips after each: brightness 2, channel 0.8 must not be clipped between.
        gain = np.array(draw.gain, np.float32)
        pixels = library.pixel.multiply(library.pixel.gamma_transform(pixels, draw.gamma), gain)
    if draw.blur > 0:
        kernel = library.blur.create_gaussian_kernel_1d(draw.blur, 2 * BLUR_RADIUS + 1)
        pixels = library.pixel.separable_convolve(pixels, kernel)
    if draw.noise > 0:
        noise = np.random.default_rng(draw.seed).standard_normal(pixels.shape, dtype=np.float32)
        pixels = library.pixel.add_noise(pixels, noise * np.float32(draw.noise))
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))


@cache
def albumentations() -> Any:
    """Return albumentations' pixel and blur functions; imported lazily, because the import takes seconds."""
    # Otherwise albumentations checks for a newer version over the network.
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    from albumentations.augmentations.blur import functional as blur
    from albumentations.augmentations.pixel import functional as pixel

    return SimpleNamespace(pixel=pixel, blur=blur)
