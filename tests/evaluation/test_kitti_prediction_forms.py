"""Predictions as .flo and .pfm: the same official counts as for a PNG of the same values, and every mistake."""

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from devkit_scenes import DEVKIT, SCENES, official

from flowdistill.cli.flowdistill import main
from flowdistill.evaluation.kitti.files import find_files
from flowdistill.evaluation.kitti.images import evaluate_images
from flowdistill.evaluation.kitti.report import to_json

SCENE = "000001_10"


def as_flo(source: Path, target: Path) -> None:
    codes = cv2.imread(str(source), cv2.IMREAD_UNCHANGED)
    flow = (codes[..., :0:-1].astype(np.float32) - 32768) / 64
    flow[codes[..., 0] == 0] = 1e10, -1e10
    assert cv2.writeOpticalFlow(str(target), flow)


def as_flow_pfm(source: Path, target: Path) -> None:
    codes = cv2.imread(str(source), cv2.IMREAD_UNCHANGED)
    flow = (codes.astype(np.float32) - 32768) / 64
    flow[codes[..., 0] == 0] = np.nan
    flow[..., 0] = 0.25  # blue, the third channel: unused
    assert cv2.imwrite(str(target), flow)


def as_disparity_pfm(source: Path, target: Path) -> None:
    codes = cv2.imread(str(source), cv2.IMREAD_UNCHANGED)
    assert cv2.imwrite(str(target), np.where(codes > 0, codes / 256, np.inf).astype(np.float32))


# Motion and scene -> suffix and writer; all others stay PNGs.
FORMS = {
    ("flow", 0): (".flo", as_flo),
    ("flow", 1): (".pfm", as_flow_pfm),
    ("flow", 2): (".FLO", as_flo),
    ("disp_0", 0): (".pfm", as_disparity_pfm),
    ("disp_0", 1): (".Pfm", as_disparity_pfm),
    ("disp_0", 2): (".pfm", as_disparity_pfm),
    ("disp_1", 0): (".pfm", as_disparity_pfm),
    ("disp_1", 1): (".pfm", as_disparity_pfm),
}


@pytest.fixture
def predictions(tmp_path: Path) -> Path:
    """The official scenes' predictions in other formats, including a PNG with an upper-case suffix."""
    folder = tmp_path / "pred"
    shutil.copytree(DEVKIT / "pred", folder)
    for (motion, scene), (suffix, write) in FORMS.items():
        place = folder / motion / f"{SCENES[scene]}.png"
        made = tmp_path / f"made{suffix.lower()}"  # OpenCV goes by the suffix
        write(place, made)
        place.unlink()
        made.rename(place.with_suffix(suffix))
    left = folder / "disp_1" / f"{SCENES[2]}.png"
    left.rename(left.with_suffix(".PNG"))
    return folder


def evaluate(predictions: Path) -> dict[str, Any]:
    return to_json(evaluate_images(find_files(predictions, DEVKIT / "gt")))


def test_the_official_counts(predictions: Path) -> None:
    found = evaluate(predictions)
    assert found == evaluate(DEVKIT / "pred")
    for metric, block in found["pooled"].items():
        for name in ("bg", "fg", "all", "density"):
            assert block[name] == official()["pooled"][metric][name], (metric, name)


def test_worker_processes_find_them_too(predictions: Path) -> None:
    out = predictions.parent / "result.json"
    arguments = ["--predictions", str(predictions), "--ground-truth", str(DEVKIT / "gt"), "--json", str(out)]
    assert main(["evaluate", "kitti", *arguments, "--workers", "2"]) == 0
    assert json.loads(out.read_text()) == evaluate(DEVKIT / "pred")


def test_a_negative_disparity_was_not_submitted(predictions: Path) -> None:
    """As in the PNG, which cannot store it; and 0 is a value, as in the development kit."""
    path = predictions / "disp_0" / f"{SCENE}.Pfm"
    disparity = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    png = np.rint(disparity * 256).astype(np.uint16)
    disparity[:10], png[:10] = -1, 0
    disparity[10:20], png[10:20] = 0, 1  # code 0 would be invalid; 1/256 px changes no count here
    cv2.imwrite(str(predictions / "a.pfm"), disparity)
    (predictions / "a.pfm").rename(path)
    found = evaluate(predictions)["per_image"][SCENE]
    path.unlink()
    cv2.imwrite(str(path.with_suffix(".png")), png)
    expected = evaluate(predictions)["per_image"][SCENE]
    for metric in ("disp_0_noc", "disp_0_occ", "scene_flow_occ"):
        for name in ("bg", "fg", "all", "density"):
            assert found[metric][name] == expected[metric][name]
    assert found["disp_0_occ"]["density"] < 0.95


def test_values_beyond_the_16_bit_range_are_scored(predictions: Path) -> None:
    flow = np.full((94, 310, 2), 1e4, np.float32)
    assert cv2.writeOpticalFlow(str(predictions / "flow" / f"{SCENE}.flo"), flow)
    (predictions / "flow" / f"{SCENE}.pfm").unlink()
    block = evaluate(predictions)["per_image"][SCENE]["flow_occ"]
    assert block["density"] == 1
    assert block["all"]["rate"] == 1
    assert block["epe"] > 1e4


def negative(folder: Path) -> Path:
    path = folder / "disp_1" / f"{SCENE}.pfm"
    cv2.imwrite(str(path), -cv2.imread(str(path), cv2.IMREAD_UNCHANGED))
    return path


def twice(folder: Path) -> Path:
    path = folder / "flow" / f"{SCENE}.pfm"
    shutil.copy(DEVKIT / "pred" / "flow" / f"{SCENE}.png", path.with_suffix(".png"))
    return path


def flow_for_disparity(folder: Path) -> Path:
    path = folder / "disp_0" / f"{SCENE}.Pfm"
    shutil.copy(folder / "flow" / f"{SCENE}.pfm", path)
    return path


def small(folder: Path) -> Path:
    path = folder / "flow" / f"{SCENES[0]}.flo"
    cv2.writeOpticalFlow(str(path), np.zeros((3, 4, 2), np.float32))
    return path


def cut(folder: Path) -> Path:
    path = folder / "flow" / f"{SCENES[0]}.flo"
    path.write_bytes(path.read_bytes()[:-1])
    return path


def gone(folder: Path) -> Path:
    (folder / "flow" / f"{SCENES[0]}.flo").rename(folder / "flow" / f"{SCENES[0]}.npz")
    return folder / "flow" / f"{SCENES[0]}"


MISTAKES = {
    negative: "disparities are negative, but KITTI's are positive; flip their sign",
    twice: f"{SCENE}.png are predictions of one image",
    flow_for_disparity: "expected disparity, found flow",
    small: "expected 94 x 310 pixels",
    cut: "bytes for a flow of 94 x 310",
    gone: "needs its prediction (.png, .flo or .pfm)",
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_wrong_file_is_named(predictions: Path, capsys: pytest.CaptureFixture[str], mistake: Any) -> None:
    path = mistake(predictions)
    arguments = ["--predictions", str(predictions), "--ground-truth", str(DEVKIT / "gt")]
    assert main(["evaluate", "kitti", *arguments]) == 2
    message = capsys.readouterr().err
    assert str(path) in message
    assert MISTAKES[mistake] in message
