"""Data with one sample that makes the loss NaN, and a run on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from flowdistill.data import MotionDataModule
from flowdistill.data.sampler import InfiniteBatches, sample_index
from flowdistill.training import Checkpoints
from small_trainer import flow_data, small_ddflow, trainer

BAD = ("000001_01",)  # spoiled wherever it is read


class Spoiled(MotionDataModule):
    """One sample's second frame has a NaN, as a user's own reader may give for a broken file."""

    def train_dataloader(self) -> Any:
        loader = super().train_dataloader()
        batches = loader.dataset
        assert isinstance(batches, InfiniteBatches)
        read = batches.samples

        class Read:
            def __len__(self) -> int:
                return len(read)

            def __getitem__(self, index: int) -> Any:
                sample = read[index]
                if sample["name"] in BAD:
                    sample["left_t1"][0, 5, 7] = torch.nan
                return sample

        batches.samples = Read()
        return loader


def spoiled(root: Path, **options: Any) -> Spoiled:
    good = flow_data(root)
    return Spoiled(
        "kitti2015",
        root=str(root),
        flow=good.views["flow"],
        **({"batch_size": 1, "num_workers": 0} | options),
    )


def bad_steps(steps: int, batch_size: int = 1) -> list[int]:
    """Steps that use the spoiled sample, the last of four."""
    taken = [{sample_index(0, step * batch_size + i, 4) for i in range(batch_size)} for step in range(steps)]
    return [step for step, indices in enumerate(taken) if 3 in indices]


def fit(
    folder: Path, data: pl.LightningDataModule, steps: int, resume: Path | None = None, **options: Any
) -> Any:
    model = small_ddflow(learning_rate=1e-3, **options)
    run = trainer(
        folder, steps, callbacks=[Checkpoints(2)], limit_val_batches=0, log_every_n_steps=2,
        logger=pl.loggers.CSVLogger(folder, "run"),
    )  # fmt: skip
    run.fit(model, data, ckpt_path=resume)
    return model
