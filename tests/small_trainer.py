"""A quiet Trainer of a few steps on the CPU, small models and data, for tests of the LightningModules."""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.loggers import Logger

from flowdistill.data import MotionDataModule, View
from flowdistill.training import DDFlowModule


def trainer(folder: Path, steps: int, **options: Any) -> pl.Trainer:
    defaults: dict[str, Any] = {
        "accelerator": "cpu", "max_steps": steps, "max_epochs": -1, "check_val_every_n_epoch": None,
        "val_check_interval": steps, "num_sanity_val_steps": 0, "log_every_n_steps": 1, "logger": False,
        "enable_progress_bar": False, "enable_model_summary": False, "default_root_dir": folder,
    }  # fmt: skip
    return pl.Trainer(**(defaults | options))


def flow_data(root: Path, train_split: str | None = None, **options: Any) -> MotionDataModule:
    """Rendered pairs of 64x128, two per step, without augmentation."""
    view = View(train_split=train_split or str(root / "train.txt"), val_split=str(root / "val.txt"))
    defaults: dict[str, Any] = {"flow": view, "batch_size": 2, "num_workers": 0}
    return MotionDataModule("kitti2015", root=str(root), **(defaults | options))


def small_ddflow(**options: Any) -> DDFlowModule:
    """A narrow DDFlow with fixed weights."""
    pl.seed_everything(0, verbose=False)
    defaults: dict[str, Any] = {"losses": {"abs_robust_mean_no_occlusion": 1.0}, "width": 0.125}
    return DDFlowModule(**(defaults | options))


class Recorder(Logger):
    """Values logged by each training step."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[dict[str, float]] = []

    @property
    def name(self) -> str:
        return "recorder"

    @property
    def version(self) -> int:
        return 0

    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        pass

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        if "train/loss" in metrics:
            self.steps.append({name: value for name, value in metrics.items() if "/" in name})
