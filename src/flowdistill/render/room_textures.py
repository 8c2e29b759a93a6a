"""Textures of the world `rooms`: bright, multicoloured, with contrast at all scales (legend: texture_parts)."""

from __future__ import annotations

from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from flowdistill.render.texture_parts import (
    Plane,
    Texture,
    fractal_noise,
    look_up,
    paint_leaves,
    sample_palette,
)

RoomKind = Literal["leaves", "marble", "tiles", "bands", "sky"]


def _tiles(rng: np.random.Generator, n: int, palette: Plane) -> Texture:
    """Paint bricks (n, n, 3): rows shifted by half a brick, individual colours, dark or light joints."""
    rows = int(rng.choice([8, 16, 32]))
    columns = max(rows // int(rng.choice([1, 2, 4])), 2)
    height, width = n // rows, n // columns
    colours = palette[rng.integers(0, len(palette), (rows, columns))] + rng.normal(0, 12, (rows, columns, 3))
    painted = np.clip(colours, 0, 255).astype(np.uint8)
    tiles = np.asarray(cv2.resize(painted, (n, n), interpolation=cv2.INTER_NEAREST), np.uint8)
    joint = max(n // 128, 1) * int(rng.integers(1, 3))
    for edge in range(joint):
        tiles[edge::height] = tiles[:, edge::width] = palette[0].astype(np.uint8)
    for row in range(height, n, 2 * height):
        tiles[row : row + height] = np.roll(tiles[row : row + height], width // 2, axis=1)
    return tiles


def room_texture(rng: np.random.Generator, n: int, kind: RoomKind) -> Texture:
    """Return a random texture (n, n, 3) of one kind; n is a power of two, 64 or more."""
    palette = sample_palette(rng, int(rng.integers(5, 9)))
    detail = fractal_noise(rng, n, rng.uniform(0.72, 0.9))
    colour: NDArray[Any]
    if kind in ("leaves", "tiles"):
        if kind == "tiles":
            canvas = _tiles(rng, n, palette)
        else:
            canvas = look_up(palette, fractal_noise(rng, n // 2, 0.6), smooth=True).astype(np.uint8)
            canvas = np.asarray(cv2.resize(canvas, (n, n), interpolation=cv2.INTER_LINEAR), np.uint8)
        count = n if kind == "leaves" else n // 4
        paint_leaves(rng, canvas, palette, count, n / 5 if kind == "leaves" else n / 12)
        wrapped = cv2.copyMakeBorder(canvas, 4, 4, 4, 4, cv2.BORDER_WRAP)
        colour = np.asarray(cv2.GaussianBlur(wrapped, (0, 0), 0.7), np.uint8)[4:-4, 4:-4]
    elif kind == "bands":
        frequency = int(rng.integers(3, 9)) * 2 * np.pi / n
        y, x = np.arange(n, dtype=np.float32)[:, None], np.arange(n, dtype=np.float32)[None, :]
        along = (y if rng.random() < 0.5 else x) * np.float32(frequency)
        bend = fractal_noise(rng, n, 0.5) * np.float32(rng.uniform(0.5, 2.5))
        waves = np.sin(along + bend) * np.float32(1.6)
        colour = look_up(palette, waves, smooth=bool(rng.random() < 0.5))
    else:
        if kind == "sky":
            palette = np.clip(palette * 0.35 + np.array([118, 136, 158]), 0, 245).astype(np.float32)
        colour = look_up(palette, fractal_noise(rng, n, rng.uniform(0.55, 0.68)), smooth=True)
    strength = rng.uniform(0.10, 0.16) if kind == "sky" else rng.uniform(0.12, 0.24)
    gain = detail * np.float32(strength)
    gain += np.float32(1)
    shaded = cv2.multiply(colour, cv2.merge([gain, gain, gain]), dtype=cv2.CV_8U)
    return np.asarray(shaded, np.uint8)
