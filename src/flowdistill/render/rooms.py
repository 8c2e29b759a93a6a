"""The world `rooms`: a tilted ground between far walls, and floating, rotating bodies."""

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
from flowdistill.render.camera import Array, Path, rotation, sample_sway
from flowdistill.render.sampler import Sampler, pick
from flowdistill.render.textures import Kind

OBJECT_KINDS: tuple[Kind, ...] = ("leaves", "leaves", "tiles", "bands", "marble", "leaves")


class Rooms(Sampler):
    """Cameras that drive, slide, turn and rise; bright surfaces; objects anywhere in space."""

    FOCAL = (0.75, 0.95)
    BASELINE = (0.48, 0.6)
    # 128 px wide: 1.5 to 5.1 px.
    PACE = (0.012, 0.040)

    def camera_path(self) -> Path:
        """Draw a camera with random height and pitch that drives, slides, turns, rises, or combines these motions."""
        rng = self.rng
        style = rng.choice(["forward", "sideways", "turning", "rising", "mixed"], p=[0.3, 0.2, 0.2, 0.1, 0.2])
        weights = {
            "forward": ([0.15, 0.05, 1.0], 0.25),
            "sideways": ([1.0, 0.1, 0.2], 0.25),
            "turning": ([0.2, 0.1, 0.3], 1.0),
            "rising": ([0.2, 0.8, 0.3], 0.3),
            "mixed": ([0.5, 0.3, 0.6], 0.5),
        }
        share, turning = weights[str(style)]
        # Metres per frame that move a point at depth 9 m by the pace; forward motion moves points less.
        speed = self.pace / self.focal * 9.0
        sign = rng.choice([-1.0, 1.0], 3)
        drive = np.array(share) * sign * speed * rng.uniform(0.6, 1.2, 3) * [1.0, 0.7, 2.2]
        turn = np.array([0.5, 1.0, 0.8]) * rng.normal(0, 1, 3)
        turn *= turning * self.pace / self.focal * 0.9
        if style == "turning":
            turn[1] = rng.choice([-1.0, 1.0]) * rng.uniform(0.7, 1.5) * self.pace / self.focal
        turn = np.clip(turn, -0.04, 0.04)
        pitch, roll = rng.uniform(-0.14, 0.2), np.clip(rng.normal(0, 0.06), -0.15, 0.15)
        # Nose down is a rotation of the camera about -x, as y points down.
        start = rotation(np.array([-pitch, 0.0, 0.0])) @ rotation(np.array([0.0, 0.0, roll]))
        return Path(np.zeros(3), start, sample_sway(rng, drive, (12, 20)), sample_sway(rng, turn, (12, 20)))

    def room(self, camera_path: Path) -> Room:
        """Draw a tilted ground, five to seven far walls and a sky."""
        rng = self.rng
        ground = np.array([rng.normal(0, 0.08), 1.0, rng.uniform(-0.10, 0.10)])
        ground /= np.linalg.norm(ground)
        reach = camera_path.shift.reach()
        height = max(self.steepest(camera_path, ground), 0.15) * self.nearest * rng.uniform(1.0, 1.45) + reach
        walls = int(rng.integers(5, 8))
        azimuth = (np.arange(walls) + rng.uniform(-0.25, 0.25, walls)) * (2 * np.pi / walls) + rng.uniform(
            0, 7
        )
        tilt = rng.normal(0, 0.12, walls)
        across = np.stack(
            [np.cos(azimuth) * np.cos(tilt), np.sin(tilt), np.sin(azimuth) * np.cos(tilt)], axis=1
        )
        far = np.exp(rng.uniform(np.log(15), np.log(50))) * rng.uniform(0.75, 1.3, walls)
        sky = np.array([rng.normal(0, 0.1), -1.0, rng.normal(0.1, 0.12)])
        normals = np.concatenate([ground[None], across, sky[None] / np.linalg.norm(sky)])
        distances = np.concatenate([[height], far, [np.exp(rng.uniform(np.log(5), np.log(20)))]])
        ground_texture = self.texture(pick(rng, ("leaves", "tiles", "leaves", "marble")), 512)
        wall_textures = [self.texture(pick(rng, OBJECT_KINDS), 512) for _ in range(2)]
        sky_texture = self.texture("sky", 256)
        skins = [self.skin(ground, ground_texture, height * rng.uniform(4.0, 6.0), 1.0)]
        for index in range(walls):
            period = float(far[index]) * rng.uniform(0.7, 1.2)
            skin = self.skin(across[index], wall_textures[index % 2], period, rng.uniform(0.8, 1.05))
            skins.append(skin)
        skins.append(self.skin(normals[-1], sky_texture, distances[-1] * rng.uniform(1.5, 2.5), 1.05))
        return Room(normals, distances, tuple(skins))

    def bodies(self, camera_path: Path, room: Room) -> tuple[Body, ...]:
        """Draw moving boxes, slabs, columns, ellipsoids and bars."""
        rng = self.rng
        moving = int(rng.integers(6, 10))
        bars = int(rng.integers(2, 5))
        made: list[Body] = []
        for index in range(moving + bars):
            bar = index >= moving
            shape = (
                "bar"
                if bar
                else str(rng.choice(["box", "slab", "prism", "ellipsoid"], p=[0.4, 0.25, 0.15, 0.2]))
            )
            made.append(self._body(shape, camera_path, room))
        return tuple(made)

    def _place(self, shape: str, camera_path: Path, room: Room) -> tuple[Array, float, Path]:
        """Draw a size, a depth and a path that always keeps the body beyond the nearest depth and above the ground."""
        rng = self.rng
        reach, wobble = camera_path.shift.reach(), camera_path.turn.reach()
        forward = camera_path.orientation[:, 2]
        depth = np.exp(rng.uniform(np.log(self.nearest * 1.3), np.log(14.0)))
        while True:
            extent = rng.uniform(0.035, 0.13) * depth / self.focal
            if shape == "bar":
                extent = rng.uniform(0.1, 0.3) * depth / self.focal
            column = rng.uniform(-0.58, 0.58) * depth / self.focal
            row = rng.uniform(-0.5, 0.5) * self.aspect * depth / self.focal
            centre = camera_path.orientation @ np.array([column, row, depth])
            # Lift bodies out of the ground: onto it, or slightly above.
            above = room.distances[0] - room.normals[0] @ centre
            lowest = 0.8 * extent
            if above < lowest:
                centre = centre - room.normals[0] * (lowest - above + rng.exponential(0.3))
            velocity = rng.normal(0, 1, 3) * [1.0, 0.5, 1.3]
            velocity *= self.pace * rng.uniform(0.5, 1.4) * depth / self.focal / np.linalg.norm(velocity)
            shift = sample_sway(rng, velocity, (8, 16))
            spin = rng.normal(0, 1, 3)
            spin *= rng.uniform(0.005, 0.05) / np.linalg.norm(spin)
            turn = sample_sway(rng, spin, (14, 30))
            distance = float(np.linalg.norm(centre))
            off_axis = float(np.arccos(np.clip(centre @ forward / distance, -1, 1)))
            closest = distance * np.cos(off_axis + wobble) - 1.95 * extent - reach - shift.reach()
            if closest > self.nearest:
                break
            depth *= 1.06
        start = rotation(rng.normal(0, 1, 3) * [0.25, 0.7, 0.25])
        if rng.random() < 0.35:
            start = rotation(rng.normal(0, 1.2, 3))
        if shape == "bar":
            start = rotation(rng.normal(0, 1, 3) * [0.2, 0.5, 0.12])
            if rng.random() < 0.3:
                start = rotation(np.array([0, 0, rng.uniform(-1.5, 1.5)])) @ start
        return np.full(3, extent), float(depth), Path(centre, start, shift, turn)

    def _body(self, shape: str, camera_path: Path, room: Room) -> Body:
        rng = self.rng
        extent, depth, path = self._place(shape, camera_path, room)
        # One texel is about one pixel at an image width of 512.
        texel = depth / (self.focal * 512) * rng.uniform(0.7, 1.4)
        texture = self.texture(pick(rng, OBJECT_KINDS), 256)
        period = 256 * texel
        if shape == "ellipsoid":
            radii = extent * rng.uniform(0.6, 1.2, 3)
            # The texture is projected through the body along the line of sight, which avoids streaks at its limb.
            view = path.orientation.T @ (path.start / np.linalg.norm(path.start))
            return Ellipsoid(path, radii, (self.skin(view, texture, period, rng.uniform(0.85, 1.05)),))
        if shape == "bar":
            width = max(rng.uniform(0.006, 0.018) * depth / self.focal, 1e-3)
            normals, distances = box_planes(np.array([width, extent[1], width]))
        elif shape == "slab":
            thin_axis = rng.permutation([1.0, 1.0, 0.08])
            normals, distances = box_planes(extent * rng.uniform(0.7, 1.3, 3) * thin_axis)
        elif shape == "prism":
            sides = int(rng.choice([3, 5, 6]))
            radius = extent[0] * (0.5 if sides == 3 else 0.75)
            normals, distances = prism_planes(
                sides, radius, extent[1] * rng.uniform(0.5, 1.1), rng.uniform(0, 0.3)
            )
        else:
            normals, distances = box_planes(extent * rng.uniform(0.5, 1.1, 3))
        # Fixed shading: faces that point up at time 0 are brighter.
        upward = -(normals @ path.orientation.T)[:, 1]
        skins = tuple(
            self.skin(normal, texture, period, float(0.92 + 0.14 * up + rng.uniform(-0.04, 0.04)))
            for normal, up in zip(normals, upward, strict=True)
        )
        return Polytope(path, normals, distances, skins, corners_of(normals, distances), shape == "bar")
