"""Launch functions of the correlation kernels: choice of kernel, grid and tiles.

Tiles are a pure function of shapes, dtype and window, never autotuned, so that repeated runs are bit-identical. They
were chosen without a GPU, from a model of memory traffic and register counts (docs/kernels.md).

Forward is one launch. Backward is one per gradient. Both gather: every value is summed by one thread, in a fixed order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from flowkernels.definitions.correlation import Window
from flowkernels.triton_kernels import correlation_quads, correlation_single
from flowkernels.triton_kernels.launch import launch
from flowkernels.triton_kernels.variant import Variant

WARP = 32
# Fewer programs than this do not fill a large GPU (108 to 148 multiprocessors) twice.
FEW_PROGRAMS = 256
# Largest x radius for which the three quads of y that are loaded per quad suffice.
MAX_QUAD_RADIUS = 4
SINGLE_THREADS = 128
SINGLE_SHIFTS = 9
SINGLE_CHANNELS = 4
# Offsets within a plane and program numbers are int32; larger offsets are int64.
MAX_INT32 = 2**31 - 1
TRITON_TYPES = {torch.float32: "fp32", torch.float16: "fp16", torch.bfloat16: "bf16"}


@dataclass(frozen=True)
class Plan:
    """A launch without its tensors and its two factors."""

    kernel: Any
    programs: int
    sizes: dict[str, int]
    constants: dict[str, Any]
    num_warps: int


def forward(x: Tensor, y: Tensor, window: Window, scale: float, negative_slope: float | None) -> Tensor:
    """Compute the volume of x and y, (B, S, H', W'), in x's dtype."""
    volume = x.new_empty(window.volume_shape(x))
    if volume.numel() == 0:
        return volume
    plan = forward_plan(tuple(x.shape), window)
    _run(plan, (x.contiguous(), y.contiguous(), volume), scale, negative_slope)
    return volume


def backward(
    grad_volume: Tensor,
    x: Tensor,
    y: Tensor,
    volume: Tensor | None,
    window: Window,
    scale: float,
    negative_slope: float | None,
    needed: tuple[bool, bool],
) -> tuple[Tensor | None, Tensor | None]:
    """Compute the gradients of x and y, (B, C, H, W) each, or None where not needed.

    Args:
        grad_volume: (B, S, H', W').
        volume: the forward's output, if `negative_slope` is given.
    """
    grad_volume = grad_volume.contiguous()
    # Without a leaky ReLU the kernel does not read it, and any pointer is valid.
    volume = grad_volume if volume is None else volume.contiguous()
    found: list[Tensor | None] = []
    for other, sign, wanted in ((y, 1, needed[0]), (x, -1, needed[1])):
        grad = torch.empty_like(other, memory_format=torch.contiguous_format) if wanted else None
        if grad is not None and grad.numel() > 0:
            plan = backward_plan(tuple(x.shape), window, sign, negative_slope is not None)
            _run(plan, (grad_volume, volume, other.contiguous(), grad), scale, negative_slope)
        found.append(grad)
    return found[0], found[1]


def _run(plan: Plan, tensors: tuple[Tensor, ...], scale: float, negative_slope: float | None) -> None:
    slope = 1.0 if negative_slope is None else negative_slope
    launch(
        plan.kernel,
        (plan.programs,),
        *tensors,
        scale=scale,
        slope=slope,
        **plan.sizes,
        **plan.constants,
        num_warps=plan.num_warps,
    )


def forward_plan(shape: tuple[int, ...], window: Window) -> Plan:
    """Plan the forward launch for features of a shape (B, C, H, W).

    Raises:
        ValueError: the features are too large for the kernels' offsets.
    """
    batch, _, height, width = shape
    depths, rows, columns = window.counts
    if not _fits_quads(width, window):
        sizes = _single_sizes(shape, window)
        pixels = sizes["centre_rows"] * sizes["centre_columns"]
        group = min(columns, SINGLE_SHIFTS)
        sizes["tiles"] = _ceil(pixels, SINGLE_THREADS)
        programs = batch * sizes["tiles"] * depths * rows * _ceil(columns, group)
        constants = {"GROUP": group, "N": SINGLE_THREADS}
        return _checked(
            Plan(correlation_single.forward_single, programs, sizes, constants, SINGLE_THREADS // WARP), shape
        )
    # Three y shifts per thread read the fewest values per product; a small map needs single shifts, and small
    # tiles, for enough programs.
    for group, warps in ((3, 4), (1, 4), (1, 1)):
        if group > rows:
            continue
        tiles = _quad_tiles(height, width, warps)
        programs = batch * tiles["tiles_x"] * tiles["tiles_y"] * depths * _ceil(rows, group)
        if programs >= FEW_PROGRAMS:
            break
    sizes = _quad_sizes(shape, window, tiles)
    constants = {
        "RADIUS_Y": window.radius_y,
        "RADIUS_X": window.radius_x,
        "GROUP": group,
        "N": warps * WARP,
    }
    return _checked(Plan(correlation_quads.forward_quads, programs, sizes, constants, warps), shape)


def backward_plan(shape: tuple[int, ...], window: Window, sign: int, leaky: bool) -> Plan:
    """Plan the backward launch for x (sign 1) or y (sign -1), of a shape (B, C, H, W).

    Raises:
        ValueError: the features are too large for the kernels' offsets.
    """
    batch, channels, height, width = shape
    constants: dict[str, Any] = {"SIGN": sign, "LEAKY": leaky}
    if not _fits_quads(width, window):
        sizes = _single_sizes(shape, window)
        sizes["tiles"] = _ceil(height * width, SINGLE_THREADS)
        programs = batch * sizes["tiles"] * _ceil(channels, SINGLE_CHANNELS)
        constants |= {"CHANNELS": SINGLE_CHANNELS, "N": SINGLE_THREADS}
        return _checked(
            Plan(correlation_single.backward_single, programs, sizes, constants, SINGLE_THREADS // WARP),
            shape,
        )
    # More channels would spill, or use more than 192 registers: y's weights are read unaligned, value by value.
    per_program = 2 if leaky and sign == -1 else 4
    for warps in (4, 1):
        tiles = _quad_tiles(height, width, warps)
        programs = batch * tiles["tiles_x"] * tiles["tiles_y"] * _ceil(channels, per_program)
        if programs >= FEW_PROGRAMS:
            break
    sizes = _quad_sizes(shape, window, tiles) | {"radius_y": window.radius_y}
    constants |= {"RADIUS_X": window.radius_x, "CHANNELS": per_program, "N": warps * WARP}
    return _checked(Plan(correlation_quads.backward_quads, programs, sizes, constants, warps), shape)


def _fits_quads(width: int, window: Window) -> bool:
    return width % 4 == 0 and window.radius_x <= MAX_QUAD_RADIUS and window.stride == window.dilation == 1


def _quad_tiles(height: int, width: int, warps: int) -> dict[str, int]:
    """Choose the tiles that leave the fewest quads of a row idle, and of these the widest."""
    quads = width // 4
    tile_x = min((16, 8, 4), key=lambda tile: _ceil(quads, tile) * tile)
    tile_y = warps * WARP // tile_x
    return {"tile_x": tile_x, "tiles_x": _ceil(quads, tile_x), "tiles_y": _ceil(height, tile_y)}


def _quad_sizes(shape: tuple[int, ...], window: Window, tiles: dict[str, int]) -> dict[str, int]:
    return {
        "channels": shape[1],
        "depth_radius": window.depth_radius,
        "height": shape[2],
        "width4": shape[3] // 4,
        **tiles,
    }


def _single_sizes(shape: tuple[int, ...], window: Window) -> dict[str, int]:
    return {
        "channels": shape[1],
        "height": shape[2],
        "width": shape[3],
        "centre_rows": _ceil(shape[2], window.stride),
        "centre_columns": _ceil(shape[3], window.stride),
        **window._asdict(),
    }


def _checked(plan: Plan, shape: tuple[int, ...]) -> Plan:
    # Offsets of neighbours may lie a window beyond a plane: half the range is reserved for them.
    if plan.programs > MAX_INT32 or shape[2] * shape[3] > MAX_INT32 // 2:
        raise ValueError(
            f"correlation: features of shape {shape} are too large for the Triton kernels "
            '(2**31 programs, 2**30 pixels); split them, or choose the backend "torch"'
        )
    return plan


def _ceil(size: int, step: int) -> int:
    return -(-size // step)


# Levels of the published networks, in batches, and shapes that only the single-pixel kernels support.
_LEVELS = ((32, 96, 320), (64, 48, 160), (96, 24, 80), (128, 12, 40), (196, 6, 20))
_SHAPES = [
    *(
        (f"{kind}/{level[2]}", (4, *level), window)
        for kind, window in (("2d", Window(4, 4)), ("1d", Window(0, 4)))
        for level in _LEVELS
    ),
    ("odd", (2, 32, 47, 157), Window(4, 4)),
    ("odd/radius1", (2, 32, 47, 157), Window(1, 1)),
]
_SMALL_RADII = [(f"2d/radius{r}", (4, 32, 96, 320), Window(r, r)) for r in (1, 2, 3)]


def variants() -> list[Variant]:
    """Return every variant that the functions above compile for the published shapes."""
    found: dict[tuple[Any, ...], Variant] = {}
    for dtype, short in TRITON_TYPES.items():
        for label, shape, window in _SHAPES + (_SMALL_RADII if dtype == torch.float32 else []):
            plans = {"forward": forward_plan(shape, window)}
            for leaky, suffix in ((False, ""), (True, "_leaky")):
                for sign, of in ((1, "x"), (-1, "y")):
                    plans[f"backward_{of}{suffix}"] = backward_plan(shape, window, sign, leaky)
            for name, plan in plans.items():
                key = (plan.kernel.__name__, dtype, *sorted(plan.constants.items()))
                found.setdefault(key, _variant(f"correlation_{name}/{short}/{label}", plan, dtype))
    return list(found.values())


def _variant(name: str, plan: Plan, dtype: torch.dtype) -> Variant:
    arguments = [n for n in plan.kernel.arg_names if n not in plan.constants]
    pointers = tuple(n for n in arguments if n not in plan.sizes and n not in ("scale", "slope"))
    signature = dict.fromkeys(plan.sizes, "i32") | dict.fromkeys(("scale", "slope"), "fp32")
    signature |= dict.fromkeys(pointers, f"*{TRITON_TYPES[dtype]}")
    full_window = plan.constants.get("RADIUS_X") == MAX_QUAD_RADIUS
    return Variant(
        name,
        plan.kernel,
        {n: signature[n] for n in arguments},
        plan.constants,
        pointers,
        num_warps=plan.num_warps,
        vector_loads=name.startswith("correlation_forward/fp32") and full_window,
    )
