"""Every operator at the shapes of the published networks, with the minimum bytes that it moves.

features, image   # (B, C, H, W)
volume            # (B, S, H, W)
motion            # (B, 2 or 1, H, W) px
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

import flowkernels

Shape = tuple[int, int, int, int]
# Level 2 of two training crops (KITTI's, FlyingThings3D's), a middle level, two coarse ones, one odd size.
SHAPES: tuple[Shape, ...] = (
    (4, 32, 96, 320), (4, 32, 80, 224), (4, 64, 48, 160), (4, 128, 12, 40), (4, 196, 6, 20), (2, 32, 47, 157),
)  # fmt: skip
GREY: tuple[Shape, ...] = ((4, 1, 320, 896), (1, 1, 375, 1242))
LONGEST_MOTION = 20.0  # px


@dataclass(frozen=True)
class Operator:
    """An operator and its inputs.

    Args:
        name: name in tables.
        run: inputs -> output.
        inputs: (shape, generator on the CPU) -> inputs.
        moved: float values read and written per pixel of the batch, forward and backward, for C channels.
        shapes: measured shapes.
        constants: indices of inputs that need no gradient.
        fixed_point: channels per pixel whose gradient passes through an int64 buffer (cleared, added to, read).
    """

    name: str
    run: Callable[..., Tensor]
    inputs: Callable[[Shape, torch.Generator], tuple[Tensor, ...]]
    moved: Callable[[int], tuple[int, int]]
    shapes: tuple[Shape, ...] = SHAPES
    constants: tuple[int, ...] = ()
    fixed_point: bool = False

    def floor_bytes(self, shape: Shape, dtype: torch.dtype) -> tuple[int, int]:
        """Return the minimum bytes moved by forward and backward."""
        batch, channels, height, width = shape
        pixels = batch * height * width
        forward, backward = (pixels * values * dtype.itemsize for values in self.moved(channels))
        if self.fixed_point:
            backward += pixels * channels * 8 * 4  # clear, read and write of the additions, read at the end
        return forward, backward


def _features(shape: Shape, generator: torch.Generator) -> tuple[Tensor, ...]:
    return torch.randn(shape, generator=generator), torch.randn(shape, generator=generator)


def _volumes(shape: Shape, generator: torch.Generator) -> tuple[Tensor, ...]:
    return _features((shape[0], 9, *shape[2:]), generator)


def _moved(channels: int) -> Callable[[Shape, torch.Generator], tuple[Tensor, ...]]:
    def draw(shape: Shape, generator: torch.Generator) -> tuple[Tensor, ...]:
        motion = torch.rand(shape[0], channels, *shape[2:], generator=generator)
        # Away from integer pixels, where the gradient is discontinuous and depends on rounding.
        whole = ((2 * motion - 1) * LONGEST_MOTION).floor()
        fraction = 0.1 + 0.8 * torch.rand(motion.shape, generator=generator)
        return torch.randn(shape, generator=generator), whole + fraction

    return draw


def _grey(shape: Shape, generator: torch.Generator) -> tuple[Tensor, ...]:
    return 255 * torch.rand(shape, generator=generator), 255 * torch.rand(shape, generator=generator)


def _one(shape: Shape, generator: torch.Generator) -> tuple[Tensor, ...]:
    return (torch.randn(shape, generator=generator),)


def _warp(name: str, motions: int) -> Operator:
    return Operator(
        name, getattr(flowkernels, name), _moved(motions), lambda c: (2 * c + motions, 3 * c + 2 * motions),
        fixed_point=True,
    )  # fmt: skip


# Two gather kernels: each reads the volume's gradient and one map, and writes one.
OPERATORS = (
    Operator("correlation_2d", flowkernels.correlation_2d, _features, lambda c: (2 * c + 81, 2 * 81 + 4 * c)),
    Operator("correlation_1d", flowkernels.correlation_1d, _features, lambda c: (2 * c + 9, 2 * 9 + 4 * c)),
    Operator(
        "correlation_3d", flowkernels.correlation_3d, _volumes, lambda c: (2 * 9 + 81, 2 * 81 + 4 * 9),
        shapes=SHAPES[:4],
    ),
    _warp("warp_zero", 2),
    _warp("warp_replicate", 2),
    _warp("warp_disparity", 1),
    Operator("census_distance", flowkernels.census_distance, _grey, lambda c: (3, 4), shapes=GREY, constants=(0,)),
    Operator("l2_normalise", flowkernels.l2_normalise, _one, lambda c: (2 * c, 3 * c)),
)  # fmt: skip
