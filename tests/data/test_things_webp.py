"""FlyingThings3D's images as WebP: the same samples as from the PNG files, and no lost frames."""

import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from flowdistill.cli.flowdistill import main
from flowdistill.data.dataset import ViewName
from flowdistill.data.datasets import DATASETS, open_dataset, split_entries
from flowdistill.data.sample import Sample
from flowdistill.errors import UserError
from flowdistill.formats import FormatError, read_image, write_image
from flowdistill.render.writer import Request, write_dataset


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("originals")
    for layout in ("things", "things_subset"):
        write_dataset(folder / layout, layout, Request(seed=3, scenes=2, frames=3, size=(64, 64)))
    return folder


def copy(originals: Path, layout: str, folder: Path) -> Path:
    return Path(shutil.copytree(originals / layout, folder / layout))


def convert(picture: Path, quality: int = 101) -> None:
    """Replace a PNG by a WebP, lossless by default."""
    options = [cv2.IMWRITE_WEBP_QUALITY, quality]
    picture.with_suffix(".webp").write_bytes(
        cv2.imencode(".webp", cv2.imread(str(picture)), options)[1].tobytes()
    )
    picture.unlink()


def to_webp(root: Path, quality: int = 101) -> Path:
    """All images of a data set, in the folders of the data set's page."""
    for picture in [*root.glob("frames_*/**/*.png"), *root.glob("*/image_*/**/*.png")]:
        convert(picture, quality)
    for folder in root.glob("frames_*"):
        folder.rename(f"{folder}_webp")
    return root


def samples(root: Path, view: ViewName, **options: str) -> list[Sample]:
    dataset = open_dataset(root.name, str(root), "scan", view, True, options)
    return [dataset[index] for index in range(len(dataset))]


@pytest.mark.parametrize("render_pass", ["clean", "final"])
@pytest.mark.parametrize("view", ["flow", "scene_flow"])
@pytest.mark.parametrize("layout", ["things", "things_subset"])
def test_samples_are_the_same(
    originals: Path, tmp_path: Path, layout: str, view: ViewName, render_pass: str
) -> None:
    webp = to_webp(copy(originals, layout, tmp_path))
    expected = samples(originals / layout, view, render_pass=render_pass)
    found = samples(webp, view, render_pass=render_pass)
    assert len(found) == len(expected) == 4
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.keys() == theirs.keys()
        for key, value in theirs.items():
            other = ours[key]  # type: ignore[literal-required]
            same = torch.equal(other, value) if isinstance(value, torch.Tensor) else other == value
            assert same, key


def test_webp_in_the_folder_of_png_is_read_too(originals: Path, tmp_path: Path) -> None:
    root = copy(originals, "things", tmp_path)
    for picture in root.glob("frames_*/**/*.png"):
        convert(picture)
    assert [sample["name"] for sample in samples(root, "flow")] == [
        sample["name"] for sample in samples(originals / "things", "flow")
    ]


def test_where_both_are_there_png_is_read(
    originals: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = to_webp(copy(originals, "things", tmp_path))
    shutil.copytree(originals / "things/frames_cleanpass", root / "frames_cleanpass")
    for _ in range(2):  # scanned, and then from the cache
        dataset = open_dataset("things", str(root), "scan", "scene_flow", labels=False)
        assert {Path(file.path).suffix for index in range(4) for file in dataset.files(index)} == {".png"}
        assert "frames_cleanpass is read; frames_cleanpass_webp contains the same" in capsys.readouterr().err


def scanned(root: Path) -> list[str]:
    dataset = DATASETS[root.name]
    return [entry.id for entry in split_entries(dataset, str(root), "scan", dataset.chosen_options({}))]


def test_the_scan_notices_when_the_other_kind_comes_or_goes(originals: Path, tmp_path: Path) -> None:
    root = copy(originals, "things", tmp_path)
    expected = scanned(root)
    shutil.copytree(originals / "things/frames_cleanpass", root / "spare")
    to_webp(root)
    assert scanned(root) == expected
    (root / "spare").rename(root / "frames_cleanpass")
    shutil.rmtree(root / "frames_cleanpass/TRAIN")
    with pytest.raises(UserError, match=r"6 frames are \.png .* but 6 exist only as"):
        scanned(root)


def test_a_half_converted_data_set_is_named(originals: Path, tmp_path: Path) -> None:
    """In one folder, for one camera only, in two folders: no pair is dropped silently."""
    within = copy(originals, "things", tmp_path / "within")
    convert(within / "frames_cleanpass/TRAIN/A/0000/left/0007.png")
    said = r"within/things: 11 frames are \.png files in frames_cleanpass, but 1 exist only as \.webp files"
    with pytest.raises(
        UserError,
        match=rf"{said} in frames_cleanpass, such as TRAIN/A/0000/left/0007\. .*move one format away",
    ):
        scanned(within)
    split = tmp_path / "split.txt"
    split.write_text("TRAIN/A/0000/0006\n")
    with pytest.raises(
        UserError, match=r"A/0000/left: 2 frames are \.png files .* but 1 exist only as \.webp"
    ):
        open_dataset("things", str(within), str(split), "flow", labels=False)

    between = copy(originals, "things", tmp_path / "between")
    (between / "frames_cleanpass_webp/TRAIN/A").mkdir(parents=True)
    (between / "frames_cleanpass/TRAIN/A/0000").rename(between / "frames_cleanpass_webp/TRAIN/A/0000")
    for picture in between.glob("frames_cleanpass_webp/**/*.png"):
        convert(picture)
    with pytest.raises(
        UserError,
        match=r"6 frames are \.png files .* but 6 exist only as \.webp files in frames_cleanpass_webp",
    ):
        scanned(between)

    camera = copy(originals, "things_subset", tmp_path / "camera")
    for picture in (camera / "train/image_clean/right").glob("*.png"):
        convert(picture)
    with pytest.raises(UserError, match=r"image_clean/right/0000000\.png"):
        open_dataset("things_subset", str(camera), "scan:train", "scene_flow", labels=False)
    convert(camera / "train/image_clean/left/0000001.png")
    with pytest.raises(
        UserError, match=r"image_clean/left: 2 frames are \.png files .* but 1 exist only as \.webp"
    ):
        open_dataset("things_subset", str(camera), "scan:train", "flow", labels=False)


def test_a_webp_that_is_gone_or_damaged_is_named(originals: Path, tmp_path: Path) -> None:
    root = to_webp(copy(originals, "things", tmp_path))
    picture = root / "frames_cleanpass_webp/TRAIN/A/0000/left/0007.webp"
    content = picture.read_bytes()
    dataset = open_dataset("things", str(root), "scan:TRAIN", "flow", labels=False)
    for damaged in (content[:-9], b"", cv2.imencode(".png", np.zeros((64, 64, 3), np.uint8))[1].tobytes()):
        picture.write_bytes(damaged)
        with pytest.raises(FormatError, match=r"left/0007\.webp: expected "):
            dataset[0]
    picture.unlink()
    with pytest.raises(UserError, match=r"left/0007\.webp"):
        open_dataset("things", str(root), "scan:TRAIN", "flow", labels=False)


def test_an_alpha_channel_in_a_benchmark_is_refused(originals: Path, tmp_path: Path) -> None:
    root = to_webp(copy(originals, "things", tmp_path))
    picture = root / "frames_cleanpass_webp/TRAIN/A/0000/left/0006.webp"
    clear = np.dstack([cv2.imread(str(picture)), np.full((64, 64), 99, np.uint8)])
    picture.write_bytes(cv2.imencode(".webp", clear, [cv2.IMWRITE_WEBP_QUALITY, 101])[1].tobytes())
    dataset = open_dataset("things", str(root), "scan:TRAIN", "flow", labels=False)
    with pytest.raises(FormatError, match=r"0006\.webp: expected a WebP image without transparency"):
        dataset[0]


def test_where_neither_is_there_both_are_named(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    with pytest.raises(
        UserError, match=r"(?s)frames_finalpass/TRAIN.*contains videos.*frames_finalpass_webp"
    ):
        open_dataset("things", str(tmp_path), "scan", "flow", False, {"render_pass": "final"})
    (tmp_path / "frames_cleanpass_webp/TRAIN").mkdir(parents=True)
    with pytest.raises(UserError, match=r"frames_cleanpass_webp/TRAIN contains no pair .*0006\.png.*as WebP"):
        open_dataset("things", str(tmp_path), "scan:TRAIN", "flow", labels=False)


@pytest.mark.parametrize(
    ("layout", "archive"),
    [
        ("things", "FlyingThings3D, RGB images (cleanpass), WebP"),
        ("things_subset", "subset, RGB images (cleanpass)"),
    ],
)
def test_data_check_opens_webp_and_names_its_archive(
    originals: Path, tmp_path: Path, layout: str, archive: str, capsys: pytest.CaptureFixture[str]
) -> None:
    root = to_webp(copy(originals, layout, tmp_path))
    config = Path(__file__).parents[2] / f"configs/data/{layout}.yaml"
    command = ["data", "check", "--config", str(config), "--root", str(root), "--workers", "1"]
    assert main(command) == 0
    picture = sorted(root.glob("**/left/*.webp"))[0]
    write_image(picture.with_suffix(".png"), np.zeros((32, 64, 3), np.uint8))
    picture.with_suffix(".png").rename(picture)
    capsys.readouterr()
    assert main([*command, "--fast"]) == 1
    printed = capsys.readouterr().out
    assert re.search(r"unreadable +1", printed)
    assert picture.name in printed
    assert archive in printed


def test_the_tree_shows_where_webp_goes(capsys: pytest.CaptureFixture[str]) -> None:
    for layout, shown in (
        ("things", "frames_cleanpass_webp/TRAIN/A/0000/left/0006.webp"),
        ("things_subset", ".webp"),
    ):
        assert main(["data", "tree", layout]) == 0
        assert shown in capsys.readouterr().out


def test_lossy_pictures_are_what_pillow_decodes(originals: Path, tmp_path: Path) -> None:
    root = to_webp(copy(originals, "things", tmp_path), quality=95)
    decoded = np.array(Image.open(root / "frames_cleanpass_webp/TRAIN/A/0000/left/0006.webp").convert("RGB"))
    assert (decoded != read_image(originals / "things/frames_cleanpass/TRAIN/A/0000/left/0006.png")).any()
    found = 255 * samples(root, "flow")[0]["left_t0"].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(found, decoded, atol=1e-3)
