"""The world `street`: a road between house fronts, viewed from a car, with traffic, people, trees and thin posts."""

from __future__ import annotations

import numpy as np

from flowdistill.render.bodies import Body, Room
from flowdistill.render.camera import Array, Path, Sway, rotation, sample_sway
from flowdistill.render.sampler import Sampler, pick
from flowdistill.render.street_bodies import StreetBodies
from flowdistill.render.street_skins import FRONTS, exposure, upright

_LENS_HEIGHT = 2.0  # camera height in the street's metres (units), so that cars appear as viewed from a car


class Street(Sampler):
    """A camera that looks along the road and drives forward with mild turns."""

    FOCAL = (0.56, 0.64)
    BASELINE = (0.85, 1.05)
    PACE = (0.004, 0.034)

    def camera_path(self) -> Path:
        """Draw a path, forward for at least four frames before it returns; nearly level, slightly nose-down."""
        rng = self.rng
        # Metres per frame that move a point by the pace: 10 m ahead, and 0.3 of the width beside the heading.
        speed = self.pace * 10 / 0.3
        drift = sample_sway(rng, rng.normal(0, [0.02, 0.006, 0.0]), (12, 18))
        omega, phase = 2 * np.pi / rng.uniform(10, 13), rng.uniform(-1.1, -0.7)
        ahead = Sway(
            drift.amplitude + np.array([0.0, 0.0, speed / omega]),
            np.append(drift.omega[:2], omega),
            np.append(drift.phase[:2], phase),
        )
        yaw_rate = np.clip(rng.normal(0, 0.022), -0.04, 0.04)
        turn = sample_sway(rng, np.array([rng.normal(0, 0.001), yaw_rate, rng.normal(0, 0.0005)]), (10, 14))
        pitch, yaw, roll = rng.uniform(-0.02, 0.08), rng.uniform(-0.12, 0.12), rng.normal(0, 0.004)
        # Nose down is a rotation of the camera about -x, as y points down.
        start = rotation(np.array([0.0, yaw, 0.0])) @ rotation(np.array([-pitch, 0.0, 0.0]))
        return Path(np.zeros(3), start @ rotation(np.array([0.0, 0.0, roll])), ahead, turn)

    def room(self, camera_path: Path) -> Room:
        """Draw a level road, a house front on either side, an end of the road, and low clouds."""
        rng = self.rng
        # A point seen at this depth at one time is beyond the nearest depth, or only slightly nearer, at all others.
        travel = 2 * float(np.linalg.norm(camera_path.shift.amplitude))
        swing = 2 * float(np.linalg.norm(camera_path.turn.amplitude))
        sideways = 0.53 * np.hypot(1, self.aspect) / self.focal
        shrink = np.cos(swing) - sideways * np.sin(swing)
        floor = max(self.nearest, (0.8 * self.nearest + travel) / float(shrink))

        def clear(normal: Array) -> float:
            reach = camera_path.shift.amplitude * (1 + np.abs(np.sin(camera_path.shift.phase)))
            return self.steepest(camera_path, normal) * floor + float(np.abs(normal) @ reach)

        down = np.array([0.0, 1.0, 0.0])
        sides = np.array([[side, 0.0, rng.uniform(-0.01, 0.10)] for side in (-1.0, 1.0)])
        end = np.array([rng.normal(0, 0.25), 0.0, 1.0])
        sky = np.array([rng.normal(0, 0.02), -1.0, rng.uniform(0.02, 0.09)])
        normals = np.stack([normal / np.linalg.norm(normal) for normal in (down, *sides, end, sky)])
        height = clear(down) * rng.uniform(1.0, 1.6)
        across = [clear(normals[1 + side]) * rng.uniform(1.0, 2.2) for side in range(2)]
        unit = self._unit(height, across)
        far = max(np.exp(rng.uniform(np.log(20), np.log(90))), 1.2 * clear(normals[3]))
        above = max(unit * rng.uniform(3.0, 6.0), clear(normals[4]))

        light = exposure(rng)
        front = [self.texture(pick(rng, FRONTS), 512) for _ in range(2)]
        materials = [
            (self.texture("asphalt", 512), unit * rng.uniform(3.5, 5.5) * np.array([1.0, 1.7]), 1.0),
            (front[0], unit * rng.uniform(5, 8) * np.ones(2), rng.uniform(0.7, 1.1)),
            (front[1], unit * rng.uniform(5, 8) * np.ones(2), rng.uniform(0.7, 1.1)),
            (
                self.texture(pick(rng, (*FRONTS, "foliage")), 512),
                far * rng.uniform(0.25, 0.5) * np.ones(2),
                0.9,
            ),
            (self.texture("overcast", 512), above * rng.uniform(2, 4) * np.array([1.0, 2.0]), 1.0),
        ]
        skins = tuple(
            upright(rng, normal, texture, period, light * gain)
            for normal, (texture, period, gain) in zip(normals, materials, strict=True)
        )
        return Room(normals, np.array([height, *across, far, above]), skins)

    def bodies(self, camera_path: Path, room: Room) -> tuple[Body, ...]:
        """Draw traffic, parked cars, crossing pedestrians, protruding houses, trees and posts."""
        unit = self._unit(float(room.distances[0]), room.distances[1:3].tolist())
        return StreetBodies(self, camera_path, room, unit).all()

    @staticmethod
    def _unit(height: float, across: list[float]) -> float:
        """Return the street's metre in world metres, from the camera's height and the distances of the fronts."""
        return min(height / _LENS_HEIGHT, 0.19 * min(across))
