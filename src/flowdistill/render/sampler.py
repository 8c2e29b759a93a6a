"""Base class of the samplers of all worlds: order of draws, camera ranges, textures and their placement."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

from flowdistill.render.bodies import Body, Room, Skin
from flowdistill.render.camera import Array, Path
from flowdistill.render.scene import LARGEST_DISPARITY, Scene
from flowdistill.render.textures import Kind


class Sampler(ABC):
    """Draws one scene in a fixed order, as a pure function of `key` and the aspect (height / width)."""

    FOCAL: ClassVar[tuple[float, float]]  # shares of the image width
    BASELINE: ClassVar[tuple[float, float]]  # metres
    PACE: ClassVar[tuple[float, float]]  # target flow of the motions, as a share of the width

    def __init__(self, key: tuple[int, ...], aspect: float) -> None:
        self.key, self.aspect = key, aspect
        self.rng = rng = np.random.default_rng([*key])
        self.focal, self.baseline = rng.uniform(*self.FOCAL), rng.uniform(*self.BASELINE)
        self.nearest = self.focal * self.baseline / LARGEST_DISPARITY
        self.textures: list[tuple[Kind, int]] = []
        self.pace = rng.uniform(*self.PACE)

    def scene(self) -> Scene:
        """Draw the scene; must be called only once."""
        camera_path = self.camera_path()
        room = self.room(camera_path)
        bodies = self.bodies(camera_path, room)
        centre = (0.5 + self.rng.uniform(-0.02, 0.02), 0.5 + self.rng.uniform(-0.03, 0.03))
        textures = tuple(self.textures)
        return Scene(self.focal, centre, self.baseline, camera_path, room, bodies, textures, self.key)

    @abstractmethod
    def camera_path(self) -> Path:
        """Draw the left camera's path; it starts at the origin."""

    @abstractmethod
    def room(self, camera_path: Path) -> Room:
        """Draw the room around the path; every ray of its cameras hits it, and not too near."""

    @abstractmethod
    def bodies(self, camera_path: Path, room: Room) -> tuple[Body, ...]:
        """Draw the objects; none is ever nearer than `self.nearest` in the frame."""

    def texture(self, kind: Kind, texels: int) -> int:
        """Add a texture of `texels` per side and return its number."""
        self.textures.append((kind, texels))
        return len(self.textures) - 1

    def skin(self, normal: Array, texture: int, period: float, gain: float) -> Skin:
        """Draw a random placement on the plane with this normal."""
        rng = self.rng
        helper = np.eye(3)[int(np.argmin(np.abs(normal)))]
        first = np.cross(normal, helper)
        first /= np.linalg.norm(first)
        second = np.cross(normal, first)
        angle = rng.uniform(0, 2 * np.pi)
        axes = np.stack(
            [np.cos(angle) * first + np.sin(angle) * second, -np.sin(angle) * first + np.cos(angle) * second]
        )
        return Skin(texture, axes / period, rng.uniform(0, 1, 2), gain)

    def steepest(self, camera_path: Path, normal: Array) -> float:
        """Return an upper bound of normal . ray over all pixels and times, with rays of unit z.

        The depth of a plane normal @ X = d is then at least (d - reach of the camera along the normal) / steepest.
        """
        half = np.array(
            [[side * 0.53, end * 0.53 * self.aspect, self.focal] for side in (-1, 1) for end in (-1, 1)]
        )
        half /= self.focal
        length = np.linalg.norm(half, axis=1)
        lean = np.arccos(np.clip(half @ camera_path.orientation.T @ normal / length, -1, 1))
        return float(np.max(length * np.cos(np.maximum(lean - camera_path.turn.reach(), 0))))


def pick(rng: np.random.Generator, kinds: tuple[Kind, ...]) -> Kind:
    """Draw one of the kinds."""
    return kinds[int(rng.integers(len(kinds)))]
