"""A model that learns nothing and records its inputs, and a quiet trainer for it."""

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

from flowdistill.data import MotionDataModule
from flowdistill.data.sample import Batch
from flowdistill.errors import UserError


class Recorder(pl.LightningModule):
    """Learns nothing, records its inputs."""

    def __init__(self, view: str = "flow", needs_labels: bool = False, log: Path | None = None) -> None:
        super().__init__()
        self.view = view
        self.needs_labels = needs_labels
        self.log_folder = log
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.register_buffer("counter", torch.zeros(()))
        self.seen: dict[str, list[Batch]] = {"train": [], "val": [], "predict": []}

    def training_step(self, batch: Batch, index: int) -> Tensor:
        self.seen["train"].append(batch)
        return self.weight * batch["left_t0"].mean()

    def validation_step(self, batch: Batch, index: int) -> None:
        self.seen["val"].append(batch)
        if self.log_folder is not None:
            with (self.log_folder / f"rank{self.global_rank}.txt").open("a") as file:
                file.write("".join(f"{name}\n" for name in batch["name"]))

    def predict_step(self, batch: Batch, index: int) -> int:
        self.seen["predict"].append(batch)
        return 0

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def names(self, stage: str) -> list[list[str]]:
        return [batch["name"] for batch in self.seen[stage]]


def trainer(**options: Any) -> pl.Trainer:
    """A trainer on the CPU, without files and progress bars."""
    quiet = {
        "accelerator": "cpu",
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "max_epochs": -1,
        "check_val_every_n_epoch": None,
        "num_sanity_val_steps": 0,
    }
    return pl.Trainer(**{**quiet, **options})


def error_of_fit(data: dict[str, Any], model: pl.LightningModule | None = None) -> str:
    """The message of the UserError raised by a training step with these arguments of the datamodule."""
    with pytest.raises(UserError) as caught:
        trainer(max_steps=1).fit(model or Recorder(), datamodule=MotionDataModule(**data))
    return str(caught.value)
