"""Textures of the world `street`: dark, grey, with many lines and rectangles (legend: texture_parts).

The columns of a texture run down the wall or along the road; textures are not rotated on their surface.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import cv2
import numpy as np

from flowdistill.render.texture_parts import Plane, Texture, fractal_noise, paint_leaves

StreetKind = Literal[
    "asphalt", "windows", "bricks", "concrete", "foliage", "car", "clothes", "metal", "overcast"
]


def street_texture(rng: np.random.Generator, n: int, kind: StreetKind) -> Texture:
    """Return a random texture (n, n, 3) of one kind; n is a power of two, 64 or more."""
    paint, grain = _KINDS[kind]
    colour = paint(rng, n).astype(np.float32)
    # Grain at all scales, so that plain walls can be matched from near and far, too.
    gain = 1 + fractal_noise(rng, n, rng.uniform(0.85, 1.0), coarsest=8) * np.float32(rng.uniform(*grain))
    return np.asarray(np.clip(colour * gain[..., None], 4, 245), np.uint8)


def _grey(rng: np.random.Generator, low: float, high: float, tint: float = 0.06) -> Plane:
    """Draw a colour (3,) of low saturation."""
    # Warm or cold: mostly browns and blues, as of stone and paint.
    hue = np.exp(rng.normal(0, tint) * np.array([1.0, 0.0, -1.0]) + rng.normal(0, 0.3 * tint, 3))
    hue /= hue @ np.array([0.299, 0.587, 0.114])
    return np.asarray(hue * rng.uniform(low, high), np.float32)


def _plain(n: int, colour: Plane) -> Plane:
    return np.asarray(np.broadcast_to(colour, (n, n, 3)).copy(), np.float32)


def _rectangle(canvas: Plane, top: int, left: int, height: int, width: int, colour: Plane) -> None:
    """Fill a rectangle of the periodic canvas, in place."""
    n = canvas.shape[0]
    rows, columns = np.arange(top, top + height) % n, np.arange(left, left + width) % n
    canvas[np.ix_(rows, columns)] = colour


def _asphalt(rng: np.random.Generator, n: int) -> Plane:
    """Paint repaired tarmac with joints, cracks and one dashed white line along the road."""
    base = rng.uniform(48, 82)
    canvas = _plain(n, _grey(rng, base, base, 0.02))
    for _ in range(int(rng.integers(14, 26))):
        size = (n * rng.uniform(0.02, 0.22, 2)).astype(int) + 2
        top, left = (int(value) for value in rng.integers(0, n, 2))
        _rectangle(canvas, top, left, size[0], size[1], _grey(rng, 0.55 * base, 1.5 * base, 0.03))
    for _ in range(int(rng.integers(10, 20))):
        crack = np.cumsum(rng.normal(0, n / 40, (24, 2)) + rng.normal(0, n / 60, 2), axis=0) + rng.uniform(
            0, n, 2
        )
        for shift_x in (-n, 0, n):
            for shift_y in (-n, 0, n):
                points = np.round(crack + np.array([shift_x, shift_y])).astype(np.int32)
                cv2.polylines(canvas, [points], False, (0.45 * base,) * 3, max(n // 200, 1))
    dashes, width = int(rng.choice([1, 2, 4])), max(n // 34, 2)
    for dash in range(dashes):
        _rectangle(canvas, dash * n // dashes, n // 2, n // (2 * dashes), width, _grey(rng, 165, 215, 0.02))
    return canvas


def _windows(rng: np.random.Generator, n: int) -> Plane:
    """Paint a front with storeys of windows of varying width and brightness; some are bricked up."""
    wall = rng.uniform(55, 130)
    canvas = _plain(n, _grey(rng, wall, wall, 0.12))
    storeys, columns = int(rng.choice([2, 4])), int(rng.choice([3, 4, 5]))
    height, frame = n // storeys, max(n // 100, 1)
    for storey in range(storeys):
        _rectangle(canvas, storey * height, 0, max(n // 40, 1), n, _grey(rng, 0.6 * wall, 1.5 * wall, 0.05))
        for column in range(columns):
            if rng.random() < 0.12:
                continue
            left = int((column + rng.uniform(0.1, 0.3)) * n / columns)
            wide = int(rng.uniform(0.4, 0.65) * n / columns)
            top, tall = storey * height + int(0.25 * height), int(rng.uniform(0.45, 0.65) * height)
            _rectangle(canvas, top, left, tall, wide, _grey(rng, 1.2 * wall, 1.7 * wall, 0.04))
            pane = _grey(rng, 12, 50, 0.12) if rng.random() < 0.75 else _grey(rng, 90, 190, 0.15)
            _rectangle(canvas, top + frame, left + frame, tall - 2 * frame, wide - 2 * frame, pane)
            _rectangle(canvas, top, left + wide // 2, tall, frame, _grey(rng, wall, 1.5 * wall, 0.04))
            if rng.random() < 0.5:  # a partly lowered blind
                blind = int(tall * rng.uniform(0.2, 0.7))
                _rectangle(
                    canvas, top + frame, left + frame, blind, wide - 2 * frame, _grey(rng, 70, 170, 0.1)
                )
    return canvas


def _bricks(rng: np.random.Generator, n: int) -> Plane:
    """Paint bonded courses of stones with individual shades and dark joints."""
    rows = int(rng.choice([8, 16]))
    columns = rows // 2
    base, hue = rng.uniform(50, 105), _grey(rng, 1, 1, 0.16)
    canvas = _plain(n, hue * np.float32(0.45 * base))
    height, width, joint = n // rows, n // columns, max(n // 128, 1)
    for row in range(rows):
        for column in range(columns):
            shade = np.float32(base * np.exp(rng.normal(0, 0.35)))
            left = column * width + (row % 2) * (width // 2)
            _rectangle(canvas, row * height, left, height - joint, width - joint, hue * shade)
    return canvas


def _concrete(rng: np.random.Generator, n: int) -> Plane:
    """Paint panels with vertical stains, posters and dark doors."""
    base = rng.uniform(60, 125)
    canvas = _plain(n, _grey(rng, base, base, 0.04))
    panels = int(rng.choice([2, 4]))
    for row in range(panels):
        for column in range(panels):
            size = n // panels
            _rectangle(
                canvas, row * size, column * size, size, size, _grey(rng, 0.75 * base, 1.25 * base, 0.04)
            )
            _rectangle(canvas, row * size, column * size, size, max(n // 110, 1), _grey(rng, 25, 45))
        _rectangle(canvas, row * n // panels, 0, max(n // 110, 1), n, _grey(rng, 25, 45))
    for _ in range(int(rng.integers(12, 24))):
        top, left = (int(value) for value in rng.integers(0, n, 2))
        tall, wide = int(n * rng.uniform(0.05, 0.3)), int(n * rng.uniform(0.02, 0.12)) + 1
        _rectangle(canvas, top, left, tall, wide, _grey(rng, 0.3 * base, 1.7 * base, 0.15))
    return canvas


def _foliage(rng: np.random.Generator, n: int) -> Plane:
    """Paint leaves of dark greens and browns."""
    brightness = np.linspace(14, 120, 6)[:, None]
    palette = (brightness * [0.85, 1.05, 0.6] * np.exp(rng.normal(0, 0.12, (6, 3)))).astype(np.float32)
    canvas = np.full((n, n, 3), palette[1], np.uint8)
    paint_leaves(rng, canvas, palette, 2 * n, n / 14)
    return canvas.astype(np.float32)


def _car(rng: np.random.Generator, n: int) -> Plane:
    """Paint a car: side with windows, wheels and lamps (upper half), roof and bonnet (lower half); for `fitted`."""
    shade = rng.uniform(30, 185)
    paint = _grey(rng, shade, shade, 0.05 if rng.random() < 0.65 else 0.22)
    canvas = _plain(n, paint)
    side = n // 2
    glass, seam = _grey(rng, 14, 45), paint * np.float32(0.45)
    _rectangle(canvas, side // 10, n // 12, int(0.36 * side), n - n // 6, glass)
    for pillar in range(int(rng.integers(2, 5))):
        left = int((pillar + 1) * n / 5 + rng.uniform(-0.05, 0.05) * n)
        _rectangle(canvas, side // 10, left, int(0.36 * side), n // 24, paint * np.float32(0.8))
        _rectangle(canvas, side // 2, left, side // 3, max(n // 100, 1), seam)
    _rectangle(canvas, int(0.80 * side), 0, int(0.2 * side), n, _grey(rng, 18, 40))
    lamp = _grey(rng, 150, 235, 0.12)
    for left in (n // 40, n - n // 40 - n // 9):
        _rectangle(canvas, int(0.55 * side), left, side // 8, n // 9, lamp)
    _rectangle(canvas, int(0.70 * side), int(0.4 * n), side // 10, n // 5, _grey(rng, 160, 220, 0.1))
    for centre in (int(0.22 * n), int(0.78 * n)):
        cv2.circle(canvas, (centre, int(0.86 * side)), side // 6, (14.0, 14.0, 14.0), -1)
        cv2.circle(canvas, (centre, int(0.86 * side)), side // 13, (95.0, 95.0, 95.0), -1)
    for top in (0.66, 0.82):
        _rectangle(canvas, int(top * n), 0, max(n // 90, 1), n, seam)
    _rectangle(canvas, int(0.86 * n), n // 8, n // 12, n - n // 4, glass)
    return canvas


def _clothes(rng: np.random.Generator, n: int) -> Plane:
    """Paint a head, jacket, trousers and shoes, from top to bottom; for `fitted`."""
    canvas = _plain(n, _grey(rng, 20, 170, 0.18))
    _rectangle(
        canvas, 0, 0, n // 7, n, np.array([1.25, 0.95, 0.75], np.float32) * np.float32(rng.uniform(60, 170))
    )
    _rectangle(canvas, int(rng.uniform(0.45, 0.6) * n), 0, n // 2, n, _grey(rng, 15, 110, 0.15))
    _rectangle(canvas, int(0.93 * n), 0, n - int(0.93 * n), n, _grey(rng, 10, 60))
    if rng.random() < 0.5:
        top, left = int(rng.uniform(0.2, 0.4) * n), int(rng.integers(0, n))
        _rectangle(canvas, top, left, n // 4, n // 3, _grey(rng, 30, 210, 0.18))
    return canvas


def _metal(rng: np.random.Generator, n: int) -> Plane:
    """Paint a post with a few rings and notices."""
    base = rng.uniform(25, 130)
    canvas = _plain(n, _grey(rng, base, base))
    for _ in range(int(rng.integers(4, 9))):
        tall = int(n * rng.uniform(0.02, 0.16)) + 1
        _rectangle(canvas, int(rng.integers(0, n)), 0, tall, n, _grey(rng, 0.5 * base, 1.6 * base, 0.1))
    return canvas


def _overcast(rng: np.random.Generator, n: int) -> Plane:
    """Paint grey clouds with soft edges."""
    clouds = np.clip(fractal_noise(rng, n, rng.uniform(0.62, 0.75)), -2, 2)
    level = np.float32(rng.uniform(120, 165)) + clouds * np.float32(rng.uniform(16, 26))
    return np.asarray(level[..., None] * _grey(rng, 1, 1, 0.03), np.float32)


# The painting function, and the range of the grain's standard deviation as a share of the brightness.
_KINDS: dict[StreetKind, tuple[Callable[[np.random.Generator, int], Plane], tuple[float, float]]] = {
    "asphalt": (_asphalt, (0.20, 0.30)),
    "windows": (_windows, (0.14, 0.24)),
    "bricks": (_bricks, (0.14, 0.24)),
    "concrete": (_concrete, (0.16, 0.26)),
    "foliage": (_foliage, (0.14, 0.24)),
    "car": (_car, (0.10, 0.18)),
    "clothes": (_clothes, (0.10, 0.20)),
    "metal": (_metal, (0.10, 0.20)),
    "overcast": (_overcast, (0.08, 0.12)),
}
