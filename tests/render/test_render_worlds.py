"""The worlds of the renderer: `rooms` is unchanged; `street` is a different domain with the same guarantees."""

import hashlib
from dataclasses import fields
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from flowdistill.cli import data_sets
from flowdistill.errors import UserError
from flowdistill.formats import read_image
from flowdistill.render import RenderedFrame, render_scene
from flowdistill.render.world import WORLDS, sample_scene
from flowdistill.render.writer import Request, write_dataset

SIZE = (64, 128)
SCENES = 24
Floats = NDArray[np.float64]


@pytest.fixture(scope="module")
def frames() -> dict[str, list[RenderedFrame]]:
    """The first pair of 24 scenes of each world."""
    return {
        world: [next(render_scene(5, scene, 2, SIZE, world=world)) for scene in range(SCENES)]
        for world in WORLDS
    }


# From the commit before the second world was added.
@pytest.mark.parametrize(
    ("scene", "stride", "size", "digest"),
    [
        (0, 1, (48, 96), "cc2117447e2ee9689aaa66df8359669d8c08675a3441f13d35b4b85835cbf29a"),
        (5, 2, (64, 64), "ec2c0fd2b31977ecfd75f5be250ba38a53b4a0e2e90f9247667a91f0061ddccb"),
    ],
)
def test_rooms_are_the_same_bytes_as_ever(
    scene: int, stride: int, size: tuple[int, int], digest: str
) -> None:
    found = hashlib.sha256()
    for frame in render_scene(21, scene, 3, size, stride):
        for field in fields(RenderedFrame):
            found.update(np.ascontiguousarray(getattr(frame, field.name)).tobytes())
    assert found.hexdigest() == digest


def test_the_commands_choices_are_the_worlds() -> None:
    assert data_sets.WORLDS == WORLDS


def test_another_world_is_refused() -> None:
    with pytest.raises(UserError, match="world is 'moon'; it must be one of rooms, street"):
        Request(0, 1, 2, SIZE, world="moon")
    with pytest.raises(UserError, match="world is 'moon'"):
        render_scene(0, 0, 2, SIZE, world="moon")


def test_a_data_set_holds_the_world_that_was_asked_for(tmp_path: Path) -> None:
    size = (32, 64)
    for name, request in {
        "default": Request(8, 1, 2, size),
        "street": Request(8, 1, 2, size, world="street"),
    }.items():
        write_dataset(tmp_path / name, "kitti2015", request)
        frame = next(render_scene(8, 0, 2, size, world="rooms" if name == "default" else name))
        picture = read_image(tmp_path / name / "training/image_2/000000_00.png")
        np.testing.assert_array_equal(picture, frame.left_t0)


def histogram(values: Floats, edges: list[float]) -> Floats:
    return np.histogram(values, edges)[0] / values.size


def test_labels_of_the_worlds_are_distributed_otherwise(frames: dict[str, list[RenderedFrame]]) -> None:
    edges = [0.0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 13, 20, 26]
    disparities, flows, outward = {}, {}, {}
    column = np.tile(np.arange(SIZE[1]), (SIZE[0], 1)).ravel()
    for world, every in frames.items():
        disparities[world] = histogram(np.stack([frame.disparity_t0 for frame in every]), edges)
        right = np.stack([frame.flow[..., 0] for frame in every])
        # Flow to the right in the left third, the middle and the right third of the image.
        flows[world] = (
            np.concatenate(
                [
                    histogram(part, [-99, -4, -2, -1, 0, 1, 2, 4, 99])
                    for part in np.array_split(right, 3, axis=2)
                ]
            )
            / 3
        )
        outward[world] = np.mean([np.corrcoef(frame.flow[..., 0].ravel(), column)[0, 1] for frame in every])
    # Half of the absolute difference: the share of pixels that would have to change.
    assert np.abs(disparities["rooms"] - disparities["street"]).sum() / 2 > 0.2
    assert np.abs(flows["rooms"] - flows["street"]).sum() / 2 > 0.25
    # The flow seen from a car points away from its heading.
    assert outward["street"] > 0.7
    assert outward["rooms"] < 0.4


def test_pictures_and_cameras_of_the_worlds_differ(frames: dict[str, list[RenderedFrame]]) -> None:
    def mean(world: str, what: str) -> float:
        pictures = np.stack([frame.left_t0 for frame in frames[world]]).astype(np.float64)
        return float({"grey": pictures, "chroma": np.ptp(pictures, axis=3)}[what].mean())

    assert mean("street", "grey") < 0.75 * mean("rooms", "grey")
    assert mean("street", "chroma") < 0.5 * mean("rooms", "chroma")
    focals = {world: [frame.intrinsics[0, 0] for frame in every] for world, every in frames.items()}
    baselines = {world: [frame.baseline for frame in every] for world, every in frames.items()}
    assert max(focals["street"]) < min(focals["rooms"])
    assert min(baselines["street"]) > max(baselines["rooms"])


def test_no_constant_map_predicts_the_street(frames: dict[str, list[RenderedFrame]]) -> None:
    flows = np.stack([frame.flow for frame in frames["street"]])
    others = (flows.sum(axis=0) - flows) / (SCENES - 1)
    zero = np.linalg.norm(flows, axis=3).mean()
    assert 1.5 < zero < 4
    assert np.linalg.norm(flows - others, axis=3).mean() > 0.5 * zero
    disparities = np.stack([frame.disparity_t0 for frame in frames["street"]])
    others = (disparities.sum(axis=0) - disparities) / (SCENES - 1)
    assert np.abs(disparities - others).mean() > 0.18 * disparities.mean()


def test_a_streets_pictures_have_contrast_everywhere(frames: dict[str, list[RenderedFrame]]) -> None:
    for frame in frames["street"]:
        grey = cv2.cvtColor(frame.left_t0, cv2.COLOR_RGB2GRAY).astype(np.float64)
        blocks = grey.reshape(8, 8, 16, 8).std(axis=(1, 3))
        assert np.median(blocks) > 5
        assert np.mean(blocks < 1.5) < 0.03
        assert np.mean((frame.left_t0 == 0) | (frame.left_t0 == 255)) < 0.02


def test_the_camera_drives_forward_and_traffic_moves_on_its_own(
    frames: dict[str, list[RenderedFrame]],
) -> None:
    own: list[Floats] = []
    still = 0
    for frame in frames["street"]:
        points, motion = frame.points_t0.reshape(-1, 3).astype(np.float64), frame.motion.reshape(-1, 3)
        ids = frame.foreground.ravel()
        # The motion of the ground, walls and sky is the camera's: affine in the point, and towards it.
        known = np.c_[points, np.ones(len(points))]
        camera = np.linalg.lstsq(known[ids == 0], motion[ids == 0], rcond=None)[0]
        np.testing.assert_allclose(known[ids == 0] @ camera, motion[ids == 0], atol=2e-4)
        assert camera[3, 2] < 0
        for number in np.unique(ids[ids > 0]):
            rest = (motion - known @ camera)[ids == number].mean(axis=0)
            if np.linalg.norm(rest) < 1e-3:
                still += 1
            else:
                own.append(rest)
    moves = np.stack(own)
    assert still > 5 * SCENES  # posts, trees, parked cars
    along, across = (
        np.abs(moves[:, 2]) > 3 * np.abs(moves[:, 0]),
        np.abs(moves[:, 0]) > 3 * np.abs(moves[:, 2]),
    )
    assert np.sum(along & (moves[:, 2] > 0)) > SCENES // 2
    assert np.sum(along & (moves[:, 2] < 0)) > SCENES // 2
    assert np.sum(across) > SCENES
    assert np.mean([frame.occluded.mean() for frame in frames["street"]]) < 0.2


@pytest.mark.parametrize(("size", "stride"), [(SIZE, 1), ((48, 160), 3), ((96, 48), 2)])
def test_nothing_in_a_street_comes_too_near_at_any_time(size: tuple[int, int], stride: int) -> None:
    for scene in range(5):
        for frame in render_scene(2, scene, 5, size, stride, "street"):
            for disparity in (frame.disparity_t0, frame.disparity_t1):
                assert 0 < disparity.min() <= disparity.max() < 0.2 * size[1]


def test_a_street_of_half_the_size_is_the_same_with_half_the_motion() -> None:
    large, small = (next(render_scene(9, 1, 2, size, world="street")) for size in ((96, 192), (48, 96)))
    for name in ("flow", "disparity_t0", "disparity_t1"):
        fine, coarse = getattr(large, name), getattr(small, name)
        gap = np.abs(fine.reshape(48, 2, 96, 2, -1).mean(axis=(1, 3)) / 2 - coarse).max(axis=2)
        assert np.median(gap) < 0.01
        assert np.mean(gap > 0.1) < 0.2  # outlines
    shrunk = cv2.resize(large.left_t0, (96, 48), interpolation=cv2.INTER_AREA).astype(float)
    assert np.median(np.abs(shrunk - small.left_t0)) < 8


def test_a_streets_surfaces_can_be_named_by_a_byte() -> None:
    counts = []
    for number in range(80):
        scene = sample_scene(0, number, 0.5, "street")
        counts.append(scene.room.surfaces + sum(body.surfaces for body in scene.bodies))
    assert max(counts) <= 256
