"""flowkernels' operators in terms of standard PyTorch operators, for exported graphs.

A graph whose operators are replaced by these needs no flowkernels to run: every runtime that knows padding, reshaping,
matrix products and gathers can execute it. Sizes may be symbolic.

    x, y, image, features   # (B, C, H, W) float32
    motion                  # (B, 2 or 1, H, W) px
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from flowkernels.definitions import normalise as normalise_definition
from flowkernels.definitions import warp as warp_definition
from flowkernels.definitions.correlation import Window
from flowkernels.definitions.correlation import correlation as correlation_definition
from flowkernels.definitions.warp import Convention
from flowkernels.operators.correlation import correlation as correlation_operator
from flowkernels.operators.normalise import normalise as normalise_operator
from flowkernels.operators.warp import warp as warp_operator

TILE = 16  # columns, as in flowkernels.cpu.correlation


def standard_operators() -> dict[Any, Callable[..., Tensor]]:
    """Return operator -> equivalent function, for `torch.export.ExportedProgram.run_decompositions`.

    Examples:
        >>> import torch
        >>> import flowkernels
        >>> from flowkernels.standard_operators import standard_operators
        >>> class Match(torch.nn.Module):
        ...     def forward(self, x, y):
        ...         return flowkernels.correlation_2d(x, y)
        >>> x, y = torch.rand(2, 1, 8, 12, 20)
        >>> program = torch.export.export(Match(), (x, y), strict=False).run_decompositions(standard_operators())
        >>> any("flowkernels" in str(node.target) for node in program.graph.nodes)
        False
        >>> torch.allclose(program.module()(x, y), flowkernels.correlation_2d(x, y), atol=1e-6)
        True
    """
    return {
        _overload(correlation_operator): correlation,
        _overload(warp_operator): warp,
        _overload(normalise_operator): normalise_definition.normalise,
    }


def _overload(operator: Any) -> Any:
    """Return what a graph's nodes call."""
    return operator._opoverload


def correlation(
    x: Tensor,
    y: Tensor,
    radius_y: int,
    radius_x: int,
    depth_radius: int,
    stride: int,
    dilation: int,
    average: bool,
    negative_slope: float | None,
) -> Tensor:
    """Compute the volume (B, S, H', W') with one matrix product of tiles of columns.

    The products of a tile's pixels with the columns that it reads contain the volume as a band, which becomes a block
    of columns when every row is made one element longer. Windows that neither network uses take the definition's loop
    over shifts.
    """
    window = Window(radius_y, radius_x, depth_radius, stride, dilation)
    if depth_radius or stride != 1 or dilation != 1 or 2 * radius_x > TILE:
        scale = 1.0 / x.shape[1] if average else 1.0
        return correlation_definition(x, y, window, scale, negative_slope)
    batch, channels, height, width = x.shape
    tiles = (width + TILE - 1) // TILE
    beyond = tiles * TILE - width
    rows, columns, seen = 2 * radius_y + 1, 2 * radius_x + 1, TILE + 2 * radius_x
    left = F.pad(x, (0, beyond)).reshape(batch, channels, height, tiles, TILE).permute(0, 2, 3, 4, 1)
    padded = F.pad(y, (radius_x, beyond + TILE - radius_x, radius_y, radius_y))
    cut = padded.reshape(batch, channels, height + 2 * radius_y, tiles + 1, TILE).permute(0, 2, 3, 1, 4)
    right = torch.cat([cut[:, :, :-1], cut[:, :, 1:, :, : 2 * radius_x]], dim=-1)
    right = torch.stack([right[:, i : i + height] for i in range(rows)], dim=1)
    products = torch.matmul(left.unsqueeze(1), right)  # (B, rows, H, tiles, TILE, seen)
    flat = F.pad(products.reshape(batch, rows, height, tiles, TILE * seen), (0, TILE))
    band = flat.reshape(batch, rows, height, tiles, TILE, seen + 1)[..., :columns]
    volume = band.permute(0, 1, 5, 2, 3, 4).reshape(batch, rows * columns, height, tiles * TILE)[..., :width]
    if average:
        volume = volume * (1.0 / channels)
    return volume if negative_slope is None else F.leaky_relu(volume, negative_slope)


def warp(image: Tensor, motion: Tensor, convention: str) -> Tensor:
    """Warp an image (B, C, H, W) by a motion, as the definition does."""
    return warp_definition.warp(image, motion, cast(Convention, convention))
