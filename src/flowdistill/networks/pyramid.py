"""Parts shared by both networks: TensorFlow's SAME convolution, the feature pyramid, motion layers.

images     # (B, 3, H, W) RGB in [0, 1]
features   # (B, C, ceil(H / 2^level), ceil(W / 2^level))
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flowdistill.ops.precision import float32_island, raised

DILATIONS = (1, 2, 4, 8, 16, 1, 1)
CONTEXT_CHANNELS = (128, 128, 128, 96, 64, 32)


def scaled(channels: int, width: float) -> int:
    """Return a layer's channels at a width factor (1.0 is the published network), at least 4.

    Raises:
        ValueError: the width is not positive.
    """
    if not width > 0:
        raise ValueError(f"width must be positive, got {width}")
    return channels if width == 1.0 else max(4, round(channels * width))


class SameConv(nn.Conv2d):
    """3x3 convolution with TensorFlow's SAME padding and an optional leaky ReLU of slope `slope`.

    SAME: output size = ceil(n / stride); the total padding max((out - 1) * stride + extent - n, 0) is split
    with the smaller half in front, so stride 2 pads (0, 1) on even and (1, 1) on odd sizes.
    """

    def __init__(
        self, inputs: int, outputs: int, stride: int = 1, dilation: int = 1, slope: float | None = None
    ) -> None:
        padding = dilation if stride == 1 else 0
        super().__init__(inputs, outputs, 3, stride=stride, dilation=dilation, padding=padding)
        self.slope = slope

    def forward(self, x: Tensor) -> Tensor:
        if self.stride[0] == 2:
            height, width = x.shape[-2:]
            x = F.pad(x, (width % 2, 1, height % 2, 1))
        x = super().forward(x)
        # In place: backward needs only the result, and the convolution's output is not used elsewhere.
        return x if self.slope is None else F.leaky_relu(x, self.slope, inplace=True)


class MotionHead(SameConv):
    """Linear 3x3 convolution that predicts a motion, in float32 also under autocast.

    A half-precision result would round 100 px to steps of 0.06 px (float16) or 0.5 px (bfloat16).
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)

    @float32_island
    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.weight, self.bias
        assert bias is not None
        return self._conv_forward(x, raised(weight), raised(bias))


class MotionUpsample(nn.ConvTranspose2d):
    """Learned doubling of a motion (B, C, h, w) -> (B, C, 2h, 2w): TensorFlow's SAME removes one pixel on each side.

    A motion passed to the next level is a coordinate there. Computed in float64, because GPUs round the inputs of
    float32 convolutions to TF32's 11 bits; for one or two channels the cost is negligible. Apple's MPS and the runtimes
    that execute exported networks have no float64 convolution.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, 4, stride=2, padding=1)

    @float32_island
    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        weight, bias = self.weight, self.bias
        assert bias is not None
        narrow = x.device.type == "mps" or torch.compiler.is_exporting()
        wide = x.dtype if narrow else torch.float64
        up = F.conv_transpose2d(x.to(wide), weight.to(wide), bias.to(wide), stride=2, padding=1)
        return up.to(x.dtype)


class FeaturePyramid(nn.Module):
    """Levels 1..n of features, each halving the size: images (B, 3, H, W) -> list, index = level - 1.

    Args:
        channels: channels of the levels.
        convolutions: convolutions per level, the first with stride 2.
        slope: of the leaky ReLU after each.
    """

    def __init__(self, channels: Sequence[int], convolutions: int, slope: float) -> None:
        super().__init__()
        levels = []
        inputs = 3
        for outputs in channels:
            first = SameConv(inputs, outputs, stride=2, slope=slope)
            rest = [SameConv(outputs, outputs, slope=slope) for _ in range(convolutions - 1)]
            levels.append(nn.Sequential(first, *rest))
            inputs = outputs
        self.levels = nn.ModuleList(levels)

    def forward(self, images: Tensor) -> list[Tensor]:
        features = []
        x = images
        for level in self.levels:
            x = level(x)
            features.append(x)
        return features


class ContextNetwork(nn.Sequential):
    """Seven dilated convolutions that predict a correction of a motion; the last one is linear and float32.

    Source: PWC-Net's context network, used by DWARF (slope 0.1) and DDFlow (slope 0.2).
    """

    def __init__(self, inputs: int, outputs: int, slope: float, width: float) -> None:
        channels = [inputs, *(scaled(c, width) for c in CONTEXT_CHANNELS)]
        hidden = (
            SameConv(channels[i], channels[i + 1], dilation=dilation, slope=slope)
            for i, dilation in enumerate(DILATIONS[:-1])
        )
        super().__init__(*hidden, MotionHead(channels[-1], outputs))


def xavier(module: nn.Module) -> None:
    """Initialise a layer as in both originals: Xavier-uniform kernels, zero biases. For `nn.Module.apply`."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
