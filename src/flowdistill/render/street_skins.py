"""Placement of the street's textures on its surfaces: upright, with one exposure per scene."""

from __future__ import annotations

import numpy as np

from flowdistill.render.bodies import Skin
from flowdistill.render.camera import Array
from flowdistill.render.textures import Kind

FRONTS: tuple[Kind, ...] = ("windows", "windows", "bricks", "concrete")


def exposure(rng: np.random.Generator) -> float:
    """Draw the brightness of a scene, down to dusk. It is the same for both cameras and all times."""
    return float(rng.uniform(0.65, 1.05))


def upright(rng: np.random.Generator, normal: Array, texture: int, period: Array, gain: float) -> Skin:
    """Place a texture with its columns down a wall (y) or along a level surface (z), with a random offset.

    `period` (2,) is in metres, across and along the columns.
    """
    across, along = _directions(normal)
    return Skin(texture, np.stack([across / period[0], along / period[1]]), rng.uniform(0, 1, 2), gain)


def fitted(normal: Array, texture: int, half: Array, rows: tuple[float, float], gain: float) -> Skin:
    """Fit rows of a texture (shares of its height) and all columns to a face of a body of half sizes (3,)."""
    across, along = _directions(normal)
    share = rows[1] - rows[0]
    axes = np.stack([across / (2 * np.abs(across) @ half), along * share / (2 * np.abs(along) @ half)])
    return Skin(texture, axes, np.array([0.5, rows[0] + 0.5 * share]), gain)


def _directions(normal: Array) -> tuple[Array, Array]:
    """Return unit vectors on the plane: across and along a texture's columns."""
    along = np.array([0.0, 0.0, 1.0]) if abs(normal[1]) > 0.9 else np.array([0.0, 1.0, 0.0])
    along = along - normal * (normal @ along)
    along /= np.linalg.norm(along)
    return np.cross(along, normal), along
