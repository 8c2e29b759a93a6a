"""What is written is what was predicted, within 16 bits, beside the truth's error map."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from flowdistill.data import KittiDataset, read_split
from flowdistill.formats import read_image, read_kitti_disparity, read_kitti_flow
from flowdistill.inference.writer import write_prediction


def test_files_hold_the_prediction(rendered: Path, tmp_path: Path) -> None:
    sample: Any = KittiDataset(str(rendered), read_split(rendered / "val.txt"), "scene_flow", labels=True)[0]
    batch = {k: (v[None] if isinstance(v, torch.Tensor) else [v]) for k, v in sample.items()}
    wrong = batch["flow"].clone()
    wrong[..., 20:40, 30:60] += 8.0
    prediction = {
        "flow": wrong,
        "disparity_t0": batch["disparity_t0"] * 1.5,
        "disparity_t1": batch["disparity_t1"],
        "occluded": batch["flow"][:, :1] > 1,
    }
    write_prediction(tmp_path, "a", prediction, batch, 0)
    flow, valid = read_kitti_flow(tmp_path / "flow" / "a.png")
    assert valid.all()
    np.testing.assert_allclose(flow, wrong[0].numpy().transpose(1, 2, 0), atol=0.5 / 64 + 1e-6)
    disparity, _ = read_kitti_disparity(tmp_path / "disp_0" / "a.png")
    np.testing.assert_allclose(disparity[..., 0], 1.5 * batch["disparity_t0"][0, 0], atol=0.5 / 256 + 1e-6)
    occluded = read_image(tmp_path / "occluded" / "a.png")[..., 0]
    np.testing.assert_array_equal(occluded == 255, (batch["flow"][0, 0] > 1).numpy())
    # The error map differs between the shifted block and the rest.
    error = read_image(tmp_path / "flow_error" / "a.png").astype(int)
    inside, outside = error[21:39, 31:59].reshape(-1, 3), error[45:60, 70:120].reshape(-1, 3)
    assert (inside[:, 0] > inside[:, 2]).mean() > 0.95  # an error over 3 px is red
    assert (outside[:, 2] > outside[:, 0]).mean() > 0.95  # no error is blue
    assert (tmp_path / "disp_1_colour" / "a.png").is_file()


def test_unknown_predictions_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="depth"):
        write_prediction(tmp_path, "a", {"depth": torch.zeros(1, 1, 4, 4)}, {"name": ["a"]}, 0)
