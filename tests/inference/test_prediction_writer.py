"""Written files match the predictions, to 16 bits, with error maps against the ground truth."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch

from flowdistill.data import KittiDataset, read_split
from flowdistill.data.assembly import add_content
from flowdistill.data.proxies import proxy_files
from flowdistill.data.splits import SplitEntry
from flowdistill.errors import UserError
from flowdistill.formats import read_image, read_kitti_disparity, read_kitti_flow
from flowdistill.inference.writer import write_labels, write_prediction


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


@pytest.mark.parametrize(("name", "camera"), [("000003_10", "left"), ("000003_10_right", "right")])
def test_labels_are_the_prediction_in_the_place_where_a_student_looks(
    name: str, camera: Literal["left", "right"], tmp_path: Path
) -> None:
    generator = torch.Generator().manual_seed(0)
    prediction = {
        "flow": 90 * torch.randn(2, 2, 40, 50, generator=generator),
        "flow_backward": 90 * torch.randn(2, 2, 40, 50, generator=generator),
        "occluded": torch.rand(2, 1, 40, 50, generator=generator) < 0.3,
        "occluded_backward": torch.rand(2, 1, 40, 50, generator=generator) < 0.6,
    }
    prediction["flow"][1, 0, 3, 4] = 600.0  # does not fit into 16 bits
    write_labels(tmp_path / "proxy", name, prediction, 1)
    files = sorted(str(p.relative_to(tmp_path / "proxy")) for p in tmp_path.rglob("*.png"))
    folders = ("flow", "flow_backward", "occlusion", "occlusion_backward")
    assert files == [f"{camera}/{folder}/000003_10.png" for folder in folders]
    # The data package's own label reader, and its rule for flow that is invalid in the file.
    sample: dict[str, Any] = {}
    for file in proxy_files(str(tmp_path), SplitEntry("000003_10", camera, "proxy"), "flow"):
        content = file.kind.read(file.path)
        add_content(sample, file, content, camera)
    for key in ("flow", "flow_backward"):
        difference = (sample[f"teacher_{key}"] - prediction[key][1]).abs()
        difference[:, 3, 4] = 0.0
        assert 0 < difference.max() <= 0.5 / 64 + 1e-5
    expected = prediction["occluded"][1].clone()
    expected[0, 3, 4] = True
    assert torch.equal(sample["teacher_occluded"], expected)
    assert torch.equal(sample["teacher_occluded_backward"], prediction["occluded_backward"][1])


def test_labels_of_a_model_without_backward_flow_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"predicts no flow_backward, occluded, occluded_backward; use .*DDFlow"
    ):
        write_labels(tmp_path, "a", {"flow": torch.zeros(1, 2, 4, 4)}, 0)
    assert not list(tmp_path.iterdir())
