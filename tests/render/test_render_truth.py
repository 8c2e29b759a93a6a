"""Verification of the renderer's ground truth, using the images and independent computations of the geometry.

Everything here is separate float64 numpy code; only the frames come from the renderer.
"""

from functools import lru_cache

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from flowdistill.render import RenderedFrame, render_scene

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

SIZE = (128, 256)
ROOMS = [("rooms", *key) for key in [(0, 0), (0, 5), (7, 2), (11, 0), (11, 1), (123, 9)]]
STREETS = [("street", *key) for key in [(0, 1), (0, 3), (2, 1), (11, 2)]]
SCENES = ROOMS + STREETS
VIEWS = ["left_t1", "right_t0", "right_t1"]


@lru_cache(maxsize=len(SCENES))
def frames_of(world: str, seed: int, scene: int) -> tuple[RenderedFrame, RenderedFrame]:
    first, second = render_scene(seed, scene, 3, SIZE, world=world)
    return first, second


def grid() -> tuple[Array, Array]:
    y, x = np.mgrid[: SIZE[0], : SIZE[1]].astype(np.float64)
    return x, y


def keys_weights(t: Array) -> list[Array]:
    """Keys' cubic convolution (a = -1/2) for the taps at -1, 0, 1, 2 around a fraction t."""
    return [
        ((-0.5 * t + 1) * t - 0.5) * t,
        (1.5 * t - 2.5) * t * t + 1,
        ((-1.5 * t + 2) * t + 0.5) * t,
        (0.5 * t - 0.5) * t * t,
    ]


def bicubic(picture: Array, x: Array, y: Array) -> Array:
    """The image (H, W, C) sampled at positions (H, W)."""
    height, width = picture.shape[:2]
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    total = np.zeros(picture.shape)
    for j, weight_y in enumerate(keys_weights(y - top), start=-1):
        row = np.clip(top + j, 0, height - 1)
        for i, weight_x in enumerate(keys_weights(x - left), start=-1):
            total += (weight_x * weight_y)[..., None] * picture[row, np.clip(left + i, 0, width - 1)]
    return total


def away_from_outlines(frame: RenderedFrame) -> Mask:
    """Pixels whose 5x5 neighbourhood contains a single object."""
    kernel = np.ones((5, 5), np.uint8)
    return np.asarray(cv2.dilate(frame.foreground, kernel) == cv2.erode(frame.foreground, kernel))


def truth_to(frame: RenderedFrame, view: str) -> tuple[Array, Array, Mask]:
    """Displacement in x and y from left_t0 to a view, and where its pixels are visible there."""
    flow = frame.flow.astype(np.float64)
    if view == "left_t1":
        return flow[..., 0], flow[..., 1], ~frame.occluded[..., 0]
    if view == "right_t0":
        disparity = frame.disparity_t0[..., 0].astype(np.float64)
        return -disparity, np.zeros_like(disparity), ~frame.occluded_right_t0[..., 0]
    return flow[..., 0] - frame.disparity_t1[..., 0], flow[..., 1], ~frame.occluded_right_t1[..., 0]


def warp_error(frame: RenderedFrame, view: str, shift: tuple[float, float]) -> tuple[float, float]:
    """Median grey-level error of the warped view against left_t0, and the bound that exact truth must meet.

    The bound is the noise of renderer and interpolation: moving left_t0 by half a pixel (only along x for the
    rectified right_t0) and back interpolates twice at the worst sub-pixel position, so that slightly more than
    half of its error (0.6) is allowed for one pass; 0.3 levels are for the rounding of both images to 8 bits.
    """
    x, y = grid()
    right, down, seen = truth_to(frame, view)
    target = frame.left_t0.astype(np.float64)
    judged = seen & away_from_outlines(frame)
    warped = bicubic(getattr(frame, view).astype(np.float64), x + right + shift[0], y + down + shift[1])
    half = 0.0 if view == "right_t0" else 0.5
    there_and_back = bicubic(bicubic(target, x + 0.5, y + half), x - 0.5, y - half)
    error = np.abs(warped - target).mean(axis=2)[judged]
    noise = np.abs(there_and_back - target).mean(axis=2)[judged]
    return float(np.median(error)), 0.3 + 0.6 * float(np.median(noise))


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize(("world", "seed", "scene"), SCENES)
def test_warping_by_the_truth_reproduces_left_t0_and_a_quarter_pixel_does_not(
    world: str, seed: int, scene: int, view: str
) -> None:
    frame, _ = frames_of(world, seed, scene)
    error, bound = warp_error(frame, view, (0.0, 0.0))
    assert error <= bound
    for shift in [(0.25, 0.0), (-0.25, 0.0), (0.0, 0.25), (0.0, -0.25)]:
        error, bound = warp_error(frame, view, shift)
        assert error > bound, f"truth moved by {shift} px went unnoticed"


@pytest.mark.parametrize(("world", "seed", "scene"), ROOMS[:3] + STREETS[:2])
def test_backward_flow_warps_left_t0_onto_left_t1(world: str, seed: int, scene: int) -> None:
    frame, following = frames_of(world, seed, scene)
    x, y = grid()
    back = frame.flow_backward.astype(np.float64)
    # The object map on the grid of left_t1 is the following pair's.
    seen = ~frame.occluded_backward[..., 0] & away_from_outlines(following)
    target = frame.left_t1.astype(np.float64)
    errors = [
        float(
            np.median(
                np.abs(
                    bicubic(frame.left_t0.astype(np.float64), x + back[..., 0] + shift, y + back[..., 1])
                    - target
                )[seen]
            )
        )
        for shift in (0.0, 0.25, -0.25)
    ]
    assert errors[0] < 1.5
    assert min(errors[1:]) > 1.4 * errors[0]


@pytest.mark.parametrize(("world", "seed", "scene"), SCENES)
def test_flow_forward_and_backward_cancel_where_both_see_the_point(world: str, seed: int, scene: int) -> None:
    frame, following = frames_of(world, seed, scene)
    x, y = grid()
    flow = frame.flow.astype(np.float64)
    to_x, to_y = x + flow[..., 0], y + flow[..., 1]
    # Bilinear sampling of a smooth field is nearly exact where the four neighbours are on one object.
    row, column = np.floor(to_y).astype(int), np.floor(to_x).astype(int)
    inside = (row >= 0) & (row < SIZE[0] - 1) & (column >= 0) & (column < SIZE[1] - 1)
    row, column = np.clip(row, 0, SIZE[0] - 2), np.clip(column, 0, SIZE[1] - 2)
    smooth = away_from_outlines(following)
    judged = inside & ~frame.occluded[..., 0] & away_from_outlines(frame) & smooth[row, column]
    part_x, part_y = (to_x - column)[..., None], (to_y - row)[..., None]
    back = frame.flow_backward.astype(np.float64)
    sampled = (
        back[row, column] * (1 - part_x) * (1 - part_y)
        + back[row, column + 1] * part_x * (1 - part_y)
        + back[row + 1, column] * (1 - part_x) * part_y
        + back[row + 1, column + 1] * part_x * part_y
    )
    gap = np.linalg.norm(flow + sampled, axis=2)[judged]
    assert judged.mean() > 0.4
    assert np.median(gap) < 2e-3
    # Edges of an object and corners of the room remain among the tested pixels.
    assert np.percentile(gap, 98) < 0.05


@pytest.mark.parametrize(("world", "seed", "scene"), SCENES)
def test_disparity_points_motion_and_flow_tell_one_story(world: str, seed: int, scene: int) -> None:
    frame, following = frames_of(world, seed, scene)
    x, y = grid()
    k = frame.intrinsics.astype(np.float64)
    before = frame.points_t0.astype(np.float64)
    after = before + frame.motion
    scale = k[0, 0] * frame.baseline
    np.testing.assert_allclose(frame.disparity_t0[..., 0], scale / before[..., 2], rtol=1e-5)
    np.testing.assert_allclose(frame.disparity_t1[..., 0], scale / after[..., 2], rtol=1e-5)
    for points, flow in ((before, np.zeros_like(frame.flow)), (after, frame.flow)):
        pixels = points @ k.T
        pixels = pixels[..., :2] / pixels[..., 2:]
        np.testing.assert_allclose(pixels - np.stack([x, y], axis=2), flow, atol=1e-3)
    # The second pair starts where the first one ends.
    assert following.left_t0 is frame.left_t1
    assert following.right_t0 is frame.right_t1


@pytest.mark.parametrize(("world", "seed", "scene"), SCENES)
def test_occlusion_agrees_with_the_depths_seen_at_t1(world: str, seed: int, scene: int) -> None:
    frame, following = frames_of(world, seed, scene)
    x, y = grid()
    to_x, to_y = x + frame.flow[..., 0], y + frame.flow[..., 1]
    outside = (to_x < 0) | (to_x > SIZE[1] - 1) | (to_y < 0) | (to_y > SIZE[0] - 1)
    occluded = frame.occluded[..., 0]
    assert np.all(occluded[outside])
    assert np.any(occluded & ~outside)
    # The depths on the grid of left_t1, independently rendered, around each target.
    depth = following.points_t0[..., 2].astype(np.float64)
    row, column = (
        np.clip(np.floor(to_y), 0, SIZE[0] - 2).astype(int),
        np.clip(np.floor(to_x), 0, SIZE[1] - 2).astype(int),
    )
    around = np.stack([depth[row + j, column + i] for j in (0, 1) for i in (0, 1)])
    expected = (frame.points_t0 + frame.motion)[..., 2]
    visible, hidden = ~occluded, occluded & ~outside
    nearer = around.max(axis=0)[visible] <= 0.97 * expected[visible]
    # In a crowded street some points are visible through gaps narrower than a pixel, with only nearer neighbours.
    assert np.mean(nearer) <= (1e-3 if world == "street" else 0)
    assert np.mean(around.min(axis=0)[hidden] < 0.999 * expected[hidden]) > 0.97


@pytest.mark.parametrize(("world", "seed", "scene"), SCENES)
def test_stereo_occlusion_follows_from_the_disparities_of_the_row(world: str, seed: int, scene: int) -> None:
    """Pixels hidden in right_t0 have a nearer point that projects beside them; visible ones have none on them."""
    frame, _ = frames_of(world, seed, scene)
    explained, contradicted, hidden_count, seen_count = 0, 0, 0, 0
    for y in range(0, SIZE[0], 3):
        disparity = frame.disparity_t0[y, :, 0].astype(np.float64)
        occluded = frame.occluded_right_t0[y, :, 0]
        landed = np.arange(SIZE[1]) - disparity
        assert np.all(occluded[landed < 0])
        distance = np.abs(landed[:, None] - landed[None, :])
        nearer = disparity[None, :] > disparity[:, None] + 0.3
        # The occluder may be outside the left image, or a side of a body visible only from the right camera, so this
        # holds for most pixels, not all.
        hidden = occluded & (landed >= 0)
        explained += int(np.any(nearer & (distance < 1), axis=1)[hidden].sum())
        hidden_count += int(hidden.sum())
        contradicted += int(np.any(nearer & (distance < 0.02), axis=1)[~occluded].sum())
        seen_count += int((~occluded).sum())
    assert hidden_count > 100
    assert explained > 0.7 * hidden_count
    assert contradicted < 0.002 * seen_count
