"""Starting weights. The networks are published; where they start from is ours to choose.

Xavier-uniform kernels and zero biases, the originals' start, are what `Dwarf()` and `DDFlowNet()` come with. A leaky
ReLU halves the variance that Xavier keeps, so DWARF's level-6 features, 18 layers deep, start about 500 times smaller
than the image and its correlations, products of two, 250,000 times: coarse motion is learned very late.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from flowdistill.networks.dwarf import LEVELS, MOTIONS, SLOPE, VOLUME_CHANNELS, Branch, Dwarf, Estimator
from flowdistill.networks.pyramid import SameConv


@torch.no_grad()
def start_as_residual(network: Dwarf) -> None:
    """Start DWARF so that signals keep their size and every level passes the coarser level's motion on.

    * Kernels before a leaky ReLU: He's normal start, which keeps the variance.
    * Up-sampling of motions: bilinear.
    * Outputs of a level: the up-sampled coarser motion, which the dense links bring to the output convolution, plus
      small weights for everything else. At the start a level's motion is the coarser one's plus a small correction;
      nothing keeps it that way.
    * Last context convolution: zero, so that the refinement starts as none.

    In place; draws from torch's global generator.
    """
    for module in network.modules():
        if isinstance(module, SameConv) and module.slope is not None:
            nn.init.kaiming_normal_(module.weight, a=SLOPE)
    for level in LEVELS:
        estimator = cast(Estimator, network.estimators[str(level)])
        for name in MOTIONS:
            predict = cast(Branch, estimator.branches[name]).predict
            nn.init.normal_(predict.weight, std=0.1 / (9 * predict.in_channels) ** 0.5)
            if level != LEVELS[0]:
                _pass_on(predict.weight, *_motion_channels(name, estimator))
            if estimator.refine:
                nn.init.zeros_(cast(SameConv, cast(nn.Sequential, estimator.context[name])[-1]).weight)
            else:
                upsample = cast(nn.ConvTranspose2d, estimator.upsample_motion[name])
                upsample.weight.copy_(_bilinear(upsample.weight))


def _motion_channels(name: str, estimator: Estimator) -> tuple[int, int]:
    """First channel and number of a motion's up-sampled channels among an estimator's inputs."""
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
    """Make a 3x3 kernel (out, in, 3, 3) hand its inputs first, first + 1, ... through unchanged.

    Dense links put an estimator's inputs first among a branch's features, so their indices are the same there.
    """
    for k in range(channels):
        weight[k, first + k] = 0
        weight[k, first + k, 1, 1] = 1


def _bilinear(weight: Tensor) -> Tensor:
    """Kernel (C, C, 4, 4) of a stride-2 transposed convolution that doubles each channel bilinearly."""
    line = torch.tensor([0.25, 0.75, 0.75, 0.25], dtype=weight.dtype)
    kernel = torch.zeros_like(weight)
    for k in range(weight.shape[0]):
        kernel[k, k] = line[:, None] * line[None, :]
    return kernel
