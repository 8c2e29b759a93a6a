"""The integer counts of KITTI's official tool (tests/golden/kitti_devkit, variant `official_float_ratio`)."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import slow_metrics as slow
import torch
from torch import Tensor

from flowdistill.formats import read_kitti_disparity, read_kitti_flow
from flowdistill.metrics import OutlierRate, SceneFlowOutlierRate

DEVKIT = Path(__file__).parents[1] / "golden" / "kitti_devkit"
SCENES = ["000000_10", "000001_10", "000002_10"]
KINDS = ["disp_0", "disp_1", "flow"]


@cache
def official() -> dict[str, dict]:
    return json.loads((DEVKIT / "expected.json").read_text())["variants"]["official_float_ratio"]


def load(folder: str, scene: str) -> tuple[np.ndarray, np.ndarray]:
    read = read_kitti_flow if "flow" in folder else read_kitti_disparity
    return read(DEVKIT / folder / f"{scene}.png")


def truth_folder(kind: str, occlusion: str) -> str:
    return f"gt/flow_{occlusion}" if kind == "flow" else f"gt/{kind.replace('_', f'_{occlusion}_')}"


def batch(values: np.ndarray) -> Tensor:
    """(H, W, C) -> (1, C, H, W), (H, W) -> (1, 1, H, W)."""
    return torch.from_numpy(np.atleast_3d(values)).permute(2, 0, 1)[None]


def truths(kind: str, scene: str) -> tuple[Tensor, Tensor, Tensor]:
    """truth, valid, valid_noc."""
    values, valid = load(truth_folder(kind, "occ"), scene)
    noc_values, noc = load(truth_folder(kind, "noc"), scene)
    assert (noc_values == values)[noc].all()
    return batch(values), batch(valid), batch(noc)


def counts(metric: OutlierRate | SceneFlowOutlierRate) -> list[tuple[int, int]]:
    """(outliers, pixels) of `all` and `noc`."""
    return list(zip(metric.total.tolist(), metric.pixels.tolist(), strict=True))


def stated(blocks: dict[str, dict], kind: str, suffix: str) -> list[tuple[int, int]]:
    return [
        (
            blocks[f"{kind}_{occlusion}"]["all"][f"errors{suffix}"],
            blocks[f"{kind}_{occlusion}"]["all"][f"pixels{suffix}"],
        )
        for occlusion in ("occ", "noc")
    ]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scene", SCENES)
def test_pixels_with_an_estimate(kind: str, scene: str) -> None:
    """The tool's 'submitted' counts only use pixels with a valid prediction: no filling is involved."""
    prediction, estimated = (batch(array) for array in load(f"pred/{kind}", scene))
    truth, valid, noc = truths(kind, scene)
    metric = OutlierRate()
    metric.update(prediction, truth, valid & estimated, noc & estimated)
    assert counts(metric) == stated(official()["per_image"][scene], kind, "_submitted")


@pytest.mark.parametrize("kind", KINDS)
def test_pixels_with_an_estimate_pooled(kind: str) -> None:
    metric = OutlierRate()
    for scene in SCENES:
        prediction, estimated = (batch(array) for array in load(f"pred/{kind}", scene))
        truth, valid, noc = truths(kind, scene)
        metric.update(prediction, truth, valid & estimated, noc & estimated)
    assert counts(metric) == stated(official()["pooled"], kind, "_submitted")
    share = official()["pooled"][f"{kind}_occ"]["all"]["rate_submitted"]
    assert metric.compute()["all"].item() == pytest.approx(100 * share, rel=1e-15)


@pytest.mark.parametrize("kind", ["disp_0", "flow"])
def test_dense_predictions(kind: str) -> None:
    """Nothing to fill: the rates of KITTI's tables, with hundreds of exact ties among the pixels."""
    scene = "000001_10"
    prediction, estimated = (batch(array) for array in load(f"pred/{kind}", scene))
    assert estimated.all()
    metric = OutlierRate()
    metric.update(prediction, *truths(kind, scene))
    assert counts(metric) == stated(official()["per_image"][scene], kind, "")


@pytest.mark.parametrize("scene", ["000000_10", "000001_10"])
def test_scene_flow_and_its_parts_after_filling(scene: str) -> None:
    """These scenes have an estimate in every row, so that the slow filling within rows is sufficient."""
    keys = dict(zip(KINDS, ("disparity_t0", "disparity_t1", "flow"), strict=True))
    predictions, truth, valid, noc = {}, {}, {}, {}
    for kind, key in keys.items():
        predictions[key] = batch(slow.fill_rows(*load(f"pred/{kind}", scene)))
        truth[key], valid[key], noc[key] = truths(kind, scene)
        part = OutlierRate()
        part.update(predictions[key], truth[key], valid[key], noc[key])
        assert counts(part) == stated(official()["per_image"][scene], kind, "")
    metric = SceneFlowOutlierRate()
    metric.update(predictions, truth, valid, noc)
    assert counts(metric) == stated(official()["per_image"][scene], "scene_flow", "")
