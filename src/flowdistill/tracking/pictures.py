"""Pictures of a few fixed samples during training, in the run's loggers or as files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger, TensorBoardLogger, WandbLogger

from flowdistill.data.notes import note
from flowdistill.data.sample import collate
from flowdistill.disk import refusal
from flowdistill.errors import UserError
from flowdistill.formats import write_image
from flowdistill.inference.predict import to_array
from flowdistill.training import run_folder
from flowdistill.visual import contact_sheet
from flowdistill.visual.sample_pictures import FRAMES, MASKS, MOTIONS, Picture, sample_pictures

_GROUP = "pictures"


class Pictures(pl.Callback):
    """Periodically predicts some samples of the validation split and shows them beside their ground truth.

    W&B and TensorBoard get each picture as `pictures/flow_error` and so on; otherwise one sheet per sample is written
    to pictures/step_000005000/ in the run's folder. Runs on rank 0, and does not affect training.

    Args:
        every_n_steps: interval in optimiser steps; null disables pictures.
        samples: how many, spread evenly over the split; the same ones each time.
    """

    def __init__(self, every_n_steps: int | None = None, samples: int = 4) -> None:
        super().__init__()
        for name, value in (("every_n_steps", every_n_steps), ("samples", samples)):
            if value is not None and value < 1:
                raise UserError(f"--pictures.{name} must be 1 or more, not {value}")
        self.every_n_steps, self.samples = every_n_steps, samples
        self._last = -1  # step

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._last = trainer.global_step
        if self.every_n_steps is not None and trainer.is_global_zero and _split(trainer) is None:
            note(
                "no pictures (--pictures.every_n_steps): this run has no validation split to take samples from"
            )

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        step = trainer.global_step
        due = self.every_n_steps is not None and step % self.every_n_steps == 0 and step != self._last
        if not due or not trainer.loggers:
            return
        self._last = step
        split = _split(trainer)
        if split is None or not trainer.is_global_zero:
            return
        chosen = np.linspace(0, len(split) - 1, min(self.samples, len(split))).round().astype(int)
        samples = [split[int(index)] for index in chosen]
        drawn = {str(sample["name"]): _drawn(trainer, pl_module, sample) for sample in samples}
        takers = [logger for logger in trainer.loggers if isinstance(logger, WandbLogger | TensorBoardLogger)]
        for logger in takers:
            _show(logger, drawn, step - 1)  # the step that Lightning logs metrics with
        if not takers:
            _write(run_folder(trainer), drawn, step)


def _split(trainer: pl.Trainer) -> Any:
    """Return the validation split, or None."""
    loaders = trainer.val_dataloaders
    dataset = getattr(loaders, "dataset", None)
    return dataset if dataset is not None and len(dataset) > 0 else None


def _drawn(trainer: pl.Trainer, pl_module: pl.LightningModule, sample: Any) -> dict[str, Picture]:
    batch = trainer.strategy.batch_to_device(collate([sample]))
    training = pl_module.training
    pl_module.eval()
    try:
        with torch.no_grad(), trainer.precision_plugin.predict_step_context():
            prediction = pl_module.predict_step(batch, 0)
    finally:
        pl_module.train(training)
    return sample_pictures(_arrays(prediction), _arrays(batch))


def _arrays(values: Mapping[str, Any]) -> dict[str, Any]:
    """Convert the maps (1, C, H, W) to (H, W, C)."""
    return {
        name: to_array(value[0]) for name, value in values.items()
        if isinstance(value, torch.Tensor) and value.ndim == 4
    }  # fmt: skip


def _show(logger: Logger, drawn: Mapping[str, Mapping[str, Picture]], step: int) -> None:
    if isinstance(logger, WandbLogger):
        import wandb

        lists: dict[str, Any] = {}
        for sample, pictures in drawn.items():
            for name, picture in pictures.items():
                lists.setdefault(f"{_GROUP}/{name}", []).append(wandb.Image(picture, caption=sample))
        logger.log_metrics(lists, step)
    elif isinstance(logger, TensorBoardLogger):
        for sample, pictures in drawn.items():
            for name, picture in pictures.items():
                logger.experiment.add_image(f"{_GROUP}/{name}/{sample}", picture, step, dataformats="HWC")


def _write(folder: Path, drawn: Mapping[str, Mapping[str, Picture]], step: int) -> None:
    target = folder / _GROUP / f"step_{step:09d}"
    try:
        for sample, pictures in drawn.items():
            # A row of frames, and one row per motion and mask.
            groups = [[name for name in pictures if name in FRAMES]]
            groups += [
                [name for name in pictures if name.startswith(f"{kind}_")] for kind in (*MOTIONS, *MASKS)
            ]
            rows = [group for group in groups if group]
            sheet = contact_sheet([[pictures[name] for name in row] for row in rows], rows)
            file = target / f"{sample}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            write_image(file, sheet)
    except OSError as error:
        reason = refusal(error)
        if reason is None:
            raise
        note(f"{target}: {reason}. The run continues without these pictures.")
