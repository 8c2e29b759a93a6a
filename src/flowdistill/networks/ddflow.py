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

from flowdistill.networks.pyramid import ContextNetwork, FeaturePyramid, MotionHead, SameConv, scaled, xavier
from flowdistill.networks.recompute import called
from flowdistill.ops.precision import raised
from flowdistill.ops.resize import Size, resize_flow
from flowkernels import correlation_2d, l2_normalise, warp_zero

SLOPE = 0.2
LEVELS = (6, 5, 4, 3, 2)
EXTRACTOR = (16, 32, 64, 96, 128, 192)
ESTIMATOR = (128, 128, 96, 64, 32)
VOLUME_CHANNELS = 81
SMALLEST_SIZE = 64


@dataclass
class FlowPyramid:
    """Flow of one direction: `levels[l]` (6..2) and `refined` in pixels of their level, `full` in image pixels.

    Examples:
        >>> import torch
        >>> from flowdistill.networks import DDFlowNet
        >>> image1, image2 = torch.rand(2, 1, 3, 64, 96)
        >>> forward, backward = DDFlowNet(width=0.125)(image1, image2)
        >>> {level: tuple(flow.shape[-2:]) for level, flow in forward.levels.items()}
        {6: (1, 2), 5: (2, 3), 4: (4, 6), 3: (8, 12), 2: (16, 24)}
        >>> forward.refined.shape, forward.full.shape
        (torch.Size([1, 2, 16, 24]), torch.Size([1, 2, 64, 96]))
    """

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


class FlowUpsample(nn.Module):
    """Resize a flow (B, 2, h, w) and scale its values. A module, so that a profiler can hook it."""

    def forward(self, flow: Tensor, size: Size) -> Tensor:
        return resize_flow(flow, size)


class DDFlowNet(nn.Module):
    """Estimate the flow between two images, in both directions with the same weights.

    Args:
        width: factor on every layer's channels; 1.0 is the published network.

    `checkpoint_activations` (false) recomputes each level and the context network in backward instead of keeping their
    activations.

    Shapes:
        image1, image2: (B, 3, H, W) RGB in [0, 1], H and W at least 64, any size. Output: (forward, backward),
        two `FlowPyramid`s; forward is on image1's grid, backward on image2's.

    Raises:
        ValueError: a side below 64, or different shapes.

    Examples:
        >>> import torch
        >>> from flowdistill.networks import DDFlowNet
        >>> image1, image2 = torch.rand(2, 1, 3, 70, 100)  # any size from 64 up
        >>> network = DDFlowNet(width=0.125).eval()
        >>> with torch.inference_mode():
        ...     forward, backward = network(image1, image2)
        >>> forward.full.shape, backward.full.shape
        (torch.Size([1, 2, 70, 100]), torch.Size([1, 2, 70, 100]))
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        self.width = width
        self.checkpoint_activations = False
        channels = [scaled(c, width) for c in EXTRACTOR]
        self.extractor = FeaturePyramid(channels, convolutions=2, slope=SLOPE)
        self.estimators = nn.ModuleDict(
            {str(level): FlowEstimator(VOLUME_CHANNELS + channels[level - 1] + 2, width) for level in LEVELS}
        )
        self.upsample = FlowUpsample()
        self.context = ContextNetwork(scaled(ESTIMATOR[-1], width) + 2, 2, SLOPE, width)
        self.apply(xavier)

    def forward(self, image1: Tensor, image2: Tensor) -> tuple[FlowPyramid, FlowPyramid]:
        _check_images(image1, image2)
        pyramid = self.extractor(torch.cat([image1, image2]))
        # Both directions as one batch: first half image1 -> image2, second half image2 -> image1.
        levels: dict[int, Tensor] = {}
        flow: Tensor | None = None
        again = self.checkpoint_activations
        for level in LEVELS:
            features = pyramid[level - 1]
            size = (features.shape[-2], features.shape[-1])
            flow = (
                image1.new_zeros(2 * image1.shape[0], 2, *size) if flow is None else self.upsample(flow, size)
            )
            flow, hidden = called(self._estimate, level, features, flow, recompute=again)
            levels[level] = flow
        refined = called(self._refine, levels[2], hidden, recompute=again)
        full = self.upsample(refined, (image1.shape[-2], image1.shape[-1]))
        halves = [
            FlowPyramid(
                {level: f.chunk(2)[k] for level, f in levels.items()}, refined.chunk(2)[k], full.chunk(2)[k]
            )
            for k in range(2)
        ]
        return halves[0], halves[1]

    def _estimate(self, level: int, features: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
        """Estimate a level's flow and last feature in both directions, given the coarser level's flow at this size."""
        features = raised(features)  # warping and correlation run in float32
        other = torch.cat(features.chunk(2)[::-1])
        found: tuple[Tensor, Tensor] = self.estimators[str(level)](estimator_input(features, other, flow))
        return found

    def _refine(self, flow: Tensor, hidden: Tensor) -> Tensor:
        refined: Tensor = flow + self.context(torch.cat([hidden, flow], dim=1))
        return refined


def estimator_input(features1: Tensor, features2: Tensor, flow: Tensor) -> Tensor:
    """Build an estimator's input: cost volume (81), normalised first features (C), flow (2).

    Args:
        features1, features2: (B, C, h, w), raw, float32.
        flow: (B, 2, h, w) px of this level; the second features are warped by it, even if it is zero.

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
            f"DDFlow needs two images (B, 3, H, W) of the same shape, got {tuple(image1.shape)} and "
            f"{tuple(image2.shape)}"
        )
    if min(image1.shape[-2:]) < SMALLEST_SIZE:
        raise ValueError(
            f"DDFlow needs images of at least {SMALLEST_SIZE}x{SMALLEST_SIZE}, "
            f"got {image1.shape[-2]}x{image1.shape[-1]}: its pyramid has six halvings"
        )
