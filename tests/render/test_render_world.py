"""Contents of the rendered worlds: independent object motion, occlusion, ranges, variety; determinism by seed."""

from collections.abc import Iterator
from dataclasses import fields

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from flowdistill.errors import UserError
from flowdistill.render import RenderedFrame, render_scene


@pytest.fixture(scope="module")
def small() -> list[RenderedFrame]:
    """The first pair of 24 scenes at 64x128."""
    return [next(render_scene(5, scene, 2, (64, 128))) for scene in range(24)]


def same(first: RenderedFrame, second: RenderedFrame) -> bool:
    return all(
        np.array_equal(getattr(first, field.name), getattr(second, field.name))
        for field in fields(RenderedFrame)
    )


def rigid_fit(source: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Residuals (N,) of the best rotation and translation between points (N, 3): Kabsch's algorithm."""
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    u, _, vt = np.linalg.svd((source - source_mean).T @ (target - target_mean))
    turn = vt.T @ np.diag([1, 1, np.sign(np.linalg.det(vt.T @ u.T))]) @ u.T
    return np.asarray(np.linalg.norm((source - source_mean) @ turn.T + target_mean - target, axis=1))


def test_at_least_five_rigid_objects_move_on_their_own(small: list[RenderedFrame]) -> None:
    for frame in small[:10]:
        ids = frame.foreground[..., 0]
        before = frame.points_t0.astype(np.float64)
        after = before + frame.motion
        room = ids == 0
        assert (
            rigid_fit(before[room], after[room]).max() < 1e-4
        )  # the room is rigid: only the camera moves it
        moving = 0
        for number in np.unique(ids[ids > 0]):
            of_object = ids == number
            if of_object.sum() < 8:
                continue
            assert rigid_fit(before[of_object], after[of_object]).max() < 1e-4
            # The object does not move with the room: fitting both as one body fails.
            both = room | of_object
            joint = rigid_fit(before[both], after[both])[of_object[both]]
            moving += bool(np.median(joint) > 2e-3)
        assert moving >= 5


def test_surfaces_are_slanted_and_depths_vary_within_a_picture(small: list[RenderedFrame]) -> None:
    for frame in small:
        disparity = frame.disparity_t0[..., 0]
        assert np.percentile(disparity, 95) > 1.5 * np.percentile(disparity, 5)
        inner = cv2.erode((frame.foreground == 0).astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
        slope = np.abs(np.gradient(disparity, axis=0))[inner]
        assert np.percentile(slope, 90) > 0.01


def test_a_bar_is_thin(small: list[RenderedFrame]) -> None:
    """Most scenes contain an object that is narrow relative to its length, but not thinner than about a pixel."""
    found = 0
    for frame in small:
        for number in np.unique(frame.foreground[frame.foreground > 0]):
            points = np.argwhere(frame.foreground[..., 0] == number)[:, ::-1].astype(np.float32)
            if len(points) > 20:
                sides = np.sort(cv2.minAreaRect(points)[1]) + 1
                found += bool(sides[1] > 5 * sides[0])
    assert found >= len(small)


def test_occluded_share_of_a_data_set_is_between_5_and_20_percent(small: list[RenderedFrame]) -> None:
    assert 0.05 < np.mean([frame.occluded.mean() for frame in small]) < 0.20
    assert 0.05 < np.mean([frame.occluded_right_t0.mean() for frame in small]) < 0.20


def test_motion_differs_between_scenes_so_that_no_constant_predicts_it(small: list[RenderedFrame]) -> None:
    flows = np.stack([frame.flow for frame in small])  # (scenes, H, W, 2)
    magnitude = np.linalg.norm(flows, axis=3)
    assert 1.0 < np.median(magnitude) < 3.0
    assert 4.0 < np.percentile(magnitude, 95) < 9.0
    # Predicting the mean flow of the other scenes per pixel is hardly better than predicting zero.
    others = (flows.sum(axis=0) - flows) / (len(flows) - 1)
    assert np.linalg.norm(flows - others, axis=3).mean() > 0.85 * magnitude.mean()
    disparities = np.stack([frame.disparity_t0 for frame in small])
    assert 3.5 < disparities.mean() < 7.0
    others = (disparities.sum(axis=0) - disparities) / (len(disparities) - 1)
    assert np.abs(disparities - others).mean() > 0.25 * disparities.mean()


def test_textures_have_contrast_everywhere(small: list[RenderedFrame]) -> None:
    for frame in small:
        grey = cv2.cvtColor(frame.left_t0, cv2.COLOR_RGB2GRAY).astype(np.float64)
        deviation = np.array(
            [grey[y : y + 8, x : x + 8].std() for y in range(0, 64, 8) for x in range(0, 128, 8)]
        )
        assert grey.std() > 20
        assert np.median(deviation) > 8
        assert np.mean(deviation < 2) < 0.02
        assert np.mean((frame.left_t0 == 0) | (frame.left_t0 == 255)) < 0.05


@pytest.mark.parametrize("size", [(64, 128), (96, 320), (128, 64)])
def test_ranges_hold_at_every_time(size: tuple[int, int]) -> None:
    for scene in range(4):
        for frame in render_scene(2, scene, 6, size):
            for disparity in (frame.disparity_t0, frame.disparity_t1):
                assert disparity.min() > 0
                assert disparity.max() < 0.2 * size[1]
            for flow in (frame.flow, frame.flow_backward):
                assert np.isfinite(flow).all()
                assert np.abs(flow).max() < 0.3 * size[1]


def test_the_largest_size_fits_kittis_16_bit_files() -> None:
    frame = next(render_scene(1, 4, 2, (384, 1280)))
    assert frame.left_t0.shape == frame.right_t1.shape == (384, 1280, 3)
    assert np.abs(frame.flow).max() < 512
    assert 0 < frame.disparity_t0.min() <= max(frame.disparity_t0.max(), frame.disparity_t1.max()) < 256


def test_objects_leave_the_frame() -> None:
    def gone(scene: int) -> Iterator[int]:
        frames = list(render_scene(4, scene, 9, (32, 64)))
        first, last = (set(np.unique(frame.foreground)) for frame in (frames[0], frames[-1]))
        for number in first - last:
            # It left if some of its points ended outside, before it was last seen.
            for frame in frames:
                of_object = frame.foreground[..., 0] == number
                target = np.argwhere(of_object)[:, ::-1] + frame.flow[of_object]
                if np.any((target < -0.5) | (target > [63.5, 31.5])):
                    yield int(number)
                    break

    assert sum(len(list(gone(scene))) for scene in range(6)) >= 1


def test_half_the_size_is_the_same_scene_with_half_the_flow() -> None:
    large = next(render_scene(9, 0, 2, (96, 192)))
    small = next(render_scene(9, 0, 2, (48, 96)))
    for name in ("flow", "disparity_t0", "disparity_t1"):
        fine, coarse = getattr(large, name), getattr(small, name)
        mean = fine.reshape(48, 2, 96, 2, -1).mean(axis=(1, 3)) / 2
        gap = np.abs(mean - coarse).max(axis=2)
        assert np.median(gap) < 0.01
        assert np.mean(gap > 0.1) < 0.15  # outlines
    shrunk = cv2.resize(large.left_t0, (96, 48), interpolation=cv2.INTER_AREA).astype(float)
    assert np.median(np.abs(shrunk - small.left_t0)) < 8


def test_the_same_seed_gives_the_same_frames_however_many_are_asked_for() -> None:
    first, second = render_scene(3, 7, 3, (48, 80))
    again = list(render_scene(3, 7, 2, (48, 80)))
    assert len(again) == 1
    assert same(first, again[0])
    assert not same(first, second)


def test_a_stride_takes_every_second_moment() -> None:
    every = list(render_scene(3, 7, 5, (48, 80)))
    (first, second) = render_scene(3, 7, 3, (48, 80), stride=2)
    for strided, start, end in [(first, every[0], every[1]), (second, every[2], every[3])]:
        assert np.array_equal(strided.left_t0, start.left_t0)
        assert np.array_equal(strided.right_t1, end.right_t1)
        assert np.array_equal(strided.disparity_t0, start.disparity_t0)
        assert np.linalg.norm(strided.flow, axis=2).mean() > 1.3 * np.linalg.norm(start.flow, axis=2).mean()
        assert strided.occluded.mean() > start.occluded.mean()


def test_scenes_and_seeds_differ() -> None:
    frames = [next(render_scene(seed, scene, 2, (48, 80))) for seed, scene in [(0, 0), (0, 1), (1, 0)]]
    for one, other in [(0, 1), (0, 2), (1, 2)]:
        assert np.abs(frames[one].left_t0.astype(float) - frames[other].left_t0).mean() > 15
        assert np.abs(frames[one].flow - frames[other].flow).mean() > 0.1


@pytest.mark.parametrize(
    ("seed", "scene", "frames", "size", "message"),
    [
        (0, 0, 1, (64, 64), "at least 2 frames"),
        (0, 0, 2, (31, 64), "32 pixels or more"),
        (-1, 0, 2, (64, 64), "seed is -1"),
        (0, -1, 2, (64, 64), "scene is -1"),
    ],
)
def test_impossible_requests_are_refused_at_once(
    seed: int, scene: int, frames: int, size: tuple[int, int], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        render_scene(seed, scene, frames, size)


def test_a_stride_of_nothing_is_refused() -> None:
    with pytest.raises(UserError, match="stride is 0; it must be 1"):
        render_scene(0, 0, 2, (64, 64), stride=0)
