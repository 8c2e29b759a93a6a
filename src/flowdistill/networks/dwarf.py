"""DWARF: one light network for full scene flow from two stereo pairs.

Source: Aleotti, Poggi, Tosi, Mattoccia, "Learning End-To-End Scene Flow by Distilling Single Tasks
Knowledge", AAAI 2020. 19,618,196 parameters at width 1.

    left_t0 right_t0 left_t1 right_t1   # (B, 3, H, W) RGB in [0, 1], H and W multiples of 64
    motion                              # (B, 4, h, w) disparity, disparity at t1, flow x, flow y in network
                                        # units: full-resolution pixels / 20, disparities negative
    volume                              # (B, 180, h, w)

Network units are internal to this file; `SceneMotion` holds full-resolution pixels with positive disparities. Under
autocast the convolutions run in half precision; motions, their up-sampling, warped features and correlations stay
float32.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flowdistill.networks import cpu_inference
from flowdistill.networks.pyramid import (
    ContextNetwork,
    FeaturePyramid,
    MotionHead,
    MotionUpsample,
    SameConv,
    scaled,
    xavier,
)
from flowdistill.networks.recompute import called
from flowdistill.ops.padding import crop_to
from flowdistill.ops.precision import lowered, raised
from flowdistill.ops.resize import Size, resize_legacy_bilinear, scale_flow
from flowdistill.ops.units import SCALE
from flowkernels import correlation_1d, correlation_2d, correlation_3d, warp_disparity, warp_replicate

SLOPE = 0.1
LEVELS = (6, 5, 4, 3, 2)
TRUNK = (128, 128, 96)
BRANCH = (64, 32)
ENCODER = (16, 32, 64, 96, 128, 196)
VOLUME_CHANNELS = 9 + 9 + 81 + 81
MOTIONS = {"disparity_t0": 1, "disparity_t1": 1, "flow": 2}  # name -> channels, in the network's order


@dataclass
class SceneMotion:
    """Scene flow on the grid of left_t0, in full-resolution pixels at any resolution.

    Disparities are positive for meaningful predictions, and not clipped.

    Examples:
        >>> import torch
        >>> from flowdistill.networks import SceneMotion
        >>> disparity = torch.full((1, 1, 16, 24), 8.0)
        >>> motion = SceneMotion(torch.zeros(1, 2, 16, 24), disparity, disparity)
        >>> full = motion.resize((64, 96))
        >>> full.disparity_t0.shape, full.disparity_t0.mean().item()  # px of the full resolution at any size
        (torch.Size([1, 1, 64, 96]), 8.0)
    """

    flow: Tensor  # (B, 2, h, w) px, x right, y down, left_t0 -> left_t1
    disparity_t0: Tensor  # (B, 1, h, w) px
    disparity_t1: Tensor  # (B, 1, h, w) px, at t1, of the point seen at left_t0

    def resize(self, size: Size) -> SceneMotion:
        """Resize the grid (legacy bilinear) without scaling the values."""
        return SceneMotion(
            resize_legacy_bilinear(self.flow, size),
            resize_legacy_bilinear(self.disparity_t0, size),
            resize_legacy_bilinear(self.disparity_t1, size),
        )


@dataclass
class DwarfOutput:
    """Prediction of DWARF: `levels[l]` at 1/2^l of the input's size (6..2 in training, 2 in eval mode).

    Examples:
        >>> import torch
        >>> from flowdistill.networks import DwarfOutput, SceneMotion
        >>> disparity = torch.full((1, 1, 16, 32), 8.0)
        >>> output = DwarfOutput({2: SceneMotion(torch.zeros(1, 2, 16, 32), disparity, disparity)}, size=(64, 128))
        >>> output.full.flow.shape, output.full.disparity_t0.mean().item()
        (torch.Size([1, 2, 64, 128]), 8.0)
    """

    levels: dict[int, SceneMotion]
    size: Size  # of the input

    @cached_property
    def full(self) -> SceneMotion:
        """Level 2 at the input's size (legacy bilinear)."""
        return self.levels[2].resize(self.size)


class Upsampled(NamedTuple):
    """A level's motion and features at twice its size."""

    motion: Tensor  # (B, 4, 2h, 2w) network units, float32
    features: Tensor  # (B, 4, 2h, 2w)


class Branch(nn.Module):
    """Two dense convolutions and a linear 3x3 output for one motion."""

    def __init__(self, inputs: int, outputs: int, width: float) -> None:
        super().__init__()
        self.dense = _dense(inputs, BRANCH, width)
        self.features = inputs + sum(scaled(c, width) for c in BRANCH)
        self.predict = MotionHead(self.features, outputs)

    def forward(self, trunk: Tensor, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, h, w) -> motion (B, 1|2, h, w), dense features (B, features, h, w).

        `inputs` are the estimator's, in float32: the first channels of `trunk`.
        """
        dense = _run_dense(self.dense, trunk)
        if dense.dtype == inputs.dtype:
            return self.predict(dense), dense
        # Under autocast: the coarser level's motion, passed on by the dense links, reaches the output unrounded.
        return self.predict(torch.cat([inputs, raised(dense[:, inputs.shape[1] :])], dim=1)), dense


class Estimator(nn.Module):
    """One pyramid level, from volume and context to motion, followed by up-sampling or (level 2) refinement."""

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
            self.upsample_motion = nn.ModuleDict({name: MotionUpsample(c) for name, c in MOTIONS.items()})
            self.upsample_features = nn.ModuleDict(
                {name: nn.ConvTranspose2d(features, c, 4, stride=2, padding=1) for name, c in MOTIONS.items()}
            )
        self.refine = refine

    def forward(self, inputs: Tensor, recompute: bool = False) -> tuple[dict[str, Tensor], Upsampled | None]:
        """Return each motion (B, 1|2, h, w) of this level in network units, and the next level's input from it.

        With `recompute`, activations inside the trunk and between its result and the motions are not kept for
        backward.
        """
        if cpu_inference.applies(self, inputs):
            return self._on_cpu(inputs)
        trunk = called(self._run_trunk, inputs, recompute=recompute)
        if self.refine:
            refined = {
                name: called(self._refined, name, trunk, inputs, recompute=recompute) for name in MOTIONS
            }
            return refined, None
        # One checkpointed part per motion, so that backward holds the activations of one at a time.
        found = [called(self._upsampled, name, trunk, inputs, recompute=recompute) for name in MOTIONS]
        motions, up, features = zip(*found, strict=True)
        upsampled = Upsampled(torch.cat(up, dim=1), torch.cat(features, dim=1))
        return dict(zip(MOTIONS, motions, strict=True)), upsampled

    def _run_trunk(self, inputs: Tensor) -> Tensor:
        return _run_dense(self.trunk, lowered(inputs))

    def _refined(self, name: str, trunk: Tensor, inputs: Tensor) -> Tensor:
        """Return a motion with its context network's correction."""
        motion, dense = self.branches[name](trunk, inputs)
        refined: Tensor = motion + self.context[name](dense)
        return refined

    def _upsampled(self, name: str, trunk: Tensor, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return a motion, and the motion and its features at twice the size."""
        motion, dense = self.branches[name](trunk, inputs)
        return motion, self.upsample_motion[name](motion), self.upsample_features[name](dense)

    def _on_cpu(self, inputs: Tensor) -> tuple[dict[str, Tensor], Upsampled | None]:
        """Compute `forward` with one wide convolution of the trunk for all layers that read it."""
        trunk = _run_dense(self.trunk, cpu_inference.channels_last(inputs))
        readers = {name: self._readers_of_trunk(name) for name in MOTIONS}
        shares = iter(
            cpu_inference.shared_convolutions(trunk, [layer for each in readers.values() for layer in each])
        )
        motions: dict[str, Tensor] = {}
        own: dict[str, Tensor] = {}
        for name, (_, second, predict, *context) in readers.items():
            features = F.leaky_relu(next(shares), SLOPE)
            more = F.leaky_relu_(_added(next(shares), second, features), SLOPE)
            own[name] = torch.cat([features, more], dim=1)
            motion = _added(next(shares), predict, own[name])
            for first in context:
                correction = F.leaky_relu_(_added(next(shares), first, own[name]), SLOPE)
                for layer in list(self.context[name].children())[1:]:
                    correction = layer(correction)
                motion += correction
            motions[name] = motion.contiguous()
        if self.refine:
            return motions, None
        upsampling = [cast(nn.ConvTranspose2d, self.upsample_features[name]) for name in MOTIONS]
        parts = cpu_inference.shared_convolutions(trunk, upsampling)
        features = torch.cat(
            [_added(*each) for each in zip(parts, upsampling, own.values(), strict=True)], dim=1
        )
        up = [self.upsample_motion[name](motion) for name, motion in motions.items()]
        return motions, Upsampled(torch.cat(up, dim=1), features.contiguous())

    def _readers_of_trunk(self, name: str) -> list[nn.Conv2d]:
        """Return a motion's layers that read the trunk: two dense ones, the output, the context network's first."""
        branch = cast(Branch, self.branches[name])
        layers = [*branch.dense, branch.predict]
        layers += list(self.context[name].children())[:1] if self.refine else []
        return cast(list[nn.Conv2d], layers)


class Dwarf(nn.Module):
    """The DWARF network: estimates scene flow at five levels from four images.

    Args:
        width: factor on every layer's channels; 1.0 is the published network.

    `checkpoint_activations` (false) recomputes each level in backward instead of keeping its activations.

    Shapes:
        left_t0, right_t0, left_t1, right_t1: (B, 3, H, W) RGB in [0, 1]. Output: `DwarfOutput`, values in
        full-resolution pixels, disparities positive, nothing clipped.

    Raises:
        ValueError: H or W is not a multiple of 64, or the four shapes differ.

    Examples:
        >>> import torch
        >>> from flowdistill.networks import Dwarf
        >>> left_t0, right_t0, left_t1, right_t1 = torch.rand(4, 1, 3, 64, 128)
        >>> network = Dwarf(width=0.125).eval()
        >>> with torch.inference_mode():
        ...     output = network(left_t0, right_t0, left_t1, right_t1)
        >>> list(output.levels), output.levels[2].flow.shape, output.full.disparity_t1.shape
        ([2], torch.Size([1, 2, 16, 32]), torch.Size([1, 1, 64, 128]))
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        self.width = width
        self.checkpoint_activations = False
        channels = [scaled(c, width) for c in ENCODER]
        self.encoder = FeaturePyramid(channels, convolutions=3, slope=SLOPE)
        self.estimators = nn.ModuleDict()
        for level in LEVELS:
            context = 0 if level == 6 else channels[level - 1] + 2 * sum(MOTIONS.values())
            self.estimators[str(level)] = Estimator(VOLUME_CHANNELS + context, width, refine=level == 2)
        self.apply(xavier)

    def forward(self, left_t0: Tensor, right_t0: Tensor, left_t1: Tensor, right_t1: Tensor) -> DwarfOutput:
        images = (left_t0, right_t0, left_t1, right_t1)
        _check_images(images)
        pyramid = cpu_inference.encode(self.encoder, torch.cat(images))  # one pass for the four images
        levels: dict[int, SceneMotion] = {}
        upsampled: Upsampled | None = None
        for level in LEVELS:
            features = pyramid[level - 1].chunk(4)
            again = self.checkpoint_activations
            inputs = called(_estimator_input, level, *features, *(upsampled or ()), recompute=again)
            motions, upsampled = self.estimators[str(level)](inputs, again)
            if self.training or level == 2:
                levels[level] = _to_pixels(motions)
        return DwarfOutput(levels, (left_t0.shape[-2], left_t0.shape[-1]))


def scene_flow_volume(left_t0: Tensor, right_t0: Tensor, left_t1: Tensor, right_t1: Tensor) -> Tensor:
    """Compute the complete matching volume of four warped feature maps (B, C, h, w): (B, 180, h, w).

    Channels: stereo at t0 (9), stereo at t1 (9), 3-D correlation of these two (81), temporal (81); each
    followed by a leaky ReLU of slope 0.1.

    Source: DWARF (AAAI 2020), section "Scene flow estimation".
    """
    stereo_t0 = correlation_1d(left_t0, right_t0, negative_slope=SLOPE)
    stereo_t1 = correlation_1d(left_t1, right_t1, negative_slope=SLOPE)
    change = correlation_3d(stereo_t0, stereo_t1, negative_slope=SLOPE)
    temporal = correlation_2d(left_t0, left_t1, negative_slope=SLOPE)
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

    Examples:
        >>> import torch
        >>> from flowdistill.networks import SceneMotion, dwarf_to_image_size
        >>> disparity = torch.full((1, 1, 64, 128), 8.0)
        >>> enlarged = SceneMotion(torch.ones(1, 2, 64, 128), disparity, disparity)
        >>> cropped = dwarf_to_image_size(enlarged, (60, 96))
        >>> cropped.flow.shape, cropped.disparity_t0.mean().item()
        (torch.Size([1, 2, 60, 96]), 8.0)
        >>> dwarf_to_image_size(enlarged, (64, 96), "resize").disparity_t0.mean().item()  # 8 px * 96 / 128
        6.0
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
        scale_flow(full.flow, factor_x, factor_y), full.disparity_t0 * factor_x, full.disparity_t1 * factor_x
    )
    return scaled_values.resize(size)


def _check_images(images: tuple[Tensor, ...]) -> None:
    shape = images[0].shape
    if any(image.shape != shape for image in images) or len(shape) != 4 or shape[1] != 3:
        raise ValueError(
            f"DWARF needs four images (B, 3, H, W) of the same shape, got {[tuple(i.shape) for i in images]}"
        )
    if shape[2] % 64 or shape[3] % 64 or not (shape[2] and shape[3]):
        raise ValueError(
            f"DWARF needs height and width that are multiples of 64, got {shape[2]}x{shape[3]}: pad the images "
            "(flowdistill.ops.padding.pad_to_multiple) and undo it with dwarf_to_image_size"
        )


def _estimator_input(level: int, *tensors: Tensor) -> Tensor:
    """Build a level's input: volume (180), and from level 5 on left_t0's features and the coarser level's.

    Tensors: features of the four images (B, C, h, w), then the coarser level's `Upsampled`, if there is one.
    """
    # Warping and correlation run in float32. Converted here, so that no float32 copy is kept for backward.
    features = tuple(raised(tensor) for tensor in tensors[:4])
    if len(tensors) == 4:
        return scene_flow_volume(*features)
    upsampled = Upsampled(*tensors[4:])
    volume = scene_flow_volume(*_warp_towards_left_t0(features, upsampled.motion, level))
    return torch.cat([volume, features[0], upsampled.motion, raised(upsampled.features)], dim=1)


def _warp_towards_left_t0(features: tuple[Tensor, ...], motion: Tensor, level: int) -> tuple[Tensor, ...]:
    """Warp right_t0, left_t1 and right_t1 by the up-sampled motion (B, 4, h, w)."""
    left_t0, right_t0, left_t1, right_t1 = features
    # All four at once: one kernel forward and one backward, whereas slices need several.
    disparity_t0, disparity_t1, x, y = (motion * (SCALE / 2**level)).split(1, dim=1)
    return (
        left_t0,
        warp_disparity(right_t0, disparity_t0),
        warp_replicate(left_t1, torch.cat([x, y], dim=1)),
        warp_replicate(right_t1, torch.cat([x + disparity_t1, y], dim=1)),
    )


def _to_pixels(motions: dict[str, Tensor]) -> SceneMotion:
    return SceneMotion(
        flow=motions["flow"] * SCALE,
        disparity_t0=motions["disparity_t0"] * -SCALE,
        disparity_t1=motions["disparity_t1"] * -SCALE,
    )


def _added(share: Tensor, layer: cpu_inference.Convolution, own: Tensor) -> Tensor:
    """Complete a layer's output: its share of the wide convolution, plus its convolution of its own features."""
    return cpu_inference.own_convolution(layer, own).add_(share)


def _dense(inputs: int, channels: tuple[int, ...], width: float) -> nn.ModuleList:
    layers = nn.ModuleList()
    for outputs in channels:
        layers.append(SameConv(inputs, scaled(outputs, width), slope=SLOPE))
        inputs += scaled(outputs, width)
    return layers


def _run_dense(layers: nn.ModuleList, x: Tensor) -> Tensor:
    """Run dense layers: each outputs the concatenation of its input and its convolution."""
    for layer in layers:
        x = torch.cat([x, layer(x)], dim=1)
    return x
