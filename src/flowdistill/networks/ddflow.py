"""DDFlow's network: a light PWC-Net that estimates flow in both directions.

Source: Liu, King, Lyu, Xu, "DDFlow: Learning Optical Flow with Unlabeled Data Distillation", AAAI 2019.
4,273,628 parameters at width 1.

    image1, image2   # (B, 3, H, W) RGB in [0, 1], any H and W from 64 up
    flow             # (B, 2, h, w) px of its own level
    features         # (B, C, ceil(H / 2^level), ceil(W / 2^level))

Under autocast the convolutions run in half precision; flows, their up-sampling, warped features and correlations stay
float32.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from flowdistill.networks.pyramid import ContextNetwork, FeaturePyramid, MotionHead, SameConv, scaled
from flowdistill.ops.precision import raised
from flowdistill.ops.resize import resize_flow
from flowkernels import correlation_2d, l2_normalise, warp_zero

SLOPE = 0.2
LEVELS = (6, 5, 4, 3, 2)
EXTRACTOR = (16, 32, 64, 96, 128, 192)
ESTIMATOR = (128, 128, 96, 64, 32)
VOLUME_CHANNELS = 81
SMALLEST_SIZE = 64


@dataclass
class FlowPyramid:
    """One direction's flow: `levels[l]` (6..2) and `refined` in pixels of their level, `full` of the image."""

    levels: dict[int, Tensor]  # (B, 2, h, w)
    refined: Tensor  # (B, 2, h, w) at level 2
    full: Tensor  # (B, 2, H, W) px


class FlowEstimator(nn.Module):
    """Five convolutions and a linear flow output: (B, C, h, w) -> flow (B, 2, h, w), last feature."""

    def __init__(self, inputs: int, width: float) -> None:
        super().__init__()
        channels = [inputs, *(scaled(c, width) for c in ESTIMATOR)]
        layers = itertools.pairwise(channels)
        self.hidden = nn.Sequential(*(SameConv(i, o, slope=SLOPE) for i, o in layers))
        self.predict = MotionHead(channels[-1], 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.hidden(x)
        return self.predict(features), features


class DDFlowNet(nn.Module):
    """Flow between two images, in both directions with the same weights.

    Args:
        width: factor on every layer's channels; 1.0 is the published network.

    Shapes:
        image1, image2: (B, 3, H, W) RGB in [0, 1], H and W at least 64, any size. Output: (forward, backward),
        two `FlowPyramid`s; forward lives on image1's grid, backward on image2's.

    Raises:
        ValueError: a side below 64, or different shapes.
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        self.width = width
        channels = [scaled(c, width) for c in EXTRACTOR]
        self.extractor = FeaturePyramid(channels, convolutions=2, slope=SLOPE)
        self.estimators = nn.ModuleDict(
            {str(level): FlowEstimator(VOLUME_CHANNELS + channels[level - 1] + 2, width) for level in LEVELS}
        )
        self.context = ContextNetwork(scaled(ESTIMATOR[-1], width) + 2, 2, SLOPE, width)
        self.apply(_xavier)

    def forward(self, image1: Tensor, image2: Tensor) -> tuple[FlowPyramid, FlowPyramid]:
        _check_images(image1, image2)
        pyramid = self.extractor(torch.cat([image1, image2]))
        # Both directions as one batch: first half image1 -> image2, second half back.
        levels: dict[int, Tensor] = {}
        flow: Tensor | None = None
        for level in LEVELS:
            features = raised(pyramid[level - 1])  # what is warped and correlated is float32
            size = (features.shape[-2], features.shape[-1])
            flow = (
                features.new_zeros(features.shape[0], 2, *size) if flow is None else resize_flow(flow, size)
            )
            other = torch.cat(features.chunk(2)[::-1])
            flow, hidden = self.estimators[str(level)](estimator_input(features, other, flow))
            levels[level] = flow
        refined = levels[2] + self.context(torch.cat([hidden, levels[2]], dim=1))
        full = resize_flow(refined, (image1.shape[-2], image1.shape[-1]))
        halves = [
            FlowPyramid(
                {level: f.chunk(2)[k] for level, f in levels.items()}, refined.chunk(2)[k], full.chunk(2)[k]
            )
            for k in range(2)
        ]
        return halves[0], halves[1]


def estimator_input(features1: Tensor, features2: Tensor, flow: Tensor) -> Tensor:
    """What enters an estimator: cost volume (81), normalised first features (C), flow (2).

    Args:
        features1, features2: (B, C, h, w), raw, float32.
        flow: (B, 2, h, w) px of this level; the second features are warped by it, also when it is zero.

    Returns:
        (B, 81 + C + 2, h, w). The volume is a sum over channels of normalised features.

    Source: DDFlow (AAAI 2019), cost volume over L2-normalised features.
    """
    first = l2_normalise(features1)
    second = l2_normalise(warp_zero(features2, flow))
    return torch.cat([correlation_2d(first, second, reduction="sum"), first, flow], dim=1)


def _check_images(image1: Tensor, image2: Tensor) -> None:
    if image1.shape != image2.shape or image1.dim() != 4 or image1.shape[1] != 3:
        raise ValueError(
            f"DDFlow needs two images (B, 3, H, W) of one shape, got {tuple(image1.shape)} and {tuple(image2.shape)}"
        )
    if min(image1.shape[-2:]) < SMALLEST_SIZE:
        raise ValueError(
            f"DDFlow needs images of at least {SMALLEST_SIZE}x{SMALLEST_SIZE}, "
            f"got {image1.shape[-2]}x{image1.shape[-1]}: its pyramid has six halvings"
        )


def _xavier(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
