"""Labels filtered by a calibrated probability, through `flowdistill labels make`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from torch import nn

from flowdistill.cli.flowdistill import main
from flowdistill.data.sample import Sample
from flowdistill.errors import UserError
from flowdistill.formats import read_kitti_disparity, read_kitti_flow
from flowdistill.inference.calibrated_teacher import CalibratedTeacher
from flowdistill.inference.calibration import FEATURES, Calibration
from flowdistill.inference.load import load_model
from flowdistill.inference.weights_hash import weights_hash
from flowdistill.labels.config import CheckpointPart
from flowdistill.networks import Dwarf
from saved_network import saved


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return saved(Dwarf, tmp_path / "dwarf.ckpt")


def calibration(checkpoint: Path, spread_weight: float, constant: float) -> Calibration:
    """A probability that depends on the logarithm of the spread, the fifth feature, only."""
    weights = [constant, 0.0, 0.0, 0.0, spread_weight] + [0.0] * (FEATURES - 5)
    network: nn.Module = load_model(checkpoint, "--checkpoint", "cpu").network
    each: dict[int, list[float]] = {1: weights, 3: weights}
    return Calibration(dict.fromkeys(("flow", "disparity_t0", "disparity_t1"), each), weights_hash(network))


def make(folder: Path, rendered: Path, checkpoint: Path, keep: float, **more: Any) -> int:
    config = {
        "dataset": "kitti2015",
        "teachers": {"network": {"checkpoint": {"path": str(checkpoint), "device": "cpu", **more}}},
        "motions": {"flow": ["network"], "disparity": ["network"]},
        "confidence": {name: {"calibrated": True, "keep": keep} for name in ("flow", "disparity")},
    }
    (folder / "labels.yaml").write_text(yaml.safe_dump(config))
    arguments = ["--config", str(folder / "labels.yaml"), "--root", str(rendered)]
    return main(
        ["labels", "make", *arguments, "--split", str(rendered / "val.txt"), "--output", "calibrated"]
    )


def test_kept_are_exactly_the_pixels_that_are_sure_enough(
    tmp_path: Path, rendered: Path, checkpoint: Path
) -> None:
    sure = calibration(checkpoint, spread_weight=-1.5, constant=-2.0)
    sure.save(tmp_path / "c.json")
    assert make(tmp_path, rendered, checkpoint, keep=0.8, calibration=str(tmp_path / "c.json")) == 0
    from flowdistill.data import open_dataset

    sample: Sample = open_dataset(
        "kitti2015", str(rendered), str(rendered / "val.txt"), "scene_flow", labels=False
    )[0]
    teacher = CalibratedTeacher(load_model(checkpoint, "--checkpoint", "cpu"), sure, disparity=True)
    found = teacher(sample)
    out = rendered / "calibrated" / "left"
    flow, valid = read_kitti_flow(out / "flow" / "000002_00.png")
    assert found["flow"].probability is not None
    expected = found["flow"].probability >= 0.8
    assert 0.02 < expected.mean() < 0.98
    np.testing.assert_array_equal(valid, expected)
    np.testing.assert_allclose(flow[valid], found["flow"].values[valid], atol=1 / 64)
    disparity = found["disparity_t0"]
    assert disparity.probability is not None
    _, kept = read_kitti_disparity(next(out.glob("disp*0/000002_00.png")))
    np.testing.assert_array_equal(kept, disparity.probability >= 0.8)


def test_time_is_reversed_for_the_second_pair(rendered: Path, checkpoint: Path) -> None:
    from flowdistill.data import open_dataset

    sample: Any = open_dataset(
        "kitti2015", str(rendered), str(rendered / "val.txt"), "scene_flow", labels=False
    )[0]
    teacher = CalibratedTeacher(
        load_model(checkpoint, "--checkpoint", "cpu"), calibration(checkpoint, -1.0, 0.0), disparity=True
    )
    found = teacher(sample)
    names = {"left_t0": "left_t1", "right_t0": "right_t1", "left_t1": "left_t0", "right_t1": "right_t0"}
    back = teacher({**sample, **{new: sample[old] for new, old in names.items()}})
    for one, other in (
        ("flow", "flow_backward"),
        ("flow_backward", "flow"),
        ("disparity_next", "disparity_t0"),
    ):
        np.testing.assert_array_equal(found[one].values, back[other].values)
        np.testing.assert_array_equal(found[one].probability, back[other].probability)


def test_mistakes_are_explained(
    tmp_path: Path, rendered: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert make(tmp_path, rendered, checkpoint, keep=0.5) == 2
    assert "none of its teachers (network) has a calibration" in capsys.readouterr().err
    assert make(tmp_path, rendered, checkpoint, keep=0.5, calibration="gone.json") == 2
    assert "gone.json" in capsys.readouterr().err
    with pytest.raises(UserError, match="flips and calibration exclude"):
        CheckpointPart(path="a.ckpt", flips=True, calibration="b.json")
