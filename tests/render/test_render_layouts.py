"""One rendering in every layout: each file is read back and matches the renderer, within its format's precision."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from layout_readers import FILES, FRAMES, PAIRS, SCENES, SEED, SIZE, TEST_SCENES, THINGS_SCENES, Arrays, Tree

from flowdistill.cli.data_sets import LAYOUTS as CHOICES
from flowdistill.errors import UserError
from flowdistill.formats import read_image
from flowdistill.render import RenderedFrame, render_scene
from flowdistill.render.layouts import LAYOUTS
from flowdistill.render.writer import Request, write_dataset

# Largest errors (flow, disparity at t0, disparity at t1) of the formats: half a step of KITTI's 1/64 and 1/256 px; none
# where floats are stored; float32 rounding where a difference is stored.
STEPS = {
    "kitti2015": (1 / 128, 1 / 512, 1 / 512),
    "kitti2012": (1 / 128, 1 / 512, 0),
    "things": (0, 0, 4e-6),
    "things_subset": (0, 0, 4e-6),
    "chairs": (0, 0, 0),
    "sintel": (0, 0, 0),
}
# Images of scenes without labels: left, and right if there is one, for each frame.
TEST_PICTURES: dict[str, list[str]] = {
    "kitti2015": ["testing/image_2/{scene:06d}_{time:02d}.png", "testing/image_3/{scene:06d}_{time:02d}.png"],
    "kitti2012": [
        "testing/colored_0/{scene:06d}_{time:02d}.png",
        "testing/colored_1/{scene:06d}_{time:02d}.png",
    ],
    "sintel": ["test/clean/scene_{number:04d}/frame_{frame:04d}.png"],
}
# Other files beside them.
TEST_FILES: dict[str, list[str]] = {
    "kitti2015": ["testing/calib_cam_to_cam/{scene:06d}.txt"],
    "kitti2012": [
        "testing/image_0/{scene:06d}_{time:02d}.png",
        "testing/image_1/{scene:06d}_{time:02d}.png",
        "testing/calib/{scene:06d}.txt",
    ],
    "sintel": ["test/final/scene_{number:04d}/frame_{frame:04d}.png"],
}


@pytest.fixture(scope="module")
def frames() -> list[list[RenderedFrame]]:
    return [list(render_scene(SEED, scene, FRAMES, SIZE)) for scene in range(SCENES + TEST_SCENES)]


def request_for(layout: str) -> Request:
    return Request(SEED, SCENES, FRAMES, SIZE, TEST_SCENES if layout in TEST_PICTURES else 0)


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory, frames: list[list[RenderedFrame]]) -> dict[str, Path]:
    """Rendered once, written in every layout."""
    base = tmp_path_factory.mktemp("layouts")
    for name, layout in LAYOUTS.items():
        (base / name).mkdir()
        request = request_for(name)
        for scene in range(request.all_scenes):
            for number, frame in enumerate(frames[scene]):
                layout.write_pair(base / name, request, scene, number, frame)
        for file, text in layout.files_of_the_whole(request).items():
            (base / name / file).write_text(text)
    return {name: base / name for name in LAYOUTS}


def truth_of(frame: RenderedFrame) -> Arrays:
    """The values of a pair that a file can contain, by the keys of the batch contract."""
    pictures = {key: getattr(frame, key) for key in ("left_t0", "right_t0", "left_t1", "right_t1")}
    return {
        **pictures,
        **{f"final_{key}": picture for key, picture in pictures.items()},
        "flow": frame.flow,
        "flow_backward": frame.flow_backward,
        "occluded": frame.occluded,
        "occluded_backward": frame.occluded_backward,
        "disparity_t0": frame.disparity_t0,
        "disparity_t1": frame.disparity_t1,
        "not_noc_t0": frame.occluded_right_t0,
        "not_noc_t1": frame.occluded | frame.occluded_right_t1,
        "foreground": frame.foreground,
        "intrinsics": frame.intrinsics,
        "baseline": np.array(frame.baseline),
    }


def assert_equal_within(got: Arrays, truth: Arrays, steps: tuple[float, float, float]) -> None:
    tolerance = dict(zip(("flow", "disparity_t0", "disparity_t1"), steps, strict=True))
    tolerance["flow_backward"] = tolerance["flow"]
    for key, value in got.items():
        expected = truth[key]
        if key in ("intrinsics", "baseline"):
            np.testing.assert_allclose(value, expected, rtol=2e-6)
            continue
        assert value.shape == expected.shape, key
        if key.startswith("final_"):
            # The same image, blurred and noisy, but neither brighter nor shifted.
            difference = value.astype(float) - expected
            assert 1 < np.abs(difference).mean() < 12, key
            assert np.abs(difference.mean()) < 0.5, key
        elif key in tolerance:
            assert value.dtype == np.float32
            # A file's value has its own float32 rounding on top of the format's step.
            rounding = 4 * np.spacing(np.abs(expected)) if tolerance[key] else 0
            assert (np.abs(value.astype(float) - expected) <= tolerance[key] + rounding).all(), key
        else:
            np.testing.assert_array_equal(value, expected, err_msg=key)


def test_every_layout_of_the_issue_is_here() -> None:
    assert set(LAYOUTS) == set(FILES) == set(STEPS) == set(CHOICES)
    assert {name for name, layout in LAYOUTS.items() if layout.has_test_scenes} == set(TEST_PICTURES)


@pytest.mark.parametrize("layout", FILES)
def test_files_hold_the_exact_truth(
    layout: str, roots: dict[str, Path], frames: list[list[RenderedFrame]]
) -> None:
    for scene, number in PAIRS:
        got = FILES[layout](Tree(roots[layout]), scene, number)
        assert_equal_within(got, truth_of(frames[scene][number]), STEPS[layout])


@pytest.mark.parametrize("layout", FILES)
def test_nothing_but_the_layouts_files_is_written(
    layout: str, roots: dict[str, Path], frames: list[list[RenderedFrame]]
) -> None:
    tree = Tree(roots[layout])
    for scene, number in PAIRS:
        FILES[layout](tree, scene, number)
    if layout in TEST_PICTURES:
        for scene in range(TEST_SCENES):
            for time in range(FRAMES):
                names = {"scene": scene, "time": time, "number": SCENES + scene, "frame": time + 1}
                pair = frames[SCENES + scene][min(time, FRAMES - 2)]
                for side, pattern in zip(("left", "right"), TEST_PICTURES[layout], strict=False):
                    expected = getattr(pair, f"{side}_t{0 if time < FRAMES - 1 else 1}")
                    np.testing.assert_array_equal(tree.image(pattern.format(**names)), expected)
                for pattern in TEST_FILES[layout]:
                    tree.path(pattern.format(**names))
    assert tree.seen == tree.files()


def test_the_last_eighth_of_the_scenes_is_held_out() -> None:
    held_out = {
        scenes: scenes - Request(0, scenes, 2, SIZE).first_held_out for scenes in (1, 2, 7, 8, 15, 16, 256)
    }
    assert held_out == {1: 0, 2: 1, 7: 1, 8: 1, 15: 1, 16: 2, 256: 32}


@pytest.mark.parametrize("layout", ["things", "chairs"])
def test_workers_write_the_same_files(layout: str, roots: dict[str, Path], tmp_path: Path) -> None:
    """Including the noise of the final pass and the split file."""
    summary, _ = write_dataset(tmp_path, layout, request_for(layout), workers=2 if layout == "things" else 1)
    assert summary.samples == len(PAIRS)
    made, expected = Tree(tmp_path), Tree(roots[layout])
    assert made.files() == expected.files()
    for name in made.files():
        assert (tmp_path / name).read_bytes() == (roots[layout] / name).read_bytes(), name


def test_the_final_pass_has_noise_of_its_own_in_each_picture(roots: dict[str, Path]) -> None:
    def noise(name: str) -> np.ndarray:
        clean = read_image(roots["things"] / "frames_cleanpass" / THINGS_SCENES[0] / name)
        final = read_image(roots["things"] / "frames_finalpass" / THINGS_SCENES[0] / name)
        return (final - cv2.GaussianBlur(clean.astype(float), (0, 0), 0.7)).ravel()

    pictures = [
        noise(name) for name in ("left/0006.png", "right/0006.png", "left/0007.png", "right/0007.png")
    ]
    for picture in pictures:
        assert picture.std() == pytest.approx(2.0, abs=0.2)  # of which 0.3 from rounding
    correlation = np.corrcoef(pictures) - np.eye(len(pictures))
    assert np.abs(correlation).max() < 0.05


@pytest.mark.parametrize(
    ("layout", "scenes", "frames", "width", "tests", "message"),
    [
        ("kitti2015", 1, 101, 64, 0, "frames is 101; KITTI's file names hold at most 100"),
        ("kitti2012", 1, 101, 64, 0, "frames is 101; KITTI's file names hold at most 100"),
        ("kitti2015", 10**6 + 1, 2, 64, 0, "scenes is 1000001; .* at most 1000000"),
        ("kitti2012", 1, 2, 64, 10**6 + 1, "scenes is 1000001; .* at most 1000000"),
        ("kitti2015", 1, 2, 1281, 0, "width is 1281; KITTI's 16-bit disparities allow at most 1280"),
        ("kitti2012", 1, 2, 1281, 0, "width is 1281; KITTI's 16-bit disparities allow at most 1280"),
        ("things", 1, 9995, 64, 0, "frames is 9995; .* at most 9994"),
        ("things", 30_001, 2, 64, 0, "scenes is 30001; .* at most 30000"),
        ("things_subset", 10**6, 11, 64, 0, "scenes times frames is 11000000; .* at most 10000000"),
        ("chairs", 50_000, 3, 64, 0, "pairs is 100000; .* at most 99999"),
        ("sintel", 1, 10_000, 64, 0, "frames is 10000; .* at most 9999"),
        ("sintel", 9_999, 2, 64, 2, "scenes is 10001; .* at most 10000"),
        ("things", 1, 2, 64, 1, "test scenes is 1; the layout things has no part without labels"),
        ("things_subset", 1, 2, 64, 1, "the layout things_subset has no part without labels"),
        ("chairs", 1, 2, 64, 1, "the layout chairs has no part without labels"),
        ("middlebury", 1, 2, 64, 0, "layout is 'middlebury'; it must be one of kitti2015, kitti2012"),
    ],
)
def test_what_a_layout_cannot_hold_is_refused_before_anything_is_made(
    tmp_path: Path, layout: str, scenes: int, frames: int, width: int, tests: int, message: str
) -> None:
    request = Request(0, scenes, frames, (64, width), tests)
    with pytest.raises(UserError, match=message):
        write_dataset(tmp_path / "new", layout, request)
    assert not (tmp_path / "new").exists()


def test_a_negative_number_of_test_scenes_is_refused() -> None:
    with pytest.raises(UserError, match="test scenes is -1"):
        Request(0, 1, 2, SIZE, -1)


def test_floats_have_no_width_limit() -> None:
    for layout in ("things", "things_subset", "chairs", "sintel"):
        LAYOUTS[layout].check(Request(0, 1, 2, (64, 4096)))
