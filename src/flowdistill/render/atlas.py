"""All textures of a scene with all their mip levels in one image, so that one look-up serves all surfaces.

Legend: N samples; texture coordinates (s, t) are in periods of the texture; a level's size is n / 2^level texels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.floating[Any]]  # float32 throughout; numpy's typing widens it
Indices = NDArray[np.int32]

_SMALLEST = 4
_COLUMNS = 256


class Atlas:
    """Mip-mapped textures: box-filtered levels, each with a wrapped border of one texel."""

    def __init__(self, textures: list[NDArray[np.uint8]]) -> None:
        """Pack uint8 textures (n, n, 3), n a power of two."""
        self.levels = max(int(np.log2(texture.shape[0] / _SMALLEST)) + 1 for texture in textures)
        count = len(textures) * self.levels
        self._left, self._top = np.zeros(count, np.float32), np.zeros(count, np.float32)
        self._size = np.zeros(count, np.float32)
        self.texels = np.array([texture.shape[0] for texture in textures], np.float32)
        tiles: list[tuple[int, NDArray[np.uint8]]] = []
        for index, texture in enumerate(textures):
            # With an unused fourth channel: OpenCV looks up four channels more than twice as fast as three.
            level_image = np.asarray(cv2.cvtColor(texture, cv2.COLOR_RGB2RGBA), np.uint8)
            for level in range(self.levels):
                tiles.append((index * self.levels + level, level_image))
                size = level_image.shape[0] // 2
                if size >= _SMALLEST:
                    level_image = np.asarray(
                        cv2.resize(level_image, (size, size), interpolation=cv2.INTER_AREA)
                    )
        tiles.sort(key=lambda tile: -tile[1].shape[0])
        width = tiles[0][1].shape[0] * 2 + 4
        placed: list[tuple[int, int, NDArray[np.uint8]]] = []
        x = y = shelf = 0
        for slot, image in tiles:
            size = image.shape[0] + 2
            if x + size > width:
                x, y, shelf = 0, y + shelf, 0
            shelf = max(shelf, size)
            placed.append((x, y, image))
            # Texel i of a level is at left + i + 1; its centre has coordinate (i + 0.5) / size.
            self._left[slot], self._top[slot], self._size[slot] = x + 0.5, y + 0.5, size - 2
            x += size
        self._picture = np.zeros((y + shelf, width, 4), np.uint8)
        for x, y, image in placed:
            size = image.shape[0] + 2
            self._picture[y : y + size, x : x + size] = cv2.copyMakeBorder(image, 1, 1, 1, 1, cv2.BORDER_WRAP)

    def sample(
        self, texture: Indices, taps: Sequence[tuple[Samples, Samples]], level: Samples, gain: Samples
    ) -> Samples:
        """Return trilinear colours (N, 4): the mean over taps, each (s, t) with two arrays (N,), times gain (N,).

        Texture numbers and fractional levels (N,) apply to all taps. The fourth channel is unused, only for speed.
        """
        count = level.shape[0]
        if count == 0:
            return np.empty((0, 4), np.float32)
        taps = [(s - np.floor(s), t - np.floor(t)) for s, t in taps]
        level = np.clip(level, np.float32(0), np.float32(self.levels - 1.001))
        whole = level.astype(np.int32)
        slot = texture * np.int32(self.levels)
        slot += whole
        gain = gain * np.float32(1 / len(taps))
        part = (level - whole) * gain
        fine = cv2.multiply(self._bilinear(slot, taps), _four_times(gain - part), dtype=cv2.CV_32F)
        slot += 1
        coarse = cv2.multiply(self._bilinear(slot, taps), _four_times(part), dtype=cv2.CV_32F)
        return np.asarray(cv2.add(fine, coarse, dst=fine), np.float32)

    def _bilinear(self, slot: Indices, taps: Sequence[tuple[Samples, Samples]]) -> NDArray[Any]:
        """Return the sum over taps of the colours (N, 4) of the levels in these slots."""
        count = slot.shape[0]
        rows = -(-count // _COLUMNS)
        left, top, size = self._left.take(slot), self._top.take(slot), self._size.take(slot)
        # cv2.remap requires an image-shaped map with sides below 2^15.
        x, y = np.zeros((2, rows, _COLUMNS), np.float32)
        flat_x, flat_y = x.reshape(-1)[:count], y.reshape(-1)[:count]
        total: Any = None
        for s, t in taps:
            np.multiply(s, size, out=flat_x)
            np.multiply(t, size, out=flat_y)
            flat_x += left
            flat_y += top
            colours = cv2.remap(self._picture, x, y, cv2.INTER_LINEAR)
            total = colours if total is None else cv2.add(total, colours, dtype=cv2.CV_16U)
        return np.asarray(total).reshape(-1, 4)[:count]


def _four_times(weights: Samples) -> Samples:
    """Repeat weights (N,) for each of four channels (N, 4)."""
    return np.asarray(cv2.merge([weights, weights, weights, weights]), np.float32).reshape(-1, 4)
