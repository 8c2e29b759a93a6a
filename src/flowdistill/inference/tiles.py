"""Predict a large image in overlapping tiles, blended linearly where they overlap.

    images    # (B, 3, H, W)
    motions   # (B, C, H, W) px

A tile sees only itself: motions longer than the overlap are lost where a tile ends, which is why whole images are
preferred as long as they fit into memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

Images = Mapping[str, Tensor]
Motions = dict[str, Tensor]


def starts(length: int, tile: int, overlap: int) -> list[int]:
    """Return the first rows or columns of the tiles of an axis: evenly spread, overlapping by `overlap` or more.

    Examples:
        >>> from flowdistill.inference.tiles import starts
        >>> starts(100, tile=40, overlap=10), starts(30, tile=40, overlap=10)
        ([0, 30, 60], [0])
    """
    if length <= tile:
        return [0]
    count = -(-(length - overlap) // (tile - overlap))
    return [round(k * (length - tile) / (count - 1)) for k in range(count)]


def predict_tiled(
    predict: Callable[[Images], Motions], images: Images, tile: tuple[int, int], overlap: int
) -> Motions:
    """Predict every tile and blend: each pixel is the mean of its tiles, weighted by the distance to their borders.

    Args:
        predict: images (B, 3, h, w) -> motions (B, C, h, w) in px.
        images: of the same size; an axis no longer than the tile is not divided.
        tile: rows and columns.
        overlap: px, less than the tile.

    Raises:
        ValueError: the overlap is not smaller than the tile.

    Examples:
        >>> import torch
        >>> from flowdistill.inference.tiles import predict_tiled
        >>> images = {"left_t0": torch.rand(1, 3, 100, 80)}
        >>> flow = predict_tiled(lambda part: {"flow": part["left_t0"][:, :2]}, images, (48, 48), 16)["flow"]
        >>> torch.allclose(flow, images["left_t0"][:, :2])
        True
    """
    if not 0 <= overlap < min(tile):
        raise ValueError(f"the overlap must be smaller than the tile, got {overlap} and {tile[0]}x{tile[1]}")
    first = next(iter(images.values()))
    height, width = first.shape[-2:]
    rows, columns = min(tile[0], height), min(tile[1], width)
    weight = _ramp(rows, overlap, first)[:, None] * _ramp(columns, overlap, first)
    total = first.new_zeros(height, width)
    sums: Motions = {}
    for top in starts(height, tile[0], overlap):
        for left in starts(width, tile[1], overlap):
            place = (..., slice(top, top + rows), slice(left, left + columns))
            found = predict({name: image[place].contiguous() for name, image in images.items()})
            total[place] += weight
            for name, motion in found.items():
                if name not in sums:
                    sums[name] = motion.new_zeros(*motion.shape[:2], height, width)
                sums[name][place] += motion * weight
    return {name: motion.div_(total) for name, motion in sums.items()}


def _ramp(length: int, overlap: int, like: Tensor) -> Tensor:
    """Return weights that rise over `overlap` pixels from both ends, never to 0."""
    place = torch.arange(length, device=like.device, dtype=torch.float32)
    return (torch.minimum(place, length - 1 - place) + 1).clamp_max(overlap + 1)
