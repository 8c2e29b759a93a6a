"""Building blocks of textures: periodic noise, palettes, painted patches.

Legend: n texels per side; a texture is uint8 (n, n, 3) RGB. The mixture of painted patches of all sizes ("dead
leaves", a model with the statistics of natural images: Lee, Mumford and Huang, IJCV 2001) and fractal noise gives all
surfaces gradients at fine and coarse scales, as photometric learning needs.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Texture = NDArray[np.uint8]
Plane = NDArray[np.float32]


def fractal_noise(rng: np.random.Generator, n: int, persistence: float, coarsest: int = 4) -> Plane:
    """Return periodic noise (n, n) of zero mean and unit deviation; `persistence`: amplitude ratio between octaves."""
    noise = rng.random((coarsest, coarsest), dtype=np.float32) - np.float32(0.5)
    amplitude = 1.0
    while noise.shape[0] < n:
        size = noise.shape[0]
        wrapped = cv2.copyMakeBorder(noise, 2, 2, 2, 2, cv2.BORDER_WRAP)
        large = cv2.resize(wrapped, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)
        amplitude *= persistence
        noise = large[4 : 4 + 2 * size, 4 : 4 + 2 * size]
        octave = rng.random((2 * size, 2 * size), dtype=np.float32)
        octave -= np.float32(0.5)
        octave *= np.float32(amplitude)
        noise = octave + noise
    mean, deviation = cv2.meanStdDev(noise)
    return np.asarray((noise - np.float32(mean[0, 0])) * np.float32(1 / deviation[0, 0]), np.float32)


def sample_palette(rng: np.random.Generator, colours: int) -> Plane:
    """Draw RGB colours (colours, 3) of related hues and evenly spread brightness, in grey levels 30..225."""
    tints = np.exp(rng.normal(0, 0.32, (2, 3)))
    brightness = rng.permutation(np.linspace(45, 225, colours)) + rng.uniform(-12, 12, colours)
    mix = rng.uniform(0, 1, (colours, 1)) ** 2
    hue = tints[0] * (1 - mix) + tints[1] * mix + rng.normal(0, 0.06, (colours, 3))
    # Perceptual luma weights; without them, red and blue patches become too saturated.
    hue /= hue @ np.array([[0.299], [0.587], [0.114]])
    return np.clip(hue * brightness[:, None], 25, 230).astype(np.float32)


def paint_leaves(
    rng: np.random.Generator, canvas: Texture, palette: Plane, count: int, largest: float
) -> None:
    """Paint `count` ellipses and polygons of power-law size on the periodic canvas, in place."""
    n = canvas.shape[0]
    smallest = 1.5
    # Radii with density r^-2: each octave of sizes covers a comparable share of the canvas' edges.
    radii = np.sort(1 / (1 / largest + rng.random(count) * (1 / smallest - 1 / largest)))[::-1]
    centres = rng.uniform(0, n, (count, 2))
    colours = np.clip(palette[rng.integers(0, len(palette), count)] + rng.normal(0, 14, (count, 3)), 20, 235)
    angles = rng.uniform(0, 360, count)
    ratios = rng.uniform(0.3, 1.0, count)
    corners = rng.integers(3, 6, count)
    # All polygons have five corners, some of which coincide.
    around = np.deg2rad(angles)[:, None] + np.minimum(np.arange(5), corners[:, None] - 1) * (
        2 * np.pi / corners[:, None]
    )
    polygons = np.stack([np.cos(around), np.sin(around)], axis=2) * (radii[:, None, None] * 16)
    polygons = np.round(polygons + centres[:, None] * 16).astype(np.int32)
    axes = np.round(np.stack([radii, radii * ratios], axis=1) * 16).astype(int).tolist()
    fixed_centres = np.round(centres * 16).astype(int).tolist()
    paints = colours.tolist()
    for index, (x, y) in enumerate(centres.tolist()):
        radius = float(radii[index])
        for shift_x in _shifts(x, radius, n):
            for shift_y in _shifts(y, radius, n):
                if index % 2:
                    centre = (fixed_centres[index][0] + shift_x * 16, fixed_centres[index][1] + shift_y * 16)
                    cv2.ellipse(
                        canvas, centre, axes[index], angles[index], 0, 360, paints[index], -1, cv2.LINE_8, 4
                    )
                else:
                    polygon = polygons[index]
                    if shift_x or shift_y:
                        polygon = polygon + np.array([shift_x * 16, shift_y * 16], np.int32)
                    cv2.fillConvexPoly(canvas, polygon, paints[index], cv2.LINE_8, 4)


def _shifts(centre: float, radius: float, n: int) -> list[int]:
    """Return the shifts along one axis with which a shape must be drawn on a periodic canvas."""
    shifts = [0]
    if centre < radius:
        shifts.append(n)
    if centre > n - radius:
        shifts.append(-n)
    return shifts


def look_up(palette: Plane, value: Plane, smooth: bool) -> Plane:
    """Map values (n, n) to colours (n, n, 3) of the palette, repeated twice; smooth or in hard steps."""
    steps = 256
    position = np.arange(steps) / steps * (2 * len(palette))
    low = position.astype(int)
    part = (position - low)[:, None] if smooth else np.zeros((steps, 1))
    table = palette[low % len(palette)] * (1 - part) + palette[(low + 1) % len(palette)] * part
    index = (value * np.float32(0.16 * steps) + np.float32(steps / 2)).astype(np.int32) & (steps - 1)
    return np.take(table.astype(np.float32), index, axis=0)
