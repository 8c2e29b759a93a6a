"""Training in mixed precision through a Trainer: close to float32 steps, with labels and weights in float32."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
import yaml

from flowdistill.data import MotionDataModule, View
from flowdistill.errors import UserError
from flowdistill.training import DwarfModule
from small_trainer import Recorder, flow_data, small_ddflow, trainer

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "configs/trainer/precision").glob("*.yaml"))


def dwarf() -> DwarfModule:
    pl.seed_everything(0, verbose=False)
    return DwarfModule("dense_multilevel", {2: 0.005, 4: 0.02, 6: 0.32}, width=0.125)


def scenes(root: Path) -> MotionDataModule:
    view = View(train_split=str(root / "train.txt"), val_split=str(root / "val.txt"))
    return MotionDataModule("kitti2015", root=str(root), scene_flow=view, batch_size=2, num_workers=0)


def losses(model: Any, data: Any, folder: Path, precision: str) -> list[float]:
    seen = Recorder()
    trainer(folder, 3, precision=precision, logger=seen).fit(model, data)
    assert all(p.dtype == torch.float32 for p in model.network.parameters())
    return [step["train/loss"] for step in seen.steps]


@pytest.mark.parametrize("kind", ["ddflow", "dwarf"])
def test_bfloat16_takes_nearly_float32s_steps(kind: str, rendered: Path, tmp_path: Path) -> None:
    found = [
        losses(
            small_ddflow() if kind == "ddflow" else dwarf(),
            flow_data(rendered) if kind == "ddflow" else scenes(rendered),
            tmp_path / precision,
            precision,
        )
        for precision in ("32-true", "bf16-mixed")
    ]
    assert found[0] != found[1]  # convolutions do run in half precision
    assert found[1] == pytest.approx(found[0], rel=1e-2)


@pytest.mark.parametrize("precision", ["bf16-true", "16-true"])
def test_half_weights_and_labels_are_refused(precision: str, rendered: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"{precision} would round labels.*bf16-mixed"):
        trainer(tmp_path, 1, precision=precision).fit(small_ddflow(), flow_data(rendered))


def test_the_precision_configs_set_the_precision_and_nothing_else() -> None:
    """They come after another trainer config, whose values they must not reset."""
    found = {path.stem: yaml.safe_load(path.read_text()) for path in CONFIGS}
    assert found == {
        "bf16": {"trainer": {"precision": "bf16-mixed"}},
        "fp16": {"trainer": {"precision": "16-mixed"}},
    }
