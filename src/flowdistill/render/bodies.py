"""Shapes of a world: the enclosing room, convex polytopes and ellipsoids, each with textured surfaces.

A surface's texture coordinates are affine in the body's coordinates, (s, t) = axes @ X + offset, in periods.
They are attached to the body, so that a surface point has the same colour at all times and from all directions.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from flowdistill.render.camera import Array, Path


@dataclass(frozen=True)
class Skin:
    """The texture of a surface and its placement."""

    texture: int
    axes: Array  # (2, 3) periods per metre
    offset: Array  # (2,) periods
    gain: float  # constant brightness factor of the surface (its shading)


@dataclass(frozen=True)
class Polytope:
    """The convex body normals @ X <= distances; face i is its part of plane i."""

    path: Path
    normals: Array  # (F, 3) unit, outward
    distances: Array  # (F,)
    skins: tuple[Skin, ...]
    vertices: Array  # (V, 3)
    thin: bool

    @property
    def surfaces(self) -> int:
        return len(self.skins)


@dataclass(frozen=True)
class Ellipsoid:
    """The body sum (X_i / radii_i)^2 <= 1, a single surface."""

    path: Path
    radii: Array  # (3,)
    skins: tuple[Skin, ...]

    @property
    def surfaces(self) -> int:
        return 1

    @property
    def vertices(self) -> Array:
        """Corners (8, 3) of the enclosing box."""
        signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
        corners: Array = signs * self.radii
        return corners


@dataclass(frozen=True)
class Room:
    """The convex space normals @ X <= distances seen from inside: plane 0 is the ground, the last one the sky.

    Every ray from inside hits it at a finite depth, so the ground truth is dense.
    """

    normals: Array  # (F, 3) unit, outward, world axes
    distances: Array  # (F,) positive
    skins: tuple[Skin, ...]

    @property
    def surfaces(self) -> int:
        return len(self.skins)


Body = Polytope | Ellipsoid


def corners_of(normals: Array, distances: Array) -> Array:
    """Return the vertices (V, 3) of the bounded polytope normals @ X <= distances."""
    triples = np.array(list(combinations(range(len(normals)), 3)))
    proper = triples[np.abs(np.linalg.det(normals[triples])) > 1e-6]
    points = np.linalg.solve(normals[proper], distances[proper][..., None])[..., 0]
    inside = np.all(points @ normals.T <= distances + 1e-9, axis=1)
    vertices: Array = points[inside]
    return vertices


def box_planes(half: Array) -> tuple[Array, Array]:
    """Return normals (6, 3) and distances (6,) of the box |X_i| <= half_i."""
    return np.concatenate([np.eye(3), -np.eye(3)]), np.concatenate([half, half])


def prism_planes(sides: int, radius: float, half_height: float, taper: float) -> tuple[Array, Array]:
    """Return the planes of a prism along y, regular with inner radius `radius`; its sides lean inward by `taper`."""
    angles = np.arange(sides) * (2 * np.pi / sides)
    across = np.stack([np.cos(angles), np.full(sides, -taper), np.sin(angles)], axis=1)
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    caps = np.array([[0.0, 1.0, 0.0], [0.0, -1.0, 0.0]])
    return np.concatenate([across, caps]), np.concatenate(
        [np.full(sides, radius), [half_height, half_height]]
    )
