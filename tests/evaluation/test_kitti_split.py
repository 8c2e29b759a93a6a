"""`evaluate kitti --split`: only the listed images, with the official tool's counts; lines that cannot be scored."""

import json
import shutil
from pathlib import Path

import pytest
from devkit_scenes import DEVKIT, official

from flowdistill.cli.flowdistill import main

CHOSEN = ["000000_10", "000002_10"]
OTHER = "000001_10"


def evaluate(folder: Path, out: Path, *options: str) -> int:
    return main(["evaluate", "kitti", "--predictions", str(folder / "pred"), "--ground-truth", str(folder / "gt"),
                 "--json", str(out), *options])  # fmt: skip


@pytest.fixture
def devkit(tmp_path: Path) -> Path:
    """A copy that a test may modify: pred/ and gt/."""
    for part in ("pred", "gt"):
        shutil.copytree(DEVKIT / part, tmp_path / part)
    return tmp_path


@pytest.fixture
def split(tmp_path: Path) -> Path:
    path = tmp_path / "two.txt"
    path.write_text("# two of three, in another order\n000002_10\n000000_10  # the first\n")
    return path


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_split_scores_as_a_folder_that_holds_only_its_files(
    devkit: Path, split: Path, workers: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(devkit, devkit / "split.json", "--split", str(split), "--workers", workers) == 0
    printed = capsys.readouterr().out
    assert f"2 images of {split}," in printed
    for path in (*devkit.glob(f"pred/*/{OTHER}.png"), *devkit.glob(f"gt/*/{OTHER}.png")):
        path.unlink()
    assert evaluate(devkit, devkit / "folder.json") == 0
    assert capsys.readouterr().out == printed.replace(f"2 images of {split},", "2 images,")
    found, alone = (json.loads((devkit / f"{name}.json").read_text()) for name in ("split", "folder"))
    assert list(found) == ["split", "pooled", "large_errors", "mean_of_images", "per_image"]
    assert found.pop("split") == str(split)
    assert found == alone
    assert list(found["per_image"]) == CHOSEN


def test_counts_are_the_sums_of_the_official_tool(split: Path, tmp_path: Path) -> None:
    assert evaluate(DEVKIT, tmp_path / "out.json", "--split", str(split)) == 0
    pooled = json.loads((tmp_path / "out.json").read_text())["pooled"]
    assert len(pooled) == 8
    for metric, block in pooled.items():
        for name in ("bg", "fg", "all"):
            for key in ("errors", "pixels", "errors_submitted", "pixels_submitted"):
                sums = [official()["per_image"][image][metric][name][key] for image in CHOSEN]
                assert block[name][key] == sum(sums), (metric, name, key)
        assert block != official()["pooled"][metric]


def test_files_of_other_images_are_not_needed(devkit: Path, split: Path) -> None:
    (devkit / "pred" / "flow" / f"{OTHER}.png").unlink()
    (devkit / "gt" / "obj_map" / f"{OTHER}.png").unlink()
    (devkit / "pred" / "disp_0" / f"{OTHER}.png").write_bytes(b"damaged")
    assert evaluate(devkit, devkit / "all.json") == 2
    assert evaluate(devkit, devkit / "two.json", "--split", str(split)) == 0


def test_a_missing_prediction_of_the_split_is_named(
    devkit: Path, split: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = devkit / "pred" / "disp_1" / "000002_10.png"
    missing.unlink()
    assert evaluate(devkit, devkit / "out.json", "--split", str(split)) == 2
    message = capsys.readouterr().err
    assert "1 of 6 predictions are missing" in message
    assert str(missing) in message
    assert f"Every image of {split} needs its prediction" in message
    assert not (devkit / "out.json").exists()


def test_a_truth_that_lacks_one_of_its_files_is_a_missing_file(
    devkit: Path, split: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (devkit / "gt" / "flow_noc" / "000000_10.png").unlink()
    assert evaluate(devkit, devkit / "out.json", "--split", str(split)) == 2
    assert "1 of 14 ground truth files are missing" in capsys.readouterr().err


LINES = {
    "an unknown id": ("000003_10", "000003_10 has no ground truth: no folder of"),
    "another frame": ("000001_09", "000001_09 has no ground truth: no folder of"),
    "a path": ("../pred/flow/000000_10", "points outside the data folder"),
    "a right camera": ("000001_10 camera=right", "KITTI's ground truth is that of the left camera"),
    "proxy labels": ("000001_10 labels=proxy", "labels=proxy selects proxy labels"),
    "a repeated id": ("000002_10", "repeats line 2"),
    "another word": ("000001_10 disparity", "'disparity' is not a valid option"),
}


@pytest.mark.parametrize("mistake", LINES)
def test_a_line_that_cannot_be_scored_is_named(
    devkit: Path, split: Path, capsys: pytest.CaptureFixture[str], mistake: str
) -> None:
    line, words = LINES[mistake]
    split.write_text(f"{split.read_text()}\n{line}\n")
    assert evaluate(devkit, devkit / "out.json", "--split", str(split)) == 2
    message = capsys.readouterr().err
    assert f"{split}, line 5: " in message
    assert words in message
    assert "Traceback" not in message
    assert not (devkit / "out.json").exists()


def test_no_split_file_is_told(devkit: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate(devkit, devkit / "out.json", "--split", str(devkit / "three.txt")) == 2
    assert f"The split file {devkit / 'three.txt'} does not exist" in capsys.readouterr().err
    (devkit / "empty.txt").write_text("# nothing\n")
    assert evaluate(devkit, devkit / "out.json", "--split", str(devkit / "empty.txt")) == 2
    assert "lists no sample" in capsys.readouterr().err
