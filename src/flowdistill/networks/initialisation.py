"""Weight initialisation. The networks are published; their initialisation is our choice.

`Dwarf()` and `DDFlowNet()` use the originals' initialisation: Xavier-uniform kernels and zero biases. A leaky ReLU
halves the variance that Xavier preserves, so DWARF's level-6 features, 18 layers deep, start about 500 times smaller
than the image, and its correlations, products of two, 250,000 times: coarse motion is learned very late. Random
kernels do not preserve what correlations need, either: after six layers a shifted image no longer gives shifted
features, and one constant per channel, the same in all images, outweighs everything that moves.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flowdistill.networks.dwarf import LEVELS, MOTIONS, SLOPE, VOLUME_CHANNELS, Branch, Dwarf, Estimator
from flowdistill.networks.pyramid import FeaturePyramid, SameConv

GREY = 0.5  # the image value that a linear encoder maps to zero
CONTRAST = 3.0  # size of the differences beside the value itself, on white noise


@torch.no_grad()
def start_encoder_linear(encoder: FeaturePyramid) -> None:
    """Initialise a feature pyramid as a linear image pyramid: contrast is preserved, all levels have the same scale.

    * Channels come in pairs of opposite sign, z and -z. leaky(z) - leaky(-z) = (1 + slope) z, so the next layer
      recovers its linear input: the whole encoder is initially linear in (image - 0.5). An odd last channel is 0.
    * The first layer splits colours into brightness and two differences; the others mix channels by random orthogonal
      matrices. A level's first convolution halves the size by the binomial kernel [1 2 1] / 4 in both axes, the others
      keep positions; the last one adds random differences of neighbours (kernels of sum zero): local contrast.
    * Each convolution's output has a mean square of 1 on smooth noise with equal variance in every octave, as in
      photographs.

    In place; draws from torch's global generator. Source of the paired channels: Balduzzi et al., "The Shattered
    Gradients Problem" (ICML 2017), looks-linear initialisation.
    """
    x = octave_noise(8, 64, 128)
    source = 3
    for number, level in enumerate(encoder.levels):
        convolutions = cast("list[SameConv]", list(cast(nn.Sequential, level)))
        for place, convolution in enumerate(convolutions):
            pairs = convolution.out_channels // 2
            from_image = number == place == 0
            mix = _colours(pairs) if from_image else nn.init.orthogonal_(torch.empty(pairs, source))
            kernel = _spatial(place == 0) * mix[:, :, None, None]
            if place == len(convolutions) - 1:
                differences = torch.randn(pairs, source, 3, 3) * (CONTRAST / (9 * source) ** 0.5)
                kernel = kernel + differences - differences.mean(dim=(2, 3), keepdim=True)
            _set_paired(convolution, kernel, from_image)
            size = convolution(x).square().mean().sqrt()
            convolution.weight /= size
            cast(Tensor, convolution.bias).div_(size)
            x, source = convolution(x), pairs


def _spatial(halves: bool) -> Tensor:
    """Return the binomial kernel or the identity kernel, (3, 3)."""
    line = torch.tensor([0.25, 0.5, 0.25] if halves else [0.0, 1.0, 0.0])
    return line[:, None] * line[None, :]


def _colours(channels: int) -> Tensor:
    """Return (channels, 3), repeated orthonormal rows: brightness first, since narrow networks have few channels."""
    brightness, red_green, blue_yellow = [1.0, 1.0, 1.0], [1.0, -1.0, 0.0], [1.0, 1.0, -2.0]
    rows = F.normalize(torch.tensor([brightness, red_green, blue_yellow]))
    return rows[torch.arange(channels) % 3]


def _set_paired(convolution: SameConv, kernel: Tensor, from_image: bool) -> None:
    """Make a layer compute z and -z, with z = kernel (pairs, source, 3, 3) applied to its linear input."""
    pairs, source = kernel.shape[:2]
    weight, bias = convolution.weight, cast(Tensor, convolution.bias)
    assert convolution.slope is not None
    nn.init.zeros_(weight)
    nn.init.zeros_(bias)
    both = torch.cat([kernel, -kernel])
    if from_image:
        weight[: 2 * pairs] = both
        bias[: 2 * pairs] = -GREY * both.sum(dim=(1, 2, 3))
    else:
        weight[: 2 * pairs, : 2 * source] = torch.cat([both, -both], dim=1) / (1 + convolution.slope)


def octave_noise(count: int, height: int, width: int) -> Tensor:
    """Return fixed noise images (count, 3, height, width): mean 0.5, deviation 0.2, equal variance in every octave."""
    generator = torch.Generator().manual_seed(0)
    image = torch.zeros(count, 3, height, width)
    rows = 2
    while rows <= height:
        noise = torch.randn(count, 3, rows, rows * width // height, generator=generator)
        image += F.interpolate(noise, size=(height, width), mode="bicubic")
        rows *= 2
    return GREY + 0.2 * (image - image.mean()) / image.std()


@torch.no_grad()
def start_as_residual(network: Dwarf) -> None:
    """Initialise DWARF with a linear encoder and levels that pass on the coarser level's motion.

    * Encoder: `start_encoder_linear`.
    * Kernels of the estimators before a leaky ReLU: He's normal initialisation, which preserves the variance.
    * Up-sampling of motions: bilinear.
    * Outputs of a level: the up-sampled coarser motion, which the dense links bring to the output convolution, plus
      small weights for everything else. Initially a level's motion is the coarser one's plus a small correction;
      training is free to change this.
    * Last context convolution: zero, so that there is initially no refinement.

    In place; draws from torch's global generator.
    """
    for module in network.modules():
        if isinstance(module, SameConv) and module.slope is not None:
            nn.init.kaiming_normal_(module.weight, a=SLOPE)
    start_encoder_linear(network.encoder)
    for level in LEVELS:
        estimator = cast(Estimator, network.estimators[str(level)])
        for name in MOTIONS:
            predict = cast(Branch, estimator.branches[name]).predict
            nn.init.normal_(predict.weight, std=0.02 / (9 * predict.in_channels) ** 0.5)
            if level != LEVELS[0]:
                _pass_on(predict.weight, *_motion_channels(name, estimator))
            if estimator.refine:
                nn.init.zeros_(cast(SameConv, cast(nn.Sequential, estimator.context[name])[-1]).weight)
            else:
                upsample = cast(nn.ConvTranspose2d, estimator.upsample_motion[name])
                upsample.weight.copy_(_bilinear(upsample.weight))


def _motion_channels(name: str, estimator: Estimator) -> tuple[int, int]:
    """Return the first channel and the number of a motion's up-sampled channels among an estimator's inputs."""
    inputs = cast(SameConv, estimator.trunk[0]).in_channels
    # [volume, left_t0 features, up-sampled motion (4), up-sampled features (4)]
    first = inputs - 2 * sum(MOTIONS.values())
    assert first > VOLUME_CHANNELS
    for motion, channels in MOTIONS.items():
        if motion == name:
            return first, channels
        first += channels
    raise KeyError(name)


def _pass_on(weight: Tensor, first: int, channels: int) -> None:
    """Make a 3x3 kernel (out, in, 3, 3) pass its inputs first, first + 1, ... through unchanged.

    Dense links put an estimator's inputs first among a branch's features, so their indices are the same there.
    """
    for k in range(channels):
        weight[k, first + k] = 0
        weight[k, first + k, 1, 1] = 1


def _bilinear(weight: Tensor) -> Tensor:
    """Return the kernel (C, C, 4, 4) of a stride-2 transposed convolution that doubles each channel bilinearly."""
    line = torch.tensor([0.25, 0.75, 0.75, 0.25], dtype=weight.dtype)
    kernel = torch.zeros_like(weight)
    for k in range(weight.shape[0]):
        kernel[k, k] = line[:, None] * line[None, :]
    return kernel
