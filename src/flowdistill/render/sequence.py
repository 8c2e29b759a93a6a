"""Entry point of the renderer: stereo pairs over time with all ground truth, given the number of a scene."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flowdistill.errors import UserError
from flowdistill.render.atlas import Atlas
from flowdistill.render.camera import Camera
from flowdistill.render.raster import cast_grid
from flowdistill.render.scene import Scene
from flowdistill.render.shade import render
from flowdistill.render.textures import sample_texture
from flowdistill.render.truth import Points, moved, seen_points, visible
from flowdistill.render.view import View, view_of
from flowdistill.render.world import check_world, sample_scene

SMALLEST_SIDE = 32

Picture = NDArray[np.uint8]
Field = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class RenderedFrame:
    """Two stereo pairs at frames t0 and t1 = t0 + 1 and the exact ground truth between them.

    Images are uint8 (H, W, 3) RGB. An integer coordinate is a pixel's centre; x right, y down. Ground truth is dense.
    Visible means within the other view's outermost pixel centres and not hidden there.
    """

    left_t0: Picture
    right_t0: Picture
    left_t1: Picture
    right_t1: Picture
    flow: Field  # (H, W, 2) px, from left_t0 to left_t1, on the grid of left_t0
    flow_backward: Field  # (H, W, 2) px, from left_t1 to left_t0, on the grid of left_t1
    disparity_t0: Field  # (H, W, 1) px, positive
    disparity_t1: Field  # (H, W, 1) px, on the grid of left_t0: the disparity of its point at t1
    occluded: Mask  # (H, W, 1) points of left_t0 not visible in left_t1
    occluded_backward: Mask  # (H, W, 1) points of left_t1 not visible in left_t0
    occluded_right_t0: Mask  # (H, W, 1) points of left_t0 not visible in right_t0
    occluded_right_t1: Mask  # (H, W, 1) points of left_t0 not visible in right_t1
    foreground: NDArray[np.uint8]  # (H, W, 1) object id, 0 for ground, walls and sky
    points_t0: Field  # (H, W, 3) metres, in the camera of left_t0
    motion: Field  # (H, W, 3) metres: position at t1 in the camera of left_t1 minus points_t0
    intrinsics: Field  # (3, 3) px, of both cameras
    baseline: float  # metres


@dataclass(frozen=True)
class _Moment:
    """One time step of a scene: both views and images, and the left view's points."""

    left: View
    right: View
    left_picture: Picture
    right_picture: Picture
    points: Points


def render_scene(
    seed: int, scene: int, frames: int, size: tuple[int, int], stride: int = 1, world: str = "rooms"
) -> Iterator[RenderedFrame]:
    """Render the frames - 1 successive pairs of a scene, a pure function of (world, seed, scene) and (height, width).

    Frame t does not depend on the number of requested frames; each image is rendered once. A `stride` of S uses every
    S-th time step of the scene: faster motion, larger occlusions.

    Raises:
        UserError: for fewer than two frames, a side below 32 pixels, a stride below 1, an unknown world, or a negative
            seed or scene.
    """
    check_request(seed, frames, size, stride, world)
    if scene < 0:
        raise UserError(f"scene is {scene}; it must be 0 or more")
    sampled = sample_scene(seed, scene, size[0] / size[1], world)
    return _pairs(sampled, sampled.camera(size), range(0, frames * stride, stride))


def check_request(
    seed: int, frames: int, size: tuple[int, int], stride: int = 1, world: str = "rooms"
) -> None:
    """Raise UserError for a sequence that cannot be rendered."""
    if frames < 2:
        raise UserError(f"frames is {frames}; motion needs at least 2 frames")
    if min(size) < SMALLEST_SIDE:
        raise UserError(f"size is {size[0]}x{size[1]}; each side must have {SMALLEST_SIDE} pixels or more")
    if seed < 0:
        raise UserError(f"seed is {seed}; it must be 0 or more")
    if stride < 1:
        raise UserError(f"stride is {stride}; it must be 1 (every time step) or more")
    check_world(world)


def _pairs(world: Scene, camera: Camera, times: range) -> Iterator[RenderedFrame]:
    rng = np.random.default_rng([*world.texture_seed, 1])
    atlas = Atlas([sample_texture(rng, texels, kind) for kind, texels in world.textures])
    now = _moment(world, camera, atlas, times[0])
    for time in times[1:]:
        following = _moment(world, camera, atlas, time)
        yield _frame(now, following)
        now = following


def _moment(world: Scene, camera: Camera, atlas: Atlas, time: int) -> _Moment:
    left, right = view_of(world, camera, time, right=False), view_of(world, camera, time, right=True)
    q, surface = cast_grid(left)
    points = seen_points(left, surface)
    return _Moment(left, right, render(left, atlas, q, surface), _picture(right, atlas), points)


def _picture(view: View, atlas: Atlas) -> Picture:
    q, surface = cast_grid(view)
    return render(view, atlas, q, surface)


def _frame(t0: _Moment, t1: _Moment) -> RenderedFrame:
    camera = t0.left.camera
    forward = moved(t0.points, t0.left, t1.left)
    backward = moved(t1.points, t1.left, t0.left)
    scale = camera.focal * camera.baseline
    right_t0, right_t1 = t0.points.position.copy(), forward.copy()
    right_t0[0] -= camera.baseline
    right_t1[0] -= camera.baseline

    def image(values: NDArray[np.float64]) -> Field:
        columns = np.atleast_2d(values)
        return np.ascontiguousarray(columns.T, np.float32).reshape(camera.height, camera.width, len(columns))

    def mask(values: Mask) -> Mask:
        return values.reshape(camera.height, camera.width, 1)

    return RenderedFrame(
        left_t0=t0.left_picture,
        right_t0=t0.right_picture,
        left_t1=t1.left_picture,
        right_t1=t1.right_picture,
        flow=image(_flow(camera, forward)),
        flow_backward=image(_flow(camera, backward)),
        disparity_t0=image(scale / t0.points.position[2]),
        disparity_t1=image(scale / forward[2]),
        occluded=mask(~visible(t1.left, forward)),
        occluded_backward=mask(~visible(t0.left, backward)),
        occluded_right_t0=mask(~visible(t0.right, right_t0)),
        occluded_right_t1=mask(~visible(t1.right, right_t1)),
        foreground=t0.points.body.reshape(camera.height, camera.width, 1),
        points_t0=image(t0.points.position),
        motion=image(forward - t0.points.position),
        intrinsics=camera.intrinsics.astype(np.float32),
        baseline=camera.baseline,
    )


def _flow(camera: Camera, target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return displacements (2, N) of the grid's pixels, row by row, to the projections of points (3, N)."""
    x, y = camera.project(target)
    grid = (camera.height, camera.width)
    x.reshape(grid)[...] -= np.arange(camera.width)
    y.reshape(grid)[...] -= np.arange(camera.height)[:, None]
    return np.stack([x, y])
