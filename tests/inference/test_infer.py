"""`flowdistill infer` and `flowdistill.load`: every kind of input, against `predict_sample` and each other."""

from __future__ import annotations

import json
import re
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

import flowdistill
from flowdistill.cli.flowdistill import main
from flowdistill.data.sample import Sample
from flowdistill.errors import UserError
from flowdistill.formats import read_flo, read_image, read_mask, write_image
from flowdistill.formats.motion import read_motion
from flowdistill.inference import tiles
from flowdistill.inference.load import load_model
from flowdistill.inference.memory import fitting_tile
from flowdistill.inference.predict import predict_sample
from flowdistill.inference.stream import run_stream
from flowdistill.networks import DDFlowNet, Dwarf
from saved_network import saved


@pytest.fixture(scope="module")
def flow_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(DDFlowNet, tmp_path_factory.mktemp("weights") / "ddflow.ckpt")


@pytest.fixture(scope="module")
def scene_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(Dwarf, tmp_path_factory.mktemp("weights") / "dwarf.ckpt")


def texture(rows: int, columns: int, frame: int) -> np.ndarray:
    """A smooth pattern that moves two pixels to the right from frame to frame."""
    generator = np.random.default_rng(3)
    coarse = generator.integers(0, 256, (rows // 8 + 2, columns // 8 + 2, 3), dtype=np.uint8)
    image = cv2.resize(coarse, (columns, rows), interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(np.roll(image, 2 * frame, axis=1))


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frames 8, 9, 10, 11 of one sequence."""
    folder = tmp_path_factory.mktemp("frames")
    for frame in range(8, 12):
        write_image(folder / f"frame_{frame}.png", texture(75, 110, frame))
    return folder


def expected(checkpoint: Path, first: np.ndarray, second: np.ndarray) -> dict[str, Any]:
    images = {
        key: torch.from_numpy(image).permute(2, 0, 1).float() / 255
        for key, image in (("left_t0", first), ("left_t1", second))
    }
    sample: Sample = {"name": "a", "size": torch.tensor(first.shape[:2]), **images}  # type: ignore[typeddict-item]
    return predict_sample(load_model(checkpoint, "load", "cpu"), sample)


def infer(checkpoint: Path, output: Path, *arguments: object) -> int:
    return main(
        [
            "infer",
            "--checkpoint",
            str(checkpoint),
            "--output",
            str(output),
            *(str(each) for each in arguments),
        ]
    )


def test_a_pair_equals_lightning_predict(tmp_path: Path, flow_checkpoint: Path, frames: Path) -> None:
    first, second = frames / "frame_8.png", frames / "frame_9.png"
    options = ("--format", "flo", "npz", "png", "colour", "--backward", "--occlusion")
    assert infer(flow_checkpoint, tmp_path / "out", first, second, *options) == 0
    truth = expected(flow_checkpoint, texture(75, 110, 8), texture(75, 110, 9))
    for key in ("flow", "flow_backward"):
        np.testing.assert_allclose(read_flo(tmp_path / "out" / key / "frame_8.flo"), truth[key], atol=1e-5)
        stored = read_motion(tmp_path / "out" / key / "frame_8.npz")
        np.testing.assert_allclose(stored.values, truth[key], atol=1e-5)
        coarse = read_motion(tmp_path / "out" / key / "frame_8.png")
        np.testing.assert_allclose(coarse.values, truth[key], atol=1 / 64)
    occluded = read_mask(tmp_path / "out" / "occluded" / "frame_8.png")
    np.testing.assert_array_equal(occluded, truth["occluded"][..., 0])
    assert read_image(tmp_path / "out" / "flow_colour" / "frame_8.png").shape == (75, 110, 3)


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_folder_list_images_and_python_agree(
    tmp_path: Path, flow_checkpoint: Path, frames: Path, batch: int
) -> None:
    names = [f"frame_{frame}" for frame in (8, 9, 10)]
    listed = tmp_path / "list.txt"
    pairs = zip(range(8, 11), range(9, 12), strict=True)
    lines = [f"{frames}/frame_{a}.png {frames}/frame_{b}.png\n" for a, b in pairs]
    listed.write_text("# two images a line\n" + "".join(lines))
    in_order = [frames / f"frame_{frame}.png" for frame in range(8, 12)]
    for output, inputs in (("folder", [frames]), ("list", [listed]), ("images", in_order)):
        options = ("--format", "flo", "--batch-size", batch)
        assert infer(flow_checkpoint, tmp_path / output, *inputs, *options) == 0
    predictor = flowdistill.load(flow_checkpoint, device="cpu")
    for place, name in enumerate(names):
        found = [
            read_flo(tmp_path / output / "flow" / f"{name}.flo") for output in ("folder", "list", "images")
        ]
        python = predictor.predict(texture(75, 110, 8 + place), texture(75, 110, 9 + place))["flow"]
        for each in found:
            np.testing.assert_allclose(each, python, atol=1e-5)


def test_four_stereo_images_and_stereo_folders(tmp_path: Path, scene_checkpoint: Path) -> None:
    for camera, shift in (("left", 0), ("right", -3)):
        (tmp_path / "data" / camera).mkdir(parents=True)
        for frame in (0, 1):
            image = np.ascontiguousarray(np.roll(texture(70, 130, frame), shift, axis=1))
            write_image(tmp_path / "data" / camera / f"{frame:03d}.png", image)
    paths = [
        tmp_path / "data" / camera / f"{frame:03d}.png" for frame in (0, 1) for camera in ("left", "right")
    ]
    options = ("--format", "npz", "--occlusion")
    assert infer(scene_checkpoint, tmp_path / "images", *paths, *options) == 0
    assert infer(scene_checkpoint, tmp_path / "folder", tmp_path / "data", *options) == 0
    predictor = flowdistill.load(scene_checkpoint, device="cpu")
    left_t0, right_t0, left_t1, right_t1 = (read_image(path) for path in paths)
    python = predictor.predict(left_t0, left_t1, right_t0, right_t1, backward=True)
    reversed_flow = predictor.predict(left_t1, left_t0, right_t1, right_t0)["flow"]
    np.testing.assert_allclose(python["flow_backward"], reversed_flow, atol=1e-5)
    for folder, name in (("images", "000"), ("folder", "left/000")):
        for place, key in (("flow", "flow"), ("disp_0", "disparity_t0"), ("disp_1", "disparity_t1")):
            stored = read_motion(tmp_path / folder / place / f"{name}.npz").values
            np.testing.assert_allclose(stored.squeeze(), python[key], atol=1e-5)
        assert read_mask(tmp_path / folder / "occluded" / f"{name}.png").shape == (70, 130)


def test_a_video_gives_what_its_frames_give(tmp_path: Path, flow_checkpoint: Path) -> None:
    video = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter.fourcc(*"FFV1"), 25, (128, 96))
    for frame in range(6):
        writer.write(texture(96, 128, frame)[..., ::-1].copy())
    writer.release()
    options = ("--format", "flo", "video", "--every", 2)
    assert infer(flow_checkpoint, tmp_path / "out", video, *options) == 0
    predictor = flowdistill.load(flow_checkpoint, device="cpu")
    for number in (0, 2):
        found = read_flo(tmp_path / "out" / "flow" / f"clip_{number:06d}.flo")
        # FFV1 stores RGB as YUV of another resolution of values; a wrong frame would differ by pixels.
        python = predictor.predict(texture(96, 128, number), texture(96, 128, number + 2))["flow"]
        assert np.abs(found - python).max() < 0.3
    made = cv2.VideoCapture(str(tmp_path / "out" / "flow.mp4"))
    assert (made.get(cv2.CAP_PROP_FRAME_COUNT), made.get(cv2.CAP_PROP_FPS)) == (2, 12.5)
    assert not list((tmp_path / "out").glob(".*"))


def test_a_damaged_video_is_an_error_after_what_could_be_read(
    tmp_path: Path, flow_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = tmp_path / "clip.mp4"
    video.write_bytes(b"not a video")
    assert infer(flow_checkpoint, tmp_path / "out", video, "--format", "video", "flo") == 2
    assert "not a video" in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("*.mp4"))


def test_the_same_command_continues_and_other_settings_are_refused(
    tmp_path: Path, flow_checkpoint: Path, frames: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    assert infer(flow_checkpoint, output, frames, "--format", "flo") == 0
    (output / "flow" / "frame_9.flo").unlink()
    moved = shutil.copy(flow_checkpoint, tmp_path / "moved.ckpt")  # the same weights
    before = (output / "flow" / "frame_8.flo").stat().st_mtime_ns
    assert infer(moved, output, frames, "--format", "flo") == 0
    assert "2 samples are there already" in capsys.readouterr().out
    assert (output / "flow" / "frame_9.flo").is_file()
    assert (output / "flow" / "frame_8.flo").stat().st_mtime_ns == before
    tiled = (frames, "--format", "flo", "--tile", "64x64", "--overlap", "32")
    assert infer(flow_checkpoint, output, *tiled) == 2
    assert "other settings (overlap, tile)" in capsys.readouterr().err
    assert infer(flow_checkpoint, output, *tiled, "--overwrite") == 0
    assert json.loads((output / "infer.json").read_text())["tile"] == "64x64"


def test_a_folder_with_other_files_is_not_written_into(
    tmp_path: Path, flow_checkpoint: Path, frames: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    assert infer(flow_checkpoint, tmp_path, frames) == 2
    assert "not empty" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (["missing.png"], "does not exist"),
        (["{frames}/frame_8.png"], "a single image; this network takes 2"),
        (["{frames}/frame_8.png", "{frames}"], "each must be an image"),
        (["{list}"], "2:.*words"),
        (["{frames}", "--tile", "big"], "512x1024, auto or none"),
        (["{frames}", "--tile", "64x64"], "larger than their overlap"),
        (["{frames}", "--batch-size", "0"], "use at least 1"),
        (["{frames}", "--precision", "16"], "needs a GPU"),
        (["{frames}", "--stride", "9"], "no pair|nothing|stride"),
    ],
)
def test_mistakes_are_explained(
    tmp_path: Path, flow_checkpoint: Path, frames: Path, capsys: pytest.CaptureFixture[str],
    inputs: list[str], message: str,
) -> None:  # fmt: skip
    listed = tmp_path / "list.txt"
    listed.write_text(f"{frames}/frame_8.png {frames}/frame_9.png\na b c d e\n")
    arguments = [each.format(frames=frames, list=listed) for each in inputs]
    assert infer(flow_checkpoint, tmp_path / "out", *arguments) == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    assert re.search(message, error), error
    assert not (tmp_path / "out").exists()


def test_dwarf_says_which_images_it_needs(
    tmp_path: Path, scene_checkpoint: Path, frames: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert infer(scene_checkpoint, tmp_path / "out", frames / "frame_8.png", frames / "frame_9.png") == 2
    assert "four images, left_t0, right_t0, left_t1, right_t1; got 2" in capsys.readouterr().err
    assert infer(scene_checkpoint, tmp_path / "out", frames) == 2
    assert "--left and --right" in capsys.readouterr().err
    with pytest.raises(ValueError, match="Dwarf takes left_t0, right_t0"):
        flowdistill.load(scene_checkpoint, device="cpu").predict(texture(64, 64, 0), texture(64, 64, 1))


def test_images_of_python_are_checked(flow_checkpoint: Path) -> None:
    predictor = flowdistill.load(flow_checkpoint, device="cpu")
    image = texture(75, 110, 0)
    as_float = image.astype(np.float64) / 255
    np.testing.assert_allclose(
        predictor.predict(as_float, as_float)["flow"], predictor.predict(image, image)["flow"], atol=1e-4
    )
    for wrong, message in (
        (image.astype(np.float32), "divide"),
        (image[..., 0], "shape"),
        (image.astype(np.int64), "uint8"),
        (image[:60], "size"),
    ):
        with pytest.raises(ValueError, match=message):
            predictor.predict(image, wrong)
    with pytest.raises(ValueError, match="at least 64x64"):
        predictor.predict(image[:60], image[:60])


def test_tiles_are_the_whole_where_the_network_sees_the_same() -> None:
    """With a local function instead of a network: blending is exact, for any size and overlap."""
    images = {"left_t0": torch.rand(2, 3, 130, 300, dtype=torch.float32)}
    shapes = []

    def local(part: Any) -> dict[str, torch.Tensor]:
        shapes.append(part["left_t0"].shape[-2:])
        return {"flow": 7 * part["left_t0"][:, :2]}

    for tile, overlap in (((64, 128), 32), ((128, 64), 0), ((512, 96), 95)):
        found = tiles.predict_tiled(local, images, tile, overlap)["flow"]
        torch.testing.assert_close(found, 7 * images["left_t0"][:, :2])
    assert max(shape[0] for shape in shapes) <= 130
    for length, tile_size, overlap in ((1000, 256, 128), (257, 256, 10), (256, 256, 0)):
        first = tiles.starts(length, tile_size, overlap)
        assert first[0] == 0
        assert first[-1] == max(0, length - tile_size)
        assert all(b - a <= tile_size - overlap for a, b in pairwise(first))


def test_tiles_change_little_inside(flow_checkpoint: Path) -> None:
    first, second = texture(256, 320, 0), texture(256, 320, 1)
    whole = flowdistill.load(flow_checkpoint, device="cpu", tile="none").predict(first, second)["flow"]
    tiled = flowdistill.load(flow_checkpoint, device="cpu", tile=(192, 256)).predict(first, second)["flow"]
    scale = np.abs(whole).max()
    assert np.abs(tiled - whole).mean() < 0.1 * scale
    assert not np.array_equal(tiled, whole)


def test_images_too_large_for_the_memory_are_divided() -> None:
    assert fitting_tile("flow", (384, 1280), 1, 1.0, 8 << 30) is None
    tile = fitting_tile("scene_flow", (2000, 3000), 1, 1.0, 4 << 30)
    assert tile is not None
    assert tile[0] % 64 in (0, 2000 % 64)
    assert tile[0] * tile[1] < 2000 * 3000 / 2
    assert fitting_tile("flow", (4000, 4000), 1, 1.0, 0) == (256, 256)


@pytest.mark.parametrize("where", ["read", "predict", "write"])
def test_an_error_of_any_part_ends_the_stream(where: str) -> None:
    written: list[int] = []

    def samples() -> Any:
        for number in range(50):
            if where == "read" and number == 5:
                raise UserError("cannot read")
            yield number

    def predict(batch: list[int]) -> dict[str, torch.Tensor]:
        if where == "predict" and batch[0] == 5:
            raise UserError("cannot predict")
        return {}

    def write(batch: list[int], found: Any) -> None:
        if where == "write" and batch[0] == 5:
            raise UserError("cannot write")
        written.extend(batch)

    with pytest.raises(UserError, match=f"cannot {where}"):
        run_stream(samples(), predict, write, batch_size=1, count=50)
    assert written[:5] == [0, 1, 2, 3, 4]
    assert written[-1] < 20
