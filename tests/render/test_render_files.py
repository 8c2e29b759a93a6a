"""`flowdistill data render`: the files in KITTI's layout, the printed summary and the errors."""

import argparse
from pathlib import Path

import cv2
import numpy as np
import pytest

from flowdistill.cli import data_sets
from flowdistill.errors import UserError
from flowdistill.formats import read_image, read_kitti_disparity, read_kitti_flow, read_object_map
from flowdistill.render import RenderedFrame, render_scene

SIZE = (48, 96)
FRAMES = 3
SEED = 21


def command(*words: str) -> int:
    parser = argparse.ArgumentParser()
    data_sets.add_parser(parser.add_subparsers(required=True))
    args = parser.parse_args(["render", *words])
    return int(args.run(args))


def render(folder: Path, workers: int = 1) -> int:
    return command(
        *f"--output {folder} --scenes 2 --frames {FRAMES} --size 48x96 --seed {SEED} --layout kitti2015".split(),
        *f"--workers {workers}".split(),
    )


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("render") / "new" / "set"
    assert render(folder) == 0
    return folder


@pytest.fixture(scope="module")
def frames() -> list[RenderedFrame]:
    return list(render_scene(SEED, 1, FRAMES, SIZE))


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_layout_is_kittis(dataset: Path) -> None:
    expected = {f"training/calib_cam_to_cam/{scene:06d}.txt" for scene in range(2)}
    for scene in range(2):
        for folder in ("image_2", "image_3"):
            expected |= {f"training/{folder}/{scene:06d}_{frame:02d}.png" for frame in range(FRAMES)}
        for folder in [
            "disp_occ_0",
            "disp_noc_0",
            "disp_occ_1",
            "disp_noc_1",
            "flow_occ",
            "flow_noc",
            "obj_map",
        ]:
            expected |= {f"training/{folder}/{scene:06d}_{frame:02d}.png" for frame in range(FRAMES - 1)}
    assert set(files_of(dataset)) == expected


def test_files_do_not_depend_on_the_number_of_workers(dataset: Path, tmp_path: Path) -> None:
    assert render(tmp_path, workers=2) == 0
    assert files_of(tmp_path) == files_of(dataset)


def test_pictures_survive_the_round_trip(dataset: Path, frames: list[RenderedFrame]) -> None:
    training = dataset / "training"
    for number, frame in enumerate(frames):
        np.testing.assert_array_equal(
            read_image(training / f"image_2/000001_{number:02d}.png"), frame.left_t0
        )
        np.testing.assert_array_equal(
            read_image(training / f"image_3/000001_{number:02d}.png"), frame.right_t0
        )
        objects = read_object_map(training / f"obj_map/000001_{number:02d}.png")
        np.testing.assert_array_equal(objects.reshape(SIZE), frame.foreground[..., 0])
    last = f"000001_{FRAMES - 1:02d}.png"
    np.testing.assert_array_equal(read_image(training / "image_2" / last), frames[-1].left_t1)
    np.testing.assert_array_equal(read_image(training / "image_3" / last), frames[-1].right_t1)


def test_labels_survive_the_round_trip_but_for_their_16_bits(
    dataset: Path, frames: list[RenderedFrame]
) -> None:
    training = dataset / "training"
    for number, frame in enumerate(frames):
        name = f"000001_{number:02d}.png"
        every = np.ones(SIZE, bool)
        seen_t1 = ~frame.occluded[..., 0]
        for folder, valid in (("flow_occ", every), ("flow_noc", seen_t1)):
            flow, read_valid = read_kitti_flow(training / folder / name)
            np.testing.assert_array_equal(read_valid, valid)
            assert np.abs(flow - frame.flow)[valid].max() <= 1 / 128 + 1e-6
        for folder, truth, valid in (
            ("disp_occ_0", frame.disparity_t0, every),
            ("disp_noc_0", frame.disparity_t0, ~frame.occluded_right_t0[..., 0]),
            ("disp_occ_1", frame.disparity_t1, every),
            ("disp_noc_1", frame.disparity_t1, seen_t1 & ~frame.occluded_right_t1[..., 0]),
        ):
            disparity, read_valid = read_kitti_disparity(training / folder / name)
            np.testing.assert_array_equal(read_valid, valid)
            assert np.abs(disparity - truth)[valid].max() <= 1 / 512 + 1e-6


def test_calibration_reads_as_kittis_and_gives_back_depth(dataset: Path, frames: list[RenderedFrame]) -> None:
    lines = (dataset / "training/calib_cam_to_cam/000001.txt").read_text().splitlines()
    entries = dict(line.split(": ", 1) for line in lines)
    assert lines[0].startswith("calib_time: ")
    for key in ["S", "K", "D", "R", "T", "S_rect", "R_rect", "P_rect"]:
        for camera in range(4):
            assert f"{key}_{camera:02d}" in entries
    left, right = (np.array(entries[f"P_rect_{n}"].split(), float).reshape(3, 4) for n in ("02", "03"))
    frame = frames[0]
    np.testing.assert_allclose(left[:, :3], frame.intrinsics, rtol=1e-6)
    np.testing.assert_allclose(right[:, :3], frame.intrinsics, rtol=1e-6)
    focal_baseline = left[0, 3] - right[0, 3]
    np.testing.assert_allclose(focal_baseline, frame.intrinsics[0, 0] * frame.baseline, rtol=1e-5)
    disparity, valid = read_kitti_disparity(dataset / "training/disp_occ_0/000001_00.png")
    depth = focal_baseline / disparity[..., 0]
    np.testing.assert_allclose(depth[valid], frame.points_t0[..., 2][valid], rtol=5e-3)
    np.testing.assert_array_equal(np.array(entries["S_rect_02"].split(), float), [SIZE[1], SIZE[0]])


def test_the_summary_tells_histograms_and_shares(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], frames: list[RenderedFrame]
) -> None:
    render(tmp_path)
    text = capsys.readouterr().out
    every = [*render_scene(SEED, 0, FRAMES, SIZE), *frames]
    share = 100 * np.mean([frame.occluded.mean() for frame in every])
    stereo = 100 * np.mean([frame.occluded_right_t0.mean() for frame in every])
    assert (
        f"occluded: {share:.1f} % of left_t0 is not visible in left_t1, {stereo:.1f} % not in right_t0"
        in text
    )
    assert "4 samples in" in text
    assert "samples/s" in text
    flow = np.concatenate([np.linalg.norm(frame.flow, axis=2).ravel() for frame in every])
    one_to_two = 100 * np.mean((flow >= 1) & (flow < 2))
    after = text[text.index("flow magnitude") :]
    (line,) = [
        line
        for line in after[: after.index("disparity")].splitlines()
        if line.split()[:3] == ["1", "..", "2"]
    ]
    assert float(line.split()[3]) == pytest.approx(one_to_two, abs=0.06)


def test_unlabelled_scenes_are_counted_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = f"--output {tmp_path} --scenes 1 --frames 2 --size 48x96 --layout sintel --test-scenes 2"
    assert command(*words.split()) == 0
    text = capsys.readouterr().out
    assert f"wrote 1 scenes and 2 without labels, of 2 frames each, to {tmp_path}" in text
    assert "3 samples in" in text
    assert len(list((tmp_path / "test" / "clean").iterdir())) == 2


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="not empty"):
        render(tmp_path)
    assert files_of(tmp_path) == {"notes.txt": b"mine"}


def test_an_output_that_cannot_be_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot make the folder"):
        render(tmp_path / "file")


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--size", "256", "height x width"),
        ("--size", "256x", "height x width"),
        ("--size", "-64x64", "height x width"),
        ("--size", "64X64", "height x width"),
        ("--size", "16x512", "32 pixels or more"),
        ("--size", "256x1281", "16-bit"),
        ("--frames", "1", "at least 2 frames"),
        ("--frames", "101", "at most 100"),
        ("--scenes", "0", "at least 1"),
        ("--seed", "-3", "seed is -3"),
        ("--workers", "0", "at least 1 process"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_made(
    tmp_path: Path, option: str, value: str, message: str
) -> None:
    given = {"--scenes": "1", "--frames": "2", "--size": "64x64", option: value}
    words = [word for name, text in given.items() for word in (f"{name}={text}",)]
    with pytest.raises(UserError, match=message):
        command("--output", str(tmp_path / "new"), *words)
    assert not (tmp_path / "new").exists()


def test_opencv_reads_the_pictures_as_colour(dataset: Path, frames: list[RenderedFrame]) -> None:
    bgr = cv2.imread(str(dataset / "training/image_2/000001_00.png"), cv2.IMREAD_UNCHANGED)
    assert bgr is not None
    np.testing.assert_array_equal(bgr[..., ::-1], frames[0].left_t0)
