"""Warnings of `evaluate kitti` about predictions with odd values, compared with KITTI's own scenes."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from devkit_scenes import DEVKIT

from flowdistill.cli.flowdistill import main
from flowdistill.formats import read_kitti_disparity, write_pfm


@pytest.fixture
def predictions(tmp_path: Path) -> Path:
    """Predictions equal to the ground truth, except for 8 % of the pixels."""
    rng = np.random.default_rng(0)
    for motion, truth in (("flow", "flow_occ"), ("disp_0", "disp_occ_0"), ("disp_1", "disp_occ_1")):
        (tmp_path / "pred" / motion).mkdir(parents=True)
        for path in sorted((DEVKIT / "gt" / truth).glob("*.png")):
            codes = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            wrong = rng.random(codes.shape[:2]) < 0.08
            moved = np.where(codes > 0, codes.astype(np.int64) + 5 * 256, 0)
            spoilt = np.where(wrong[..., None] if codes.ndim == 3 else wrong, np.clip(moved, 0, 60000), codes)
            if codes.ndim == 3:
                spoilt[..., 0] = codes[..., 0]  # OpenCV's blue, so the valid channel of the file is its last
            cv2.imwrite(str(tmp_path / "pred" / motion / path.name), spoilt.astype(np.uint16))
    return tmp_path / "pred"


def evaluated(predictions: Path, capsys: pytest.CaptureFixture[str]) -> tuple[list[str], dict[str, object]]:
    """The warnings, and the numbers."""
    output = predictions.with_name("result.json")
    command = ["evaluate", "kitti", "--predictions", str(predictions), "--ground-truth", str(DEVKIT / "gt")]
    capsys.readouterr()
    assert main([*command, "--json", str(output)]) == 0
    said = capsys.readouterr().out.splitlines()
    return [line for line in said if line.startswith("warning: ")], json.loads(output.read_text())


def rewrite(predictions: Path, motion: str, change: object) -> None:
    for path in (predictions / motion).glob("*.png"):
        codes = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(path), np.ascontiguousarray(change(codes)).astype(np.uint16))  # type: ignore[operator]


def test_good_predictions_need_no_word(predictions: Path, capsys: pytest.CaptureFixture[str]) -> None:
    warnings, _ = evaluated(predictions, capsys)
    assert warnings == []


def test_reversed_channels(predictions: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rewrite(predictions, "flow", lambda codes: codes[..., ::-1])
    (line,) = evaluated(predictions, capsys)[0]
    assert f"{predictions}/flow/000000_10.png has its channels in the reverse order" in line
    assert "; 2 more like it" in line


def test_a_missing_offset(predictions: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def change(codes: np.ndarray) -> np.ndarray:
        moved = np.clip(codes.astype(np.int64) - 32768, 0, None)
        moved[..., 0] = codes[..., 0]
        return moved

    rewrite(predictions, "flow", change)
    (line,) = evaluated(predictions, capsys)[0]
    assert "holds flow without its offset of 32768" in line


@pytest.mark.parametrize("factor", [1, 16, 100])
@pytest.mark.parametrize("motion", ["disp_0", "disp_1"])
def test_another_factor(
    predictions: Path, capsys: pytest.CaptureFixture[str], motion: str, factor: int
) -> None:
    _, before = evaluated(predictions, capsys)
    rewrite(
        predictions,
        motion,
        lambda codes: np.where(codes > 0, np.maximum(np.rint(codes * (factor / 256)), 1), 0),
    )
    (line,), after = evaluated(predictions, capsys)
    assert (
        f"{predictions}/{motion}/000000_10.png holds disparities stored with the factor {factor} in place"
        in line
    )
    assert before["pooled"] != after["pooled"]  # nothing is corrected: the official tool would not


def test_the_factor_of_pfm_files_is_judged_too(
    predictions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (predictions / "disp_0").glob("*.png"):
        disparity, valid = read_kitti_disparity(path)
        write_pfm(
            path.with_suffix(".pfm"), np.where(valid[..., None], disparity / 256, np.nan).astype(np.float32)
        )
        path.unlink()
    shutil.rmtree(predictions / "flow")
    (line,) = evaluated(predictions, capsys)[0]
    assert "with the factor 1 in place of 256" in line
