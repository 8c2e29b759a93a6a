"""DWARF: one light network for full scene flow from two stereo pairs.

Source: Aleotti, Poggi, Tosi, Mattoccia, "Learning End-To-End Scene Flow by Distilling Single Tasks
Knowledge", AAAI 2020. 19,618,196 parameters at width 1.

    left_t0 right_t0 left_t1 right_t1   # (B, 3, H, W) RGB in [0, 1], H and W multiples of 64
    motion                              # (B, 4, h, w) disparity, disparity at t1, flow x, flow y in network
                                        # units: full-resolution pixels / 20, disparities negative
    volume                              # (B, 180, h, w)

Network units stay in this file; `SceneMotion` holds full-resolution pixels with positive disparities.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flowdistill.networks.pyramid import ContextNetwork, FeaturePyramid, SameConv, scaled
from flowdistill.ops.padding import crop_to
from flowdistill.ops.resize import Size, resize_legacy_bilinear, scale_of
from flowkernels import correlation_1d, correlation_2d, correlation_3d, warp_disparity, warp_replicate

SCALE = 20.0  # full-resolution pixels a network unit
SLOPE = 0.1
LEVELS = (6, 5, 4, 3, 2)
TRUNK = (128, 128, 96)
BRANCH = (64, 32)
ENCODER = (16, 32, 64, 96, 128, 196)
VOLUME_CHANNELS = 9 + 9 + 81 + 81
MOTIONS = {"disparity_t0": 1, "disparity_t1": 1, "flow": 2}  # the network's order, with channels


@dataclass
class SceneMotion:
    """Scene flow on the grid of left_t0, in full-resolution pixels whatever its own resolution.

    Disparities are positive where the network predicts what it was trained for, and not clipped.
    """

    flow: Tensor  # (B, 2, h, w) px, x right, y down, left_t0 -> left_t1
    disparity_t0: Tensor  # (B, 1, h, w) px
    disparity_t1: Tensor  # (B, 1, h, w) px, at t1, of the point seen at left_t0

    def resize(self, size: Size) -> SceneMotion:
        """Legacy bilinear resize of the grid; values stay."""
        return SceneMotion(
            resize_legacy_bilinear(self.flow, size),
            resize_legacy_bilinear(self.disparity_t0, size),
            resize_legacy_bilinear(self.disparity_t1, size),
        )


@dataclass
class DwarfOutput:
    """What DWARF predicts: `levels[l]` at 1/2^l of the input's size (6..2 in training, 2 in eval mode)."""

    levels: dict[int, SceneMotion]
    size: Size  # of the input

    @cached_property
    def full(self) -> SceneMotion:
        """Level 2 at the input's size (legacy bilinear)."""
        return self.levels[2].resize(self.size)


class Branch(nn.Module):
    """Two dense convolutions and a linear 3x3 output for one motion."""

    def __init__(self, inputs: int, outputs: int, width: float) -> None:
        super().__init__()
        self.dense = _dense(inputs, BRANCH, width)
        self.features = inputs + sum(scaled(c, width) for c in BRANCH)
        self.predict = SameConv(self.features, outputs)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, h, w) -> motion (B, 1|2, h, w), last dense feature (B, features, h, w)."""
        x = _run_dense(self.dense, x)
        return self.predict(x), x


class Estimator(nn.Module):
    """One pyramid level: volume and context in, motion out, then up-sampling or (level 2) refinement."""

    def __init__(self, inputs: int, width: float, refine: bool) -> None:
        super().__init__()
        self.trunk = _dense(inputs, TRUNK, width)
        trunk = inputs + sum(scaled(c, width) for c in TRUNK)
        self.branches = nn.ModuleDict({name: Branch(trunk, c, width) for name, c in MOTIONS.items()})
        features = trunk + sum(scaled(c, width) for c in BRANCH)
        if refine:
            self.context = nn.ModuleDict(
                {name: ContextNetwork(features, c, SLOPE, width) for name, c in MOTIONS.items()}
            )
        else:
            self.upsample_motion = nn.ModuleDict({name: _upsample(c, c) for name, c in MOTIONS.items()})
            self.upsample_features = nn.ModuleDict(
                {name: _upsample(features, c) for name, c in MOTIONS.items()}
            )
        self.refine = refine

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Motion (B, 4, h, w) of this level, and (B, 8, 2h, 2w) up-sampled motion and features."""
        trunk = _run_dense(self.trunk, x)
        found = {name: branch(trunk) for name, branch in self.branches.items()}
        if self.refine:
            refined = [motion + self.context[name](dense) for name, (motion, dense) in found.items()]
            return torch.cat(refined, dim=1), None
        motions = [self.upsample_motion[name](motion) for name, (motion, _) in found.items()]
        features = [self.upsample_features[name](dense) for name, (_, dense) in found.items()]
        return torch.cat([motion for motion, _ in found.values()], dim=1), torch.cat(
            motions + features, dim=1
        )


class Dwarf(nn.Module):
    """DWARF's network: four images in, scene flow at five levels out.

    Args:
        width: factor on every layer's channels; 1.0 is the published network.

    Shapes:
        left_t0, right_t0, left_t1, right_t1: (B, 3, H, W) RGB in [0, 1]. Output: `DwarfOutput`, values in
        full-resolution pixels, disparities positive, nothing clipped.

    Raises:
        ValueError: H or W is not a multiple of 64, or the four shapes differ.
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        self.width = width
        channels = [scaled(c, width) for c in ENCODER]
        self.encoder = FeaturePyramid(channels, convolutions=3, slope=SLOPE)
        self.estimators = nn.ModuleDict()
        for level in LEVELS:
            context = 0 if level == 6 else channels[level - 1] + 2 * sum(MOTIONS.values())
            self.estimators[str(level)] = Estimator(VOLUME_CHANNELS + context, width, refine=level == 2)
        self.apply(_xavier)

    def forward(self, left_t0: Tensor, right_t0: Tensor, left_t1: Tensor, right_t1: Tensor) -> DwarfOutput:
        images = (left_t0, right_t0, left_t1, right_t1)
        _check_images(images)
        pyramid = self.encoder(torch.cat(images))  # one pass for the four images
        levels: dict[int, SceneMotion] = {}
        upsampled: Tensor | None = None
        for level in LEVELS:
            features = pyramid[level - 1].chunk(4)
            if upsampled is None:
                inputs = scene_flow_volume(*features)
            else:
                warped = _warp_towards_left_t0(features, upsampled[:, :4], level)
                inputs = torch.cat([scene_flow_volume(*warped), features[0], upsampled], dim=1)
            motion, upsampled = self.estimators[str(level)](inputs)
            if self.training or level == 2:
                levels[level] = _to_pixels(motion)
        return DwarfOutput(levels, (left_t0.shape[-2], left_t0.shape[-1]))


def scene_flow_volume(left_t0: Tensor, right_t0: Tensor, left_t1: Tensor, right_t1: Tensor) -> Tensor:
    """The complete matching volume of four feature maps (B, C, h, w), warped beforehand: (B, 180, h, w).

    Channels: stereo at t0 (9), stereo at t1 (9), 3-D correlation of these two (81), temporal (81); each
    followed by a leaky ReLU of 0.1.

    Source: DWARF (AAAI 2020), section "Scene flow estimation".
    """
    stereo_t0 = F.leaky_relu(correlation_1d(left_t0, right_t0), SLOPE)
    stereo_t1 = F.leaky_relu(correlation_1d(left_t1, right_t1), SLOPE)
    change = F.leaky_relu(correlation_3d(stereo_t0, stereo_t1), SLOPE)
    temporal = F.leaky_relu(correlation_2d(left_t0, left_t1), SLOPE)
    return torch.cat([stereo_t0, stereo_t1, change, temporal], dim=1)


def dwarf_to_image_size(
    motions: SceneMotion | DwarfOutput, size: Size, mode: Literal["crop", "resize"] = "crop"
) -> SceneMotion:
    """Undo the enlargement of an image to a multiple of 64.

    Args:
        motions: DWARF's output for the enlarged image, or its `.full`, (B, ., Hp, Wp).
        size: height and width of the original image.
        mode: "crop" undoes centred padding: rows from (Hp - h) // 2, columns from (Wp - w) // 2.
            "resize" undoes a resize: flow x and both disparities times w / Wp, flow y times h / Hp, then
            legacy bilinear.

    Raises:
        ValueError: an unknown mode, or a crop larger than its source.

    Source: the two final modes of DWARF's test code.
    """
    full = motions.full if isinstance(motions, DwarfOutput) else motions
    if mode == "crop":
        return SceneMotion(
            crop_to(full.flow, size), crop_to(full.disparity_t0, size), crop_to(full.disparity_t1, size)
        )
    if mode != "resize":
        raise ValueError(f'mode must be "crop" or "resize", got {mode!r}')
    (padded_height, padded_width), (height, width) = full.flow.shape[-2:], size
    factor_x, factor_y = width / padded_width, height / padded_height
    scaled_values = SceneMotion(
        full.flow * scale_of(full.flow, (factor_x, factor_y)),
        full.disparity_t0 * factor_x,
        full.disparity_t1 * factor_x,
    )
    return scaled_values.resize(size)


def _check_images(images: tuple[Tensor, ...]) -> None:
    shape = images[0].shape
    if any(image.shape != shape for image in images) or len(shape) != 4 or shape[1] != 3:
        raise ValueError(
            f"DWARF needs four images (B, 3, H, W) of one shape, got {[tuple(i.shape) for i in images]}"
        )
    if shape[2] % 64 or shape[3] % 64 or not (shape[2] and shape[3]):
        raise ValueError(
            f"DWARF needs height and width that are multiples of 64, got {shape[2]}x{shape[3]}: pad the images "
            "(flowdistill.ops.padding.pad_to_multiple) and undo it with dwarf_to_image_size"
        )


def _warp_towards_left_t0(features: tuple[Tensor, ...], motion: Tensor, level: int) -> tuple[Tensor, ...]:
    """right_t0, left_t1 and right_t1 looked up where the up-sampled motion (B, 4, h, w) says."""
    left_t0, right_t0, left_t1, right_t1 = features
    pixels = motion * (SCALE / 2**level)
    disparity_t0, disparity_t1, flow = pixels[:, 0:1], pixels[:, 1:2], pixels[:, 2:4]
    to_right_t1 = torch.cat([flow[:, 0:1] + disparity_t1, flow[:, 1:2]], dim=1)
    return (
        left_t0,
        warp_disparity(right_t0, disparity_t0),
        warp_replicate(left_t1, flow),
        warp_replicate(right_t1, to_right_t1),
    )


def _to_pixels(motion: Tensor) -> SceneMotion:
    return SceneMotion(
        flow=motion[:, 2:4] * SCALE,
        disparity_t0=motion[:, 0:1] * -SCALE,
        disparity_t1=motion[:, 1:2] * -SCALE,
    )


def _dense(inputs: int, channels: tuple[int, ...], width: float) -> nn.ModuleList:
    layers = nn.ModuleList()
    for outputs in channels:
        layers.append(SameConv(inputs, scaled(outputs, width), slope=SLOPE))
        inputs += scaled(outputs, width)
    return layers


def _run_dense(layers: nn.ModuleList, x: Tensor) -> Tensor:
    """Every layer's output is [its input, its convolution]."""
    for layer in layers:
        x = torch.cat([x, layer(x)], dim=1)
    return x


def _upsample(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    """Exact doubling: TensorFlow's SAME removes one pixel on each side of the full result."""
    return nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)


def _xavier(module: nn.Module) -> None:
    """The original's start: Xavier-uniform kernels, zero biases."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
