"""Photometric changes of one picture by albumentations, as a pure function of what was drawn."""

import os
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from flowdistill.data.photometric.strength import BLUR_RADIUS, Draw


def change(image: Tensor, draw: Draw) -> Tensor:
    """(3, H, W) float32 RGB in [0, 1] to the same; see `Draw` for the formula."""
    library = albumentations()
    pixels = np.ascontiguousarray(image.permute(1, 2, 0).numpy())
    if draw.gamma != 1 or draw.gain != (1, 1, 1):
        # One product, since albumentations clips after each: brightness 2 then channel 0.8 must not clip in between.
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
    """albumentations' functions on pixels and blur; imported late, since that takes seconds."""
    # Otherwise it asks the network for its newest version.
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    from albumentations.augmentations.blur import functional as blur
    from albumentations.augmentations.pixel import functional as pixel

    return SimpleNamespace(pixel=pixel, blur=blur)
