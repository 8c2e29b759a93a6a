"""Static and moving bodies of a street. Sizes are in the street's metres (`unit` world metres each)."""

from __future__ import annotations

import numpy as np

from flowdistill.render.bodies import (
    Body,
    Ellipsoid,
    Polytope,
    Room,
    box_planes,
    corners_of,
    prism_planes,
)
from flowdistill.render.camera import Array, Path, Sway, rotation, sample_sway
from flowdistill.render.sampler import Sampler, pick
from flowdistill.render.street_skins import FRONTS, fitted, upright
from flowdistill.render.textures import Kind

_STILL = Sway(np.zeros(3), np.zeros(3), np.zeros(3))


class StreetBodies:
    """The bodies of one scene. Surface numbers are bytes: the bodies have at most 181 surfaces, the room 5."""

    def __init__(self, sampler: Sampler, camera_path: Path, room: Room, unit: float) -> None:
        self.sampler, self.rng, self.camera, self.room, self.unit = (
            sampler,
            sampler.rng,
            camera_path,
            room,
            unit,
        )
        self.light = room.skins[0].gain  # of the road, which has no shading
        self.left, self.right = (float(value) for value in room.distances[1:3])

    def all(self) -> tuple[Body, ...]:
        """Draw all bodies, in the order of their object ids."""
        rng = self.rng
        made: list[Body] = [self._house() for _ in range(int(rng.integers(0, 4)))]
        made += [self._car(moves=True) for _ in range(int(rng.integers(3, 6)))]
        made += [self._car(moves=False) for _ in range(int(rng.integers(2, 5)))]
        made += [self._walker() for _ in range(int(rng.integers(2, 5)))]
        for _ in range(int(rng.integers(0, 4))):
            made += self._tree()
        made += [self._post() for _ in range(int(rng.integers(3, 7)))]
        return tuple(made)

    def _place(self, half: Array, x: float, depth: float, shift: Sway, heading: float = 0.0) -> Path:
        """Return a path on the ground, far enough ahead that the body of half sizes (3,) is never too near."""
        amplitude = [
            np.abs(sway.amplitude) * (1 + np.abs(np.sin(sway.phase))) for sway in (self.camera.shift, shift)
        ]
        start = rotation(np.array([0.0, heading, 0.0]))
        across, _, along = np.abs(start) @ half + amplitude[0] + amplitude[1]
        # At the camera's largest angle to the road, bodies beside the road are nearer.
        tilt = float(np.arccos(np.clip(self.camera.orientation[2, 2], -1, 1))) + self.camera.turn.reach()
        beside = (abs(x) + across) * np.sin(tilt) + self.room.distances[0] * np.sin(tilt)
        depth = max(depth, (1.02 * self.sampler.nearest + beside) / np.cos(tilt) + along)
        return Path(np.array([x, self.room.distances[0] - half[1], depth]), start, shift, _STILL)

    def _depth(self, nearest: float, farthest: float) -> float:
        return float(np.exp(self.rng.uniform(np.log(nearest), np.log(farthest))))

    def _beside(self, low: float, high: float) -> float:
        """Draw a lateral position on a random side of the road, in shares of the distance to the front."""
        share = self.rng.uniform(low, high)
        return float(-share * self.left if self.rng.random() < 0.5 else share * self.right)

    def _gain(self, normal: Array) -> float:
        """Draw the brightness of a face: brighter if it points up, with a small random variation."""
        return float(self.light * (0.92 - 0.14 * normal[1] + self.rng.uniform(-0.1, 0.1)))

    def _plain(
        self, path: Path, planes: tuple[Array, Array], kind: Kind, scale: float, thin: bool = False
    ) -> Polytope:
        """Make a body with the same texture on all faces; `scale` is the size of the texture's details."""
        # At 1, one texel is about one pixel at an image width of 512.
        period = scale * 256 * float(path.start[2]) / (self.sampler.focal * 512) * np.ones(2)
        texture = self.sampler.texture(kind, 256)
        skins = tuple(upright(self.rng, normal, texture, period, self._gain(normal)) for normal in planes[0])
        return Polytope(path, *planes, skins, corners_of(*planes), thin)

    def _painted(
        self, path: Path, planes: tuple[Array, Array], kind: Kind, half: Array, sides: float
    ) -> Polytope:
        """Make a body whose vertical faces have the upper share `sides` of its texture, horizontal ones the rest."""
        texture = self.sampler.texture(kind, 256)
        skins = tuple(
            fitted(
                normal,
                texture,
                half,
                (sides, 1.0) if abs(normal[1]) > 0.9 else (0.0, sides),
                self._gain(normal),
            )
            for normal in planes[0]
        )
        return Polytope(path, *planes, skins, corners_of(*planes), False)

    def _car(self, moves: bool) -> Polytope:
        """Draw a car or van: in a lane in either direction, or parked in front of a house."""
        rng = self.rng
        tall = rng.uniform(0.65, 0.85) if rng.random() < 0.7 else rng.uniform(1.0, 1.5)
        half = self.unit * np.array([rng.uniform(0.8, 0.95), tall, rng.uniform(1.7, 2.3)])
        shift, heading = _STILL, float(rng.normal(0, 0.03))
        if moves:
            velocity = np.array([rng.normal(0, 0.03), 0.0, rng.choice([-1, 1, 1]) * rng.uniform(0.25, 1.0)])
            if rng.random() < 0.25:  # from a side road
                velocity = np.array([rng.choice([-1, 1]) * rng.uniform(0.25, 0.8), 0.0, rng.normal(0, 0.03)])
                heading += np.pi / 2
            shift = sample_sway(rng, velocity, (10, 14))
            x = self._beside(0.1, 0.45)
        else:
            x = self._beside(0.55, 0.85)
        path = self._place(half, x, self._depth(11, 34), shift, heading)
        return self._painted(path, _car_planes(half, rng.uniform(0.45, 0.8)), "car", half, 0.5)

    def _walker(self) -> Polytope:
        """Draw a pedestrian who crosses the road."""
        rng = self.rng
        half = self.unit * np.array([0.3, rng.uniform(0.75, 0.95), 0.3])
        velocity = np.array([rng.choice([-1, 1]) * rng.uniform(0.08, 0.35), 0.0, rng.normal(0, 0.08)])
        path = self._place(
            half, self._beside(0.1, 0.8), self._depth(7, 22), sample_sway(rng, velocity, (10, 16))
        )
        planes = prism_planes(5, 0.8 * half[0], half[1], rng.uniform(0.0, 0.12))
        return self._painted(path, planes, "clothes", half, 0.9)

    def _house(self) -> Polytope:
        """Draw a house that protrudes from the line of fronts, or a street corner."""
        rng = self.rng
        half = self.unit * np.array([rng.uniform(1.0, 2.5), rng.uniform(2.0, 5.0), rng.uniform(2.0, 5.0)])
        side = self._beside(1.0, 1.0)
        path = self._place(
            half, side - np.sign(side) * rng.uniform(-0.5, 0.4) * half[0], self._depth(12, 45), _STILL
        )
        return self._plain(path, box_planes(half), pick(rng, FRONTS), 1.2)

    def _tree(self) -> list[Body]:
        """Draw a tree: a trunk and a crown."""
        rng = self.rng
        trunk = self.unit * np.array([0.16, rng.uniform(0.9, 1.5), 0.16])
        crown = self.unit * rng.uniform(0.8, 1.7, 3)
        x, depth = self._beside(0.6, 0.9), self._depth(9, 35)
        path = self._place(np.maximum(crown, trunk), x, depth, _STILL)
        ground = self.room.distances[0]
        foot, head = path.start.copy(), path.start.copy()
        foot[1], head[1] = ground - trunk[1], ground - 2 * trunk[1] - 0.7 * crown[1]
        stem = Path(foot, path.orientation, _STILL, _STILL)
        period = 256 * float(path.start[2]) / (self.sampler.focal * 512)
        # The texture is projected through the crown along the line of sight, which avoids streaks at its limb.
        view = head / np.linalg.norm(head)
        texture = self.sampler.texture("foliage", 256)
        skin = self.sampler.skin(view, texture, period, float(self.light * rng.uniform(0.8, 1.1)))
        return [
            self._plain(stem, prism_planes(6, trunk[0], trunk[1], 0.02), "metal", 0.4),
            Ellipsoid(Path(head, path.orientation, _STILL, _STILL), crown, (skin,)),
        ]

    def _post(self) -> Polytope:
        """Draw a lamp post or sign post, about one to four pixels wide at an image width of 128."""
        rng = self.rng
        depth = self._depth(7, 20)
        width = rng.uniform(0.004, 0.012) * depth / self.sampler.focal
        half = np.array([width, self.unit * rng.uniform(1.2, 3.5), width])
        path = self._place(half, self._beside(0.35, 0.9), depth, _STILL, float(rng.uniform(0, np.pi / 2)))
        return self._plain(path, box_planes(half), "metal", 0.5, thin=True)


def _car_planes(half: Array, roof: float) -> tuple[Array, Array]:
    """Return the planes of a box |X| <= half with slanted upper front and back; `roof` is its share of the length."""
    normals, distances = box_planes(half)
    slanted = np.array([[0.0, -(1 - roof) * half[2], end * half[1]] for end in (-1.0, 1.0)])
    slanted /= np.linalg.norm(slanted, axis=1, keepdims=True)
    # Through the ends at half the height, which is y = 0, up to the roof at y = -half[1].
    reach = slanted[:, 2] * np.array([-1.0, 1.0]) * half[2]
    return np.concatenate([normals, slanted]), np.concatenate([distances, reach])
