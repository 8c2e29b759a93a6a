"""Exact ground truth of a pair of times: position at t1 of the points seen at t0, and their visibility.

Computed in float64 from the surfaces hit by the rays, not from images. A point is visible in another view if
it projects within the outermost pixel centres, [0, W-1] x [0, H-1] (where bilinear sampling is defined), and if the
ray through its exact sub-pixel position hits nothing nearer by more than `TOLERANCE` of its inverse depth
(0.1 millimetre per metre, far below the thickness of any body, far above float32 rounding).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flowdistill.render.camera import Array
from flowdistill.render.raster import Surfaces, cast_points, quadric_depth
from flowdistill.render.view import QuadricInView, View

TOLERANCE = 1e-4


@dataclass(frozen=True)
class Points:
    """Points seen at a left view's pixel centres, row by row: N = H * W."""

    position: Array  # (3, N) camera coordinates in metres
    body: NDArray[np.uint8]  # (N,) object id, 0 for the room


def seen_points(view: View, surface: Surfaces) -> Points:
    """Return the points seen at the pixel centres of a view, given the surfaces (H, W) there."""
    height, width = surface.shape
    numbers = surface.reshape(-1)
    x = np.tile(np.arange(width, dtype=np.float64), height)
    y = np.repeat(np.arange(height, dtype=np.float64), width)
    a, b, c = (view.planes[:, column].take(numbers) for column in range(3))
    q = a * x + b * y + c
    for body in view.bodies:
        if isinstance(body.shape, QuadricInView):
            hits = np.flatnonzero(numbers == body.shape.surface)
            q[hits] = quadric_depth(body.shape, x[hits], y[hits])[0]
    camera = view.camera
    position = np.empty((3, numbers.size))
    np.divide(1, q, out=position[2])
    position[0] = (x - camera.centre_x) / camera.focal * position[2]
    position[1] = (y - camera.centre_y) / camera.focal * position[2]
    return Points(position, view.body_of.take(numbers))


def moved(points: Points, before: View, after: View) -> Array:
    """Return the positions (3, N) of the same surface points in the camera of another view or time."""
    turns = after.orientations @ np.transpose(before.orientations, (0, 2, 1))
    shifts = after.positions - (turns @ before.positions[:, :, None])[:, :, 0]
    target = turns[0] @ points.position + shifts[0][:, None]
    for number in range(1, len(turns)):
        hits = np.flatnonzero(points.body == number)
        if hits.size:
            target[:, hits] = turns[number] @ points.position[:, hits] + shifts[number][:, None]
    return target


def visible(view: View, position: Array) -> NDArray[np.bool_]:
    """Return (N,): whether points (3, N) in the camera of this view are in its frame and not hidden."""
    camera = view.camera
    x, y = camera.project(position)
    seen = (x >= 0) & (x <= camera.width - 1) & (y >= 0) & (y <= camera.height - 1) & (position[2] > 0)
    inside = np.flatnonzero(seen)
    nearest, _ = cast_points(view, x[inside].astype(np.float32), y[inside].astype(np.float32))
    seen[inside] = nearest * position[2][inside] <= 1 + TOLERANCE
    return seen
