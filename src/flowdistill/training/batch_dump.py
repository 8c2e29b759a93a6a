"""A training batch in a file, with all that its step needs: for `flowdistill debug batch`."""

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
#: What such a file holds, beside its kind.
KEYS = (
    "batch", "step", "rank", "seed", "values", "precision", "weights_of_step", "state_dict", "hyper_parameters",
)  # fmt: skip


def dump_batch(trainer: pl.Trainer, found: NonFinite, folder: Path) -> str:
    """Write this process's batch of a step, and the weights as they are now; returns a sentence that says where.

    The batch is loaded once more: it is a pure function of the data's seed and its number. Nothing that goes wrong here
    is an error, since there is one to report already.
    """
    several = trainer.accumulate_grad_batches > 1
    which = f"_batch{found.origin.number:06d}" if several else ""  # a step's batches, a file each
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
    except Exception as error:  # noqa: BLE001  a data set or transform of somebody's may raise anything
        why = getattr(error, "strerror", None) or str(error).strip() or type(error).__name__
        return f" Its batch could not be written to {file}: {why.splitlines()[0]}."
    return f" Its batch is in {file}: flowdistill debug batch {file}"


def load_again(trainer: pl.Trainer, origin: BatchOrigin) -> Batch | None:
    """The batch as its process loaded it, before changes that are left to the device; None for foreign loaders."""
    batches = getattr(trainer.train_dataloader, "dataset", None)
    repeats = getattr(trainer, "overfit_batches", 0) > 0  # the same few again: its number says nothing then
    return batches.batch(origin.number) if isinstance(batches, InfiniteBatches) and not repeats else None
