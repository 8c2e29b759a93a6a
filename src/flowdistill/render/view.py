"""A scene viewed by one camera at one time: every surface as polynomials of the pixel coordinates.

With rays of unit z, a point seen at (x, y) is P = ray(x, y) / q with inverse depth q. For a plane n . P = d,
q = n . ray / d is affine in (x, y); for a quadric, q is the root of a quadratic; texture coordinates are
(axes . ray) / q + offset. A larger q is nearer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flowdistill.render.bodies import Body, Polytope, Skin
from flowdistill.render.camera import Array, Camera
from flowdistill.render.scene import Scene

Coefficients = list[list[float]]


@dataclass(frozen=True)
class PlanesInView:
    """A convex polytope: q lies between the back planes' largest and the front planes' smallest value."""

    front: Coefficients  # (F, 3) of x, y, 1
    front_surfaces: list[int]
    back: Coefficients


@dataclass(frozen=True)
class QuadricInView:
    """An ellipsoid: c q^2 - 2 (slope . (x, y, 1)) q + ... = 0 with the quarter discriminant as a polynomial."""

    slope: list[float]  # (3,) of x, y, 1
    c: float
    centre: tuple[float, float]  # the pixel around which the discriminant is expanded
    discriminant: list[float]  # (6,) of x^2, xy, y^2, x, y, 1, relative to the centre
    surface: int


@dataclass(frozen=True)
class BodyInView:
    shape: PlanesInView | QuadricInView
    outline: Array | None  # (V, 2) projected vertices; None if one of them is not in front of the camera
    box: tuple[float, float, float, float]  # left, top, right, bottom of a bounding box in the image, px
    thin: bool


@dataclass(frozen=True)
class View:
    """All surfaces of a scene: the room's planes first, then those of each body."""

    camera: Camera
    room: list[
        tuple[int, list[float]]
    ]  # surface and inverse depth (3,) of the room's planes that reach the frame
    bodies: tuple[BodyInView, ...]
    body_of: NDArray[np.uint8]  # (S,) body number + 1 of each surface, 0 for the room
    planes: Array  # (S, 3) inverse depth; zeros for quadrics
    axes: Array  # (S, 2, 3) texture axes
    offsets: Array  # (S, 2)
    texture: NDArray[np.int32]  # (S,)
    gain: Array  # (S,)
    # Camera coordinates of body i: orientations[i] @ X + positions[i]; entry 0 is the room (the world).
    orientations: Array  # (1 + bodies, 3, 3)
    positions: Array  # (1 + bodies, 3)


def view_of(scene: Scene, camera: Camera, time: int, right: bool) -> View:
    """Return the view of the scene at a frame number from the left or right camera."""
    camera_turn, camera_position = scene.camera_path.at(time)
    shift = np.array([camera.baseline if right else 0.0, 0.0, 0.0])
    poses = [(np.eye(3), np.zeros(3)), *(body.path.at(time) for body in scene.bodies)]
    orientations = np.stack([camera_turn.T @ turn for turn, _ in poses])
    positions = np.stack([camera_turn.T @ (place - camera_position) - shift for _, place in poses])

    total = scene.room.surfaces + sum(body.surfaces for body in scene.bodies)
    planes, axes, offsets = np.zeros((total, 3)), np.zeros((total, 2, 3)), np.zeros((total, 2))
    body_of = np.zeros(total, np.uint8)
    skins: list[Skin] = [*scene.room.skins]
    normals = scene.room.normals @ orientations[0].T
    depths = scene.room.distances + normals @ positions[0]
    planes[: len(skins)] = camera.on_pixels(normals / depths[:, None])

    bodies = []
    for number, body in enumerate(scene.bodies, start=1):
        first = len(skins)
        skins.extend(body.skins)
        body_of[first : len(skins)] = number
        shape: PlanesInView | QuadricInView
        if isinstance(body, Polytope):
            normals = body.normals @ orientations[number].T
            depths = body.distances + normals @ positions[number]
            coefficients = camera.on_pixels(normals / depths[:, None])
            planes[first : len(skins)] = coefficients
            facing = np.flatnonzero(depths < 0)
            front, back = coefficients[facing].tolist(), coefficients[depths > 0].tolist()
            shape = PlanesInView(front, (first + facing).tolist(), back)
        else:
            shape = _quadric(body.radii, orientations[number], positions[number], camera, first)
        bodies.append(_in_view(body, shape, orientations[number], positions[number], camera))

    for surface, skin in enumerate(skins):
        turned = skin.axes @ orientations[body_of[surface]].T
        axes[surface] = camera.on_pixels(turned)
        offsets[surface] = skin.offset - turned @ positions[body_of[surface]]
    texture = np.array([skin.texture for skin in skins], np.int32)
    gain = np.array([skin.gain for skin in skins])
    room = _reaching_frame(planes[: scene.room.surfaces], camera)
    return View(
        camera, room, tuple(bodies), body_of, planes, axes, offsets, texture, gain, orientations, positions
    )


def _reaching_frame(planes: Array, camera: Camera) -> list[tuple[int, list[float]]]:
    """Return the planes of a room that are not entirely behind another plane within the frame and one pixel around it.

    Inverse depths are affine, so it is sufficient to compare them at the frame's corners.
    """
    corners = np.array([[x, y, 1.0] for x in (-1, camera.width) for y in (-1, camera.height)])
    at_corners = planes @ corners.T  # (F, 4)
    kept = []
    for number, q in enumerate(at_corners):
        others = np.delete(at_corners, number, axis=0)
        if not np.any(np.all(others > q, axis=1)):
            kept.append((number, planes[number].tolist()))
    return kept


def _in_view(
    body: Body, shape: PlanesInView | QuadricInView, turn: Array, place: Array, camera: Camera
) -> BodyInView:
    vertices = turn @ body.vertices.T + place[:, None]  # (3, V)
    thin = isinstance(body, Polytope) and body.thin
    if vertices[2].min() <= 1e-3:
        return BodyInView(shape, None, (-np.inf, -np.inf, np.inf, np.inf), thin)
    x, y = camera.project(vertices)
    box = (float(x.min()) - 1, float(y.min()) - 1, float(x.max()) + 1, float(y.max()) + 1)
    return BodyInView(shape, np.stack([x, y], axis=1), box, thin)


def _quadric(radii: Array, turn: Array, place: Array, camera: Camera, surface: int) -> QuadricInView:
    shape = turn @ np.diag(1 / radii**2) @ turn.T
    toward = shape @ place
    c = float(place @ toward) - 1
    slope = camera.on_pixels(toward)
    inverse = np.linalg.inv(camera.intrinsics)
    quarter = np.outer(slope, slope) - c * (inverse.T @ shape @ inverse)
    x, y = (float(value[0]) for value in camera.project(place[:, None]))
    move = np.array([[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]])
    q = move.T @ quarter @ move
    discriminant = [q[0, 0], 2 * q[0, 1], q[1, 1], 2 * q[0, 2], 2 * q[1, 2], q[2, 2]]
    return QuadricInView(slope.tolist(), c, (x, y), [float(value) for value in discriminant], surface)
