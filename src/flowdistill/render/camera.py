"""The pair of pinhole cameras, and smooth, bounded motions of cameras and objects.

Axes of every camera: x right, y down, z forward; metres. The grid consists of pixel centres: the integer
coordinate (x, y) is the centre of the pixel in column x and row y. The right camera is at (+baseline, 0, 0) in
the left camera's frame with the same rotation (a rectified pair), so that disparity = focal * baseline / Z > 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Camera:
    """Common intrinsics of a rectified pair in pixels, and the baseline in metres."""

    focal: float
    centre_x: float
    centre_y: float
    baseline: float
    height: int
    width: int

    @property
    def intrinsics(self) -> Array:
        """The 3x3 matrix K."""
        return np.array([[self.focal, 0.0, self.centre_x], [0.0, self.focal, self.centre_y], [0.0, 0.0, 1.0]])

    def on_pixels(self, covectors: Array) -> Array:
        """Convert covectors n (..., 3) of camera space to c with n . ray(x, y) = c0 x + c1 y + c2.

        ray(x, y) = K^-1 (x, y, 1) has unit z, so that a point is ray / inverse depth.
        """
        on_x, on_y = covectors[..., 0] / self.focal, covectors[..., 1] / self.focal
        constant = covectors[..., 2] - on_x * self.centre_x - on_y * self.centre_y
        return np.stack([on_x, on_y, constant], axis=-1)

    def project(self, points: Array) -> tuple[Array, Array]:
        """Return pixel coordinates x, y (N,) of points (3, N) in front of the camera."""
        x = points[0] / points[2] * self.focal + self.centre_x
        y = points[1] / points[2] * self.focal + self.centre_y
        return x, y


@dataclass(frozen=True)
class Sway:
    """A smooth, bounded path in three coordinates that starts at zero: a (sin(w t + p) - sin p).

    Since it is bounded, objects stay in front of the camera in sequences of any length, and frame t of a scene does
    not depend on the number of requested frames.
    """

    amplitude: Array  # (3,)
    omega: Array  # (3,) radians per frame
    phase: Array  # (3,)

    def at(self, time: int) -> Array:
        """Return the offset (3,) at a frame number."""
        offset: Array = self.amplitude * (np.sin(self.omega * time + self.phase) - np.sin(self.phase))
        return offset

    def reach(self) -> float:
        """Return an upper bound of the offset's Euclidean norm over all times."""
        return float(np.linalg.norm(np.abs(self.amplitude) * (1 + np.abs(np.sin(self.phase)))))


def sample_sway(rng: np.random.Generator, velocity: Array, period: tuple[float, float]) -> Sway:
    """Draw a sway with peak speed per coordinate `velocity` (3,) per frame, and at least 0.7 of it at the start."""
    omega = 2 * np.pi / rng.uniform(*period, 3)
    return Sway(velocity / omega, omega, rng.uniform(-0.75, 0.75, 3))


def rotation(vector: Array) -> Array:
    """Return the rotation matrix (3, 3) of a rotation vector (axis times angle in radians): Rodrigues' formula."""
    angle = float(np.linalg.norm(vector))
    if angle < 1e-12:
        return np.eye(3)
    x, y, z = vector / angle
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    matrix: Array = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * (cross @ cross)
    return matrix


@dataclass(frozen=True)
class Path:
    """A moving rigid frame: world = orientation(t) @ local + position(t)."""

    start: Array  # (3,) position at time 0
    orientation: Array  # (3, 3) at time 0
    shift: Sway  # metres, world axes
    turn: Sway  # rotation vector, local axes

    def at(self, time: int) -> tuple[Array, Array]:
        """Return orientation (3, 3) and position (3,) at a frame number."""
        return self.orientation @ rotation(self.turn.at(time)), self.start + self.shift.at(time)
