"""Photometric changes of whole batches on the device, by kornia, as `Photometric` drew them on the workers."""

from collections.abc import Sequence
from functools import cache
from typing import Any, cast

import torch
from torch import Tensor

from flowdistill.data.photometric.strength import BLUR_RADIUS
from flowdistill.data.sample import IMAGES, Batch

# Draws on their way through the loader, for the K pictures of a sample, in the order of IMAGES.
COLOUR = "draws_colour"  # (B, K, 4) gamma, gain of red, green and blue
BLUR = "draws_blur"  # (B, K) px
NOISE = "draws_noise"  # (B, K) standard deviation
# The noise's seeds are Python numbers, B lists of K: a tensor of them would go to the device and be fetched back.
SEEDS = "draws_seeds"


def apply_on_device(batch: Batch) -> Batch:
    """Apply the draws that a batch carries to its pictures, where these are, and drop them.

    A batch without draws is returned as it is. Labels are not touched. Colour and blur are what the workers would have
    made of the same draws; noise comes from the device's own generator, from the drawn seed. Nothing waits for the
    device.
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
    # Not kornia's adjust_gamma: some versions read the draws on the host, to check them.
    gamma, gain = draws[:, :1, None, None], draws[:, 1:, None, None]
    return (images**gamma * gain).clamp(0, 1)


def _blur(images: Tensor, deviations: Tensor) -> Tensor:
    """(B, 3, H, W) and (B,) px."""
    # Not its gaussian_blur2d either, for the same reason. A Gaussian of a thousandth of a pixel is no blur.
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
    """kornia's separable filter; imported late, since that takes seconds."""
    from kornia.filters import filter2d_separable

    return filter2d_separable
