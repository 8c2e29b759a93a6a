"""Colour, blur and noise as a transform: applied immediately, or only drawn and later applied on the device."""

from typing import Any, Literal, cast

import numpy as np
import torch

from flowdistill.data.photometric.device import BLUR, COLOUR, NOISE, SEEDS
from flowdistill.data.photometric.strength import Strength
from flowdistill.data.photometric.worker import albumentations, change
from flowdistill.data.sample import IMAGES, Sample


class Photometric:
    """Change colours, blur and add noise.

    Args:
        strength: ranges to draw from, with the sample's own generator, so that draws depend on (seed, step, rank) only.
        on: "workers" changes the images here, with albumentations. "device" stores the draws in the sample, and
            `apply_on_device` changes whole batches with kornia: same draws, same formulas.
    """

    def __init__(self, strength: Strength, on: Literal["workers", "device"] = "workers") -> None:
        self.strength = strength
        self.on = on
        if on == "workers":
            albumentations()  # import before forking, so that each worker does not have to

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        out: dict[str, Any] = dict(sample)
        keys = [key for key in IMAGES if key in out]
        draws = self.strength.draw(len(keys), rng)
        if self.on == "workers":
            for key, draw in zip(keys, draws, strict=True):
                out[key] = change(out[key], draw)
            return cast(Sample, out)
        if self.strength.colour > 0:
            out[COLOUR] = torch.tensor([[draw.gamma, *draw.gain] for draw in draws])
        if self.strength.blur > 0:
            out[BLUR] = torch.tensor([draw.blur for draw in draws])
        if self.strength.noise > 0:
            out[NOISE] = torch.tensor([draw.noise for draw in draws])
            out[SEEDS] = [draw.seed for draw in draws]
        return cast(Sample, out)
