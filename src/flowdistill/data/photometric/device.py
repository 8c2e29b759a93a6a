"""Photometric augmentation of whole batches on the device with kornia, from parameters that `Photometric` drew."""

from collections.abc import Sequence
from functools import cache
from typing import Any, cast

import torch
from torch import Tensor

from flowdistill.data.photometric.strength import BLUR_RADIUS
from flowdistill.data.sample import IMAGES, Batch

# Keys of the drawn parameters in a batch, for the K images of a sample, in the order of IMAGES.
COLOUR = "draws_colour"  # (B, K, 4) gamma, gain of red, green and blue
BLUR = "draws_blur"  # (B, K) px
NOISE = "draws_noise"  # (B, K) standard deviation
# The noise seeds are Python integers, B lists of K: a tensor would be copied to the device and back.
SEEDS = "draws_seeds"


def apply_on_device(batch: Batch) -> Batch:
    """Apply the drawn parameters in a batch to its images on their device, and remove them from the batch.

    A batch without drawn parameters is returned unchanged. Labels are not changed. Colour and blur give the same result
    as on the workers; noise comes from the device's generator, seeded with the drawn seed. There is no host-device
    synchronisation.
    """
    out = cast(dict[str, Any], dict(batch))
    colour, blur, noise, seeds = (out.pop(key, None) for key in (COLOUR, BLUR, NOISE, SEEDS))
    for number, key in enumerate(key for key in IMAGES if key in out):
        if colour is not None:
            out[key] = _colour(out[key], colour[:, number])
        if blur is not None:
            out[key] = _blur(out[key], blur[:, number])
        if noise is not None:
            out[key] = _noise(out[key], noise[:, number], [each[number] for each in seeds])
    return cast(Batch, out)


def _colour(images: Tensor, draws: Tensor) -> Tensor:
    """(B, 3, H, W) and (B, 4)."""
    # Not kornia's adjust_gamma: some versions check the parameters on the host, which synchronises.
    gamma, gain = draws[:, :1, None, None], draws[:, 1:, None, None]
    return (images**gamma * gain).clamp(0, 1)


def _blur(images: Tensor, deviations: Tensor) -> Tensor:
    """(B, 3, H, W) and (B,) px."""
    # Not kornia's gaussian_blur2d, for the same reason. A standard deviation of 0.001 px leaves the image unchanged.
    offsets = torch.arange(-BLUR_RADIUS, BLUR_RADIUS + 1, device=images.device)
    taps = torch.exp(-0.5 * (offsets / deviations.clamp_min(1e-3)[:, None]).square())
    taps = taps / taps.sum(dim=1, keepdim=True)
    blurred: Tensor = _filter()(images, taps, taps)
    return blurred


def _noise(images: Tensor, deviations: Tensor, seeds: Sequence[int]) -> Tensor:
    """(B, 3, H, W), (B,) and B seeds."""
    noise = torch.empty_like(images)
    for image, seed in zip(noise, seeds, strict=True):
        image.normal_(generator=torch.Generator(images.device).manual_seed(seed))
    return (images + noise * deviations[:, None, None, None]).clamp(0, 1)


@cache
def _filter() -> Any:
    """Return kornia's separable filter; imported lazily, because the import takes seconds."""
    from kornia.filters import filter2d_separable

    return filter2d_separable
