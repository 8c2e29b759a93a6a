"""`flowdistill debug batch`: the network gets the same input as in training, and every mistake is one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

from flowdistill.cli.flowdistill import main
from flowdistill.data import MotionDataModule, View
from flowdistill.inference.debug_batch import on_device, read_dump, write_pictures
from flowdistill.losses import occlusion_masks, photometric_losses
from flowdistill.training import AverageTeacher, DwarfModule, JointTeacher, NonFiniteLossError, ddflow
from small_trainer import flow_data, small_ddflow, trainer

Captured = pytest.CaptureFixture[str]


def debug(*arguments: object) -> int:
    return main(["debug", "batch", *map(str, arguments)])


class SpoilLoss(pl.Callback):
    """Put one NaN into a frame of the first batch after loading; keep the original batch."""

    def __init__(self) -> None:
        self.seen: dict[str, Any] = {}

    def on_train_batch_start(self, trainer: pl.Trainer, module: Any, batch: Any, index: int) -> None:
        self.seen = {
            name: value.clone() if isinstance(value, Tensor) else value for name, value in batch.items()
        }
        batch["left_t1"][1, 0, 5, 7] = torch.nan


def stopped(folder: Path, data: MotionDataModule, model: Any = None) -> tuple[Path, dict[str, Any]]:
    """The file of a run that stops at its first step, and the network's input batch without the NaN."""
    spoil = SpoilLoss()
    with pytest.raises(NonFiniteLossError):
        trainer(folder, 9, limit_val_batches=0, callbacks=[spoil]).fit(model or small_ddflow(), data)
    (file,) = folder.rglob("*.pt")
    return file, spoil.seen


def changed(file: Path, **places: Any) -> Path:
    """The same file with the NaN in its batch, which is not from a file, and other changes."""
    stored = torch.load(file, weights_only=True)
    stored["batch"]["left_t1"][1, 0, 5, 7] = torch.nan
    target = file.with_name("changed.pt")
    torch.save({key: value for key, value in (stored | places).items() if value is not None}, target)
    return target


@pytest.fixture(scope="module")
def dump(rendered: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stopped(tmp_path_factory.mktemp("dump"), flow_data(rendered))[0]


def test_it_says_which_sample_and_where(dump: Path, capsys: Captured) -> None:
    assert debug(changed(dump)) == 1
    said = capsys.readouterr().out.splitlines()
    second = read_dump(dump)["batch"]["name"][1]
    found = [line for line in said if " values not finite" in line]
    assert found == [f"left_t1 of {second}: 1 values not finite, the first at [0, 5, 7]"]


def test_what_the_device_changes_is_changed_again(rendered: Path, tmp_path: Path) -> None:
    """The file contains the batch before augmentation; the command's batch is bitwise the network's input."""
    data = flow_data(rendered)
    splits = {"train_split": str(rendered / "train.txt"), "val_split": str(rendered / "val.txt")}
    data.views["flow"] = View(
        **splits, colour_probability=0.7, max_blur_sigma=1.0, max_noise_std=0.1, photometric_on="device"
    )
    file, seen = stopped(tmp_path, data)
    stored = read_dump(file)["batch"]
    again: dict[str, Any] = dict(on_device(stored))
    assert set(stored) > set(again) == set(seen)  # the random draws were consumed
    for name in ("left_t0", "left_t1"):
        assert torch.equal(again[name], seen[name])
        assert not torch.equal(again[name], stored[name])


@pytest.mark.parametrize("teacher", [AverageTeacher, JointTeacher])
def test_a_teacher_s_step_is_repeated_with_its_crop(
    teacher: type[AverageTeacher | JointTeacher],
    rendered: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Captured,
) -> None:
    """A NaN outside the student's crop is found in the teacher."""
    places: list[tuple[int, int]] = []
    original = ddflow.crop_offset

    def crop_offset(*arguments: Any) -> tuple[int, int]:
        places.append(original(*arguments))
        return places[-1]

    monkeypatch.setattr(ddflow, "crop_offset", crop_offset)
    losses: dict[str, Any] = {"abs_robust_mean_no_occlusion": 1.0, "distillation": 1.0}
    model = small_ddflow(losses=losses, teacher=teacher(), student_crop=(64, 96))
    file = changed(stopped(tmp_path, flow_data(rendered), model)[0])
    stored = torch.load(file, weights_only=True)
    outside = places[0][1] - 1 if places[0][1] else 127  # a column outside the crop
    frames = stored["batch"]["left_t1"]
    frames[1, 0, 5, 7] = 0.5
    frames[1, 0, 5, outside] = torch.nan
    torch.save(stored, file)
    assert debug(file) == 1
    assert places[1:] == places[:1]
    said = capsys.readouterr().out
    assert "first module whose output is not finite: teacher.network.extractor." in said
    assert "weights whose gradient is not finite: " in said


def checkpoint(path: Path, model: pl.LightningModule, **changes: Any) -> Path:
    content = {"state_dict": model.state_dict(), "hyper_parameters": dict(model.hparams), **changes}
    torch.save({key: value for key, value in content.items() if value is not None}, path)
    return path


def test_another_checkpoint_s_weights_are_taken(dump: Path, tmp_path: Path, capsys: Captured) -> None:
    """The batch in the file is finite; its loss is that of the given network."""
    other = small_ddflow(initialization="linear")
    batch = read_dump(dump)["batch"]
    with torch.no_grad():
        forward, backward = (flow.full for flow in other.network(batch["left_t0"], batch["left_t1"]))
        term = "abs_robust_mean_no_occlusion"
        masks = occlusion_masks(forward, backward)
        found = photometric_losses(
            batch["left_t0"], batch["left_t1"], forward, backward, *masks, terms=[term]
        )
    path = checkpoint(tmp_path / "other.ckpt", other)
    assert debug(dump, "--checkpoint", path) == 0
    said = capsys.readouterr().out
    assert f"weights of {path}\n" in said
    loss = next(line for line in said.splitlines() if line.startswith("  loss "))
    assert float(loss.split()[1]) == pytest.approx(float(found[term]), rel=1e-5)
    assert debug(dump) == 0
    said = capsys.readouterr().out
    assert "weights as at step 0\n" in said
    assert loss not in said


def test_mistakes_are_one_line(dump: Path, tmp_path: Path, capsys: Captured) -> None:
    text = tmp_path / "text.pt"
    text.write_text("no tensors")
    half = changed(dump, batch=None)
    dwarf = checkpoint(
        tmp_path / "dwarf.ckpt", DwarfModule("sparse_full_resolution", {2: 0.001}, width=0.125)
    )
    bare = checkpoint(tmp_path / "bare.ckpt", small_ddflow(), hyper_parameters=None)
    cases: dict[str, list[object]] = {
        "nothing.pt does not exist or is not a file; give a non_finite_step_*.pt": [tmp_path / "nothing.pt"],
        f"{tmp_path} does not exist or is not a file; give a non_finite_step_*.pt": [tmp_path],
        "text.pt is not a batch of a training run; give a non_finite_step_*.pt": [text],
        "dwarf.ckpt is not a batch of a training run, but perhaps a checkpoint; give": [dwarf],
        "changed.pt is incomplete: it lacks batch": [half],
        "dwarf.ckpt is of a DwarfModule, but the batch is of a DDFlowModule": [dump, "--checkpoint", dwarf],
        "bare.ckpt has weights without settings": [dump, "--checkpoint", bare],
        "text.pt (File exists)": [dump, "--output", text],
    }
    for words, arguments in cases.items():
        assert debug(*arguments) == 2
        said = capsys.readouterr().err
        assert said.startswith("error: ")
        assert words in said
        assert said.count("\n") == 1


def test_labels_that_are_not_finite_are_magenta_where_they_count(tmp_path: Path) -> None:
    flow = torch.ones(1, 2, 16, 24)
    flow[0, 1, 3, 5] = torch.nan
    flow[0, 0, 8, 9] = torch.inf
    valid = torch.ones(1, 1, 16, 24, dtype=torch.bool)
    valid[0, 0, 8, 9] = valid[0, 0, 0, 0] = False
    grey = torch.full((1, 3, 16, 24), 0.5)
    batch: Any = {
        "left_t0": grey, "left_t1": grey, "flow": flow, "valid_flow": valid, "teacher_flow": flow,
        "name": ["scene/0"],
    }  # fmt: skip
    (file,) = write_pictures(batch, tmp_path / "pictures")
    assert file.name == "0_scene_0.png"
    picture = cv2.imread(str(file))[..., ::-1]
    magenta = np.argwhere((picture == (255, 0, 255)).all(axis=-1))
    assert len(magenta) == 3  # one of the labels; two of the teacher's, which have no mask
