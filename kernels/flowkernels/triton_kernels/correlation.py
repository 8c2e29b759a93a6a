"""Launching the correlation's kernels: which one, with which tiles.

    x, y     # (B, C, H, W) contiguous, float32, float16 or bfloat16
    volume   # (B, S, h, w)

Tiles are a pure function of shape and dtype: timing would let two runs choose, and so round, differently.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import triton
from torch import Tensor

from flowkernels.definitions.correlation import Window
from flowkernels.triton_kernels.correlation_pixels import backward_pixels, forward_pixels
from flowkernels.triton_kernels.correlation_quads import backward_quads, forward_quads
from flowkernels.triton_kernels.launch import launch
from flowkernels.triton_kernels.variant import Variant

THREADS = 128  # of a program: 4 warps
QUAD_RADIUS = 4  # the largest whose columns lie in three quads
PIXEL_BLOCK = 4  # channels of a program of `backward_pixels`
# From so many quads on, three row shifts per thread keep a GPU busy; below, one shift gives it three times the threads.
MANY_QUADS = 132 * THREADS


def takes_quads(window: Window, width: int) -> bool:
    """Whether the kernels with four pixels per thread apply."""
    return width % 4 == 0 and window.radius_x <= QUAD_RADIUS and window.stride == 1 and window.dilation == 1


def quad_tile(width: int) -> dict[str, int]:
    """Quads of a row and rows of a program: wide programs waste threads on narrow maps."""
    quads = min(16, triton.next_power_of_2(max(width // 4, 1)))
    return {"QUADS": quads, "ROWS": THREADS // quads}


def group(window: Window, batch: int, height: int, width: int) -> int:
    """Row shifts per thread in the forward."""
    return 3 if window.radius_y >= 1 and batch * height * (width // 4) >= MANY_QUADS else 1


def block(sign: int, leaky: bool) -> int:
    """Channels per thread in the backward: as many as registers allow without a spill on every GPU."""
    return (4 if sign == 1 else 3) - leaky


def forward(x: Tensor, y: Tensor, window: Window, scale: float, slope: float) -> Tensor:
    """The volume, in one launch."""
    batch, channels, height, width = x.shape
    rows, columns = window.size(height, width)
    volume = x.new_empty(batch, window.shifts, rows, columns)
    depths, radii = 2 * window.depth + 1, _radii(window)
    if takes_quads(window, width):
        tile = quad_tile(width)
        tiles = _tiles(height, width, tile)
        grouped = group(window, batch, height, width)
        grid = (batch * tiles[0] * tiles[1], triton.cdiv(2 * window.radius_y + 1, grouped), depths)
        launch(
            forward_quads, grid, x, y, volume, channels, height, width // 4, *tiles, scale, slope,
            **radii, GROUP=grouped, LEAKY=slope != 1.0, **tile, num_warps=4,
        )  # fmt: skip
    else:
        tiled = triton.cdiv(rows * columns, THREADS)
        grid = (batch * tiled, 2 * window.radius_y + 1, depths)
        launch(
            forward_pixels, grid, x, y, volume, channels, height, width, rows, columns, tiled, scale, slope,
            window.stride, window.dilation, **radii, LEAKY=slope != 1.0, PIXELS=THREADS, num_warps=4,
        )  # fmt: skip
    return volume


def backward(
    grad: Tensor,
    x: Tensor,
    y: Tensor,
    volume: Tensor | None,
    window: Window,
    scale: float,
    slope: float,
    need_x: bool,
    need_y: bool,
) -> tuple[Tensor, Tensor]:
    """The gradients of x and y, one launch each; one that is not needed is not computed."""
    return (
        _backward(grad, y, volume, window, scale, slope, 1) if need_x else x,
        _backward(grad, x, volume, window, scale, slope, -1) if need_y else y,
    )


def _backward(
    grad: Tensor, other: Tensor, volume: Tensor | None, window: Window, scale: float, slope: float, sign: int
) -> Tensor:
    batch, channels, height, width = other.shape
    out = torch.empty_like(other)
    leaky = volume is not None
    maps = (grad, grad if volume is None else volume, other, out)
    settings = {**_radii(window), "SIGN": sign, "LEAKY": leaky}
    if takes_quads(window, width):
        tile, channel_block = quad_tile(width), block(sign, leaky)
        tiles = _tiles(height, width, tile)
        grid = (batch * tiles[0] * tiles[1], triton.cdiv(channels, channel_block), 1)
        launch(
            backward_quads, grid, *maps, channels, height, width // 4, *tiles, scale, slope,
            **settings, BLOCK=channel_block, **tile, num_warps=4,
        )  # fmt: skip
    else:
        rows, columns = window.size(height, width)
        tiled = triton.cdiv(height * width, THREADS)
        grid = (batch * tiled, triton.cdiv(channels, PIXEL_BLOCK), 1)
        launch(
            backward_pixels, grid, *maps, channels, height, width, rows, columns, tiled, scale, slope,
            window.stride, window.dilation, **settings, BLOCK=PIXEL_BLOCK, PIXELS=THREADS, num_warps=4,
        )  # fmt: skip
    return out


def _radii(window: Window) -> dict[str, int]:
    return {"RADIUS_Y": window.radius_y, "RADIUS_X": window.radius_x, "DEPTH": window.depth}


def _tiles(height: int, width: int, tile: dict[str, int]) -> tuple[int, int]:
    return triton.cdiv(width // 4, tile["QUADS"]), triton.cdiv(height, tile["ROWS"])


def variants() -> list[Variant]:
    """What the published networks launch (radius 4; 2-D, 1-D and, with nine channels, 3-D), and the general kernels."""
    return [*_quad_variants(), *_pixel_variants()]


def _quad_variants() -> Iterator[Variant]:
    scalars = {
        **dict.fromkeys(("C", "H", "W4", "tiles_x", "tiles_y"), "i32"),
        "scale": "fp32",
        "slope": "fp32",
    }
    # DWARF folds the leaky ReLU in, DDFlow does not; its 1-D volumes cost little. The compiler never sees the width,
    # W = 320, 40 and 20 have different tiles.
    sizes = {"fp32": ((320, 96), (40, 12), (20, 6)), "fp16": ((320, 96),), "bf16": ((320, 96),)}
    kinds = {
        "fp32": ((4, False), (4, True), (0, True)),
        "fp16": ((4, True),),
        "bf16": ((4, False), (4, True)),
    }
    for dtype, kind in kinds.items():
        for radius_y, leaky in kind:
            window = Window(radius_y, 4)
            name = f"{'2d' if radius_y else '1d'}/{dtype}{'/leaky' if leaky else ''}"
            radii = {**_radii(window), "LEAKY": leaky}
            for width, height in sizes[dtype]:
                tile = {"GROUP": group(window, 4, height, width), **quad_tile(width)}
                maps: tuple[str, ...] = ("x", "y", "volume")
                yield Variant(
                    f"correlation_forward/{name}/W{width}", forward_quads, dict.fromkeys(maps, f"*{dtype}") | scalars,
                    radii | tile, maps, vector_loads=dtype == "fp32",
                )  # fmt: skip
            maps = ("grad", "volume", "other", "out")
            for sign in (1, -1):
                tile = {"SIGN": sign, "BLOCK": block(sign, leaky), **quad_tile(320)}
                yield Variant(
                    f"correlation_backward/{name}/{'x' if sign == 1 else 'y'}", backward_quads,
                    dict.fromkeys(maps, f"*{dtype}") | scalars, radii | tile, maps,
                )  # fmt: skip


def _pixel_variants() -> Iterator[Variant]:
    integers = ("C", "H", "W", "h", "w", "tiles", "STRIDE", "DILATION")
    scalars = {**dict.fromkeys(integers, "i32"), "scale": "fp32", "slope": "fp32"}
    for dtype, radius, leaky in (
        ("fp32", 4, True),
        ("bf16", 4, False),
        ("fp32", 8, False),
        ("fp16", 8, True),
    ):
        name = f"pixels/radius{radius}/{dtype}{'/leaky' if leaky else ''}"
        settings = {**_radii(Window(radius, radius)), "LEAKY": leaky, "PIXELS": THREADS}
        maps: tuple[str, ...] = ("x", "y", "volume")
        yield Variant(
            f"correlation_forward/{name}",
            forward_pixels,
            dict.fromkeys(maps, f"*{dtype}") | scalars,
            settings,
            maps,
        )
        maps = ("grad", "volume", "other", "out")
        for sign in (1, -1):
            yield Variant(
                f"correlation_backward/{name}/{'x' if sign == 1 else 'y'}", backward_pixels,
                dict.fromkeys(maps, f"*{dtype}") | scalars,
                settings | {"SIGN": sign, "BLOCK": PIXEL_BLOCK}, maps,
            )  # fmt: skip
