"""Errors over 2 to 5 px alone and means of images, against loops in float64 on files with filled gaps."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flowdistill.cli.flowdistill import main
from flowdistill.formats import read_kitti_disparity, read_kitti_flow, write_kitti_disparity, write_kitti_flow

SHARES = {"000000_10": 0.9, "000001_10": 0.2, "000002_10": 0.0}  # of the pixels that have ground truth


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Three images of KITTI 2012's layout; the last has no label at all."""
    rng = np.random.default_rng(3)
    for name, share in SHARES.items():
        flow = rng.normal(0, 30, (20, 30, 2)).round(1).astype(np.float32)
        disparity = rng.uniform(5, 90, (20, 30, 1)).astype(np.float32)
        valid = rng.random((20, 30)) < share
        for kind, values, write in (
            ("flow", flow, write_kitti_flow),
            ("disp", disparity, write_kitti_disparity),
        ):
            off = (values + rng.normal(0, 3, values.shape)).clip(0.5 if kind == "disp" else -400, 400)
            for folder, mask in (
                (f"{kind}_occ", valid),
                (f"{kind}_noc", valid & (rng.random((20, 30)) < 0.7)),
            ):
                path = tmp_path / "truth" / folder / f"{name}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                write(path, values, mask)
            path = tmp_path / "out" / ("flow" if kind == "flow" else "disp_0") / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            write(path, off.astype(np.float32), np.ones((20, 30), bool))
    return tmp_path / "out", tmp_path / "truth"


def errors(out: Path, truth: Path, metric: str, name: str) -> np.ndarray:
    """The end-point errors of an image in px, at its pixels with ground truth."""
    kind, occlusion = ("flow", metric[5:]) if metric.startswith("flow") else ("disp", metric[7:])
    read: Any = read_kitti_flow if kind == "flow" else read_kitti_disparity
    true, valid = read(truth / f"{kind}_{occlusion}" / f"{name}.png")
    found, _ = read(out / ("flow" if kind == "flow" else "disp_0") / f"{name}.png")
    return np.sqrt(((found.astype(float) - true.astype(float)) ** 2).sum(2))[valid]


def test_pooled_and_mean_of_images(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, truth = folders
    arguments = ["evaluate", "kitti", "--predictions", str(out), "--ground-truth", str(truth)]
    assert main([*arguments, "--json", str(tmp_path / "a.json")]) == 0
    printed = capsys.readouterr().out
    result = json.loads((tmp_path / "a.json").read_text())
    for metric in ("flow_occ", "flow_noc", "disp_0_occ", "disp_0_noc"):
        each = [errors(out, truth, metric, name) for name in SHARES]
        labelled = [image for image in each if len(image)]
        assert len(labelled) == 2
        everything = np.concatenate(labelled)
        row, means = result["large_errors"][metric], result["mean_of_images"][metric]
        for limit in (2, 3, 4, 5):
            assert row[f"over_{limit}"] == pytest.approx((everything > limit).mean())
            assert means[f"over_{limit}"] == pytest.approx(
                np.mean([(image > limit).mean() for image in labelled])
            )
        assert row["from_3"] == pytest.approx((everything >= 3).mean())
        assert means["images"] == 2
        assert means["epe"] == pytest.approx(np.mean([image.mean() for image in labelled]), abs=2e-6)
        assert result["pooled"][metric]["epe"] == pytest.approx(everything.mean(), abs=2e-6)
        # A third of the errors are small relative to the motion: the official rate is lower.
        assert result["pooled"][metric]["all"]["rate"] <= row["over_3"]
        percent = f"{100 * row['over_3']:.2f}"
        assert percent in printed
    assert "mean of images" in printed
    assert main([*arguments, "--json", str(tmp_path / "b.json"), "--workers", "2"]) == 0
    assert (tmp_path / "b.json").read_bytes() == (tmp_path / "a.json").read_bytes()


def test_exactly_3_px_is_from_3_but_not_over_3(tmp_path: Path) -> None:
    truth = np.full((4, 8, 1), 200, np.float32)  # 3 px are below 5 %
    found = truth.copy()
    found[0] += 3
    found[1] += 4
    for folder in ("disp_occ_0", "disp_noc_0"):
        (tmp_path / "truth" / folder).mkdir(parents=True)
        write_kitti_disparity(tmp_path / "truth" / folder / "000000_10.png", truth, np.ones((4, 8), bool))
    (tmp_path / "out" / "disp_0").mkdir(parents=True)
    write_kitti_disparity(tmp_path / "out" / "disp_0" / "000000_10.png", found, np.ones((4, 8), bool))
    words = [
        "evaluate",
        "kitti",
        "--predictions",
        str(tmp_path / "out"),
        "--ground-truth",
        str(tmp_path / "truth"),
    ]
    assert main([*words, "--json", str(tmp_path / "a.json")]) == 0
    result = json.loads((tmp_path / "a.json").read_text())
    row = result["large_errors"]["disp_0_occ"]
    assert (row["over_3"], row["from_3"]) == (0.25, 0.5)
    assert result["pooled"]["disp_0_occ"]["all"]["rate"] == 0
