"""Dump a training batch with everything its step needs, for `flowdistill debug batch`."""

from __future__ import annotations

import os
from pathlib import Path

import pytorch_lightning as pl
import torch

from flowdistill.data.sample import Batch
from flowdistill.data.sampler import InfiniteBatches
from flowdistill.training.guards import NonFinite
from flowdistill.training.recent_steps import BatchOrigin

KIND = "flowdistill batch"
#: Keys of such a file, besides its kind.
KEYS = (
    "batch", "step", "rank", "seed", "values", "precision", "weights_of_step", "state_dict", "hyper_parameters",
)  # fmt: skip


def dump_batch(trainer: pl.Trainer, found: NonFinite, folder: Path) -> str:
    """Write this process's batch of a step and the current weights; returns a sentence with the file's path.

    The batch is loaded again: it is a pure function of the data seed and the batch number. Failures here do not raise,
    since another error is already being reported.
    """
    several = trainer.accumulate_grad_batches > 1
    which = f"_batch{found.origin.number:06d}" if several else ""  # one file per batch of a step
    file = folder / f"non_finite_step_{found.step:06d}_rank{found.origin.rank}{which}.pt"
    try:
        batch = load_again(trainer, found.origin)
        if batch is None:
            return " Its batch could not be loaded again: the data module is not flowdistill's."
        model = trainer.lightning_module
        content = {
            "kind": KIND,
            "batch": dict(batch),
            "step": found.step,
            "rank": found.origin.rank,
            "seed": found.origin.seed,
            "values": found.own,
            "precision": str(trainer.precision),
            "weights_of_step": trainer.global_step,
            "state_dict": {name: value.detach().cpu() for name, value in model.state_dict().items()},
            "hyper_parameters": dict(model.hparams),
        }
        folder.mkdir(parents=True, exist_ok=True)
        temporary = file.with_name(f".{file.name}.tmp")
        try:
            torch.save(content, temporary)
            os.replace(temporary, file)
        finally:
            temporary.unlink(missing_ok=True)
    except Exception as error:  # noqa: BLE001  a user's data set or transform may raise anything
        why = getattr(error, "strerror", None) or str(error).strip() or type(error).__name__
        return f" Its batch could not be written to {file}: {why.splitlines()[0]}."
    return f" Its batch is in {file}: flowdistill debug batch {file}"


def load_again(trainer: pl.Trainer, origin: BatchOrigin) -> Batch | None:
    """Load a batch as its process did, before on-device changes; None for other libraries' loaders."""
    batches = getattr(trainer.train_dataloader, "dataset", None)
    repeats = getattr(trainer, "overfit_batches", 0) > 0  # batches repeat: the number does not identify one
    return batches.batch(origin.number) if isinstance(batches, InfiniteBatches) and not repeats else None
