"""Photometric changes of whole batches on the device, by kornia, as `Photometric` drew them on the workers."""

from functools import cache
from typing import Any, cast

import torch
from torch import Tensor

from flowdistill.data.photometric.strength import BLUR_RADIUS
from flowdistill.data.sample import IMAGES, Batch

# Draws on their way through the loader, for the K pictures of a sample, in the order of IMAGES.
COLOUR = "draws_colour"  # (B, K, 4) gamma, gain of red, green and blue
BLUR = "draws_blur"  # (B, K) px
NOISE = "draws_noise"  # (B, K, 2) standard deviation, seed


def apply_on_device(batch: Batch) -> Batch:
    """Apply the draws that a batch carries to its pictures, where these are, and drop them.

    A batch without draws is returned as it is. Labels are not touched. Colour and blur are what the workers would have
    made of the same draws; noise comes from the device's own generator, from the drawn seed.
    """
    out = cast(dict[str, Any], dict(batch))
    colour, blur, noise = out.pop(COLOUR, None), out.pop(BLUR, None), out.pop(NOISE, None)
    for number, key in enumerate(key for key in IMAGES if key in out):
        if colour is not None:
            out[key] = _colour(out[key], colour[:, number])
        if blur is not None:
            out[key] = _blur(out[key], blur[:, number])
        if noise is not None:
            out[key] = _noise(out[key], noise[:, number])
    return cast(Batch, out)


def _colour(images: Tensor, draws: Tensor) -> Tensor:
    """(B, 3, H, W) and (B, 4)."""
    enhance, _ = _kornia()
    channels = images.flatten(0, 1)[:, None]  # (B * 3, 1, H, W): a picture for each gain
    gamma = draws[:, :1].expand(-1, 3).flatten()
    changed: Tensor = enhance.adjust_gamma(channels, gamma, draws[:, 1:].flatten())
    return changed.view_as(images)


def _blur(images: Tensor, deviations: Tensor) -> Tensor:
    """(B, 3, H, W) and (B,) px."""
    _, filters = _kornia()
    # A Gaussian of a thousandth of a pixel is no blur, and kornia refuses 0.
    sigma = deviations.clamp_min(1e-3)[:, None].expand(-1, 2)
    blurred: Tensor = filters.gaussian_blur2d(images, 2 * BLUR_RADIUS + 1, sigma)
    return blurred


def _noise(images: Tensor, draws: Tensor) -> Tensor:
    """(B, 3, H, W) and (B, 2)."""
    noise = torch.empty_like(images)
    for image, seed in zip(noise, draws[:, 1].tolist(), strict=True):
        image.normal_(generator=torch.Generator(images.device).manual_seed(int(seed)))
    return (images + noise * draws[:, :1, None, None]).clamp(0, 1)


@cache
def _kornia() -> tuple[Any, Any]:
    """kornia's functions on colours and its filters; imported late, since that takes seconds."""
    from kornia import enhance, filters

    return enhance, filters
