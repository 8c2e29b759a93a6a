"""Checkpoints as teachers: the network's inputs, and how its outputs are transformed back."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
import yaml
from torch import Tensor, nn

from flowdistill.cli.flowdistill import main
from flowdistill.data.sample import Batch, Sample
from flowdistill.errors import UserError
from flowdistill.inference.label_teacher import NetworkTeacher, open_checkpoint
from flowdistill.labels.config import CheckpointPart
from flowdistill.losses import Schedule
from flowdistill.training import DDFlowModule, DwarfModule
from flowdistill.training.base import MotionModule
from rendered_truth import stereo_sample


class Painted(MotionModule):
    """Predicts its images' colours: flow = red and green of left_t1, disparity = blue of the right images.

    For mirrored, swapped or flipped images it therefore returns just these images, and the teacher must bring them back
    onto the right grid with the right sign.
    """

    view = "scene_flow"
    needs_labels = False

    def __init__(self) -> None:
        pl.LightningModule.__init__(self)
        self.network: Any = nn.Identity()

    def schedules(self) -> dict[str, Schedule]:
        return {}

    def term_names(self) -> list[str]:
        return []

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        return {
            "flow": batch["left_t1"][:, :2],
            "disparity_t0": batch["right_t0"][:, 2:],
            "disparity_t1": batch["right_t1"][:, 2:],
        }


def arrays(sample: Sample) -> dict[str, np.ndarray]:
    images: dict[str, Any] = dict(sample)
    return {
        key: images[key].numpy().transpose(1, 2, 0) for key in ("left_t0", "right_t0", "left_t1", "right_t1")
    }


def test_each_motion_comes_from_the_right_images_on_the_right_grid() -> None:
    sample = stereo_sample()
    seen = arrays(sample)
    found = NetworkTeacher(Painted(), flips=False, disparity=True)(sample)
    for key, expected in {
        "flow": seen["left_t1"][..., :2],
        "flow_backward": seen["left_t0"][..., :2],
        "disparity_t0": seen["right_t0"][..., 2:],
        "disparity_next": seen["right_t1"][..., 2:],
        "disparity_t1": seen["right_t1"][..., 2:],
        # Mirrored with cameras swapped, the left image is the former right one.
        "disparity_right_t0": seen["left_t0"][..., 2:],
        "disparity_right_next": seen["left_t1"][..., 2:],
    }.items():
        assert np.array_equal(found[key].values, expected), key
        assert found[key].spread is None


def test_flips_are_turned_back_and_their_spread_is_half_the_distance() -> None:
    """Upside down, Painted predicts the same x and, as it ignores geometry, the same y, whose sign is then flipped."""
    sample = stereo_sample()
    seen = arrays(sample)
    found = NetworkTeacher(Painted(), flips=True, disparity=True)(sample)
    assert np.allclose(found["disparity_t0"].values, seen["right_t0"][..., 2:])
    flow, spread = found["flow"], found["flow"].spread
    assert np.allclose(flow.values[..., 0], seen["left_t1"][..., 0])
    assert np.allclose(flow.values[..., 1], 0, atol=1e-6)
    assert spread is not None
    assert np.allclose(spread, seen["left_t1"][..., 1], atol=1e-6)


def save(module: MotionModule, path: Path) -> Path:
    trainer = pl.Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False
    )
    trainer.strategy.connect(module)
    trainer.save_checkpoint(path)
    return path


@pytest.fixture
def ddflow(tmp_path: Path) -> Path:
    pl.seed_everything(0, verbose=False)
    return save(DDFlowModule(losses={"census_no_occlusion": 1.0}, width=0.125), tmp_path / "ddflow.ckpt")


@pytest.fixture
def dwarf(tmp_path: Path) -> Path:
    pl.seed_everything(0, verbose=False)
    return save(
        DwarfModule(loss="sparse_full_resolution", alphas={2: 1.0}, width=0.125), tmp_path / "dwarf.ckpt"
    )


def test_ddflow_gives_what_lightning_predict_gives(ddflow: Path) -> None:
    sample = stereo_sample()
    found = open_checkpoint(CheckpointPart(str(ddflow), device="cpu"), True, False)(sample)
    model = DDFlowModule.load_from_checkpoint(ddflow, map_location="cpu").eval()
    batch: Any = {"left_t0": sample["left_t0"][None], "left_t1": sample["left_t1"][None], "name": ["one"]}
    with torch.inference_mode():
        expected = model.predict_step(batch, 0)
    assert set(found) == {"flow", "flow_backward"}
    for key, estimate in found.items():
        assert np.array_equal(estimate.values, expected[key][0].numpy().transpose(1, 2, 0))
    with pytest.raises(UserError, match="gives no disparity"):
        open_checkpoint(CheckpointPart(str(ddflow), device="cpu"), True, True)


def test_teachers_combine_per_motion_from_the_command(
    rendered: Path, tmp_path: Path, ddflow: Path, dwarf: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Disparity of the matcher and of DWARF, flow of DDFlow; a changed checkpoint changes the settings."""
    settings = {
        "teachers": {
            "matcher": {"opencv": {"max_disparity": 32}},
            "stereo": {"checkpoint": {"path": str(dwarf), "device": "cpu", "flips": True}},
            "network": {"checkpoint": {"path": str(ddflow), "device": "cpu"}},
        },
        "motions": {"flow": ["network"], "disparity": ["matcher", "stereo"]},
        "confidence": {"disparity": {"consistency": {"absolute": 1.0}, "spread": 1.0}},
    }
    config = tmp_path / "labels.yaml"
    config.write_text(yaml.safe_dump(settings))
    folder = f"combined_{tmp_path.name}"
    command = ["labels", "make", "--config", str(config), "--root", str(rendered), "--output", folder]
    command += ["--split", str(rendered / "val.txt")]
    assert main(command) == 0
    report = json.loads((rendered / folder / "report.json").read_text())
    assert report["motions"]["disparity_t0"]["density"] > 0.5
    assert report["motions"]["flow"]["density"] > 0.9
    pl.seed_everything(1, verbose=False)
    save(DDFlowModule(losses={"census_no_occlusion": 1.0}, width=0.125), ddflow)
    capsys.readouterr()
    assert main(command) == 2
    assert "teachers.network.checkpoint.sha256 is" in capsys.readouterr().err
