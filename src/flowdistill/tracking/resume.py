"""Ensure that a resumed run uses the same data: their settings are saved in the checkpoint and compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, Literal

import pytorch_lightning as pl

from flowdistill import renamed
from flowdistill.data.notes import note
from flowdistill.errors import UserError
from flowdistill.tracking.splits import open_splits

DATA = "data"  # checkpoint key


class Resume(pl.Callback):
    """Refuses to resume from a checkpoint with other training data or other model settings than its run had.

    Compares the data seed, the batch size of an optimizer step, the samples of the training split after options and
    exclusions, with their weights, and every augmentation setting. The location of the data and the numbers of
    processes and workers may change: they do not affect what is learned.

    Args:
        changed: accept reports the differences and resumes anyway.
    """

    def __init__(self, changed: Literal["refuse", "accept"] = "refuse") -> None:
        super().__init__()
        self.accepts_changes = changed == "accept"
        self._own: dict[str, Any] = {}
        self._stored: Mapping[str, Any] = {}

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint[DATA] = self._own

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self._stored = renamed.switches(checkpoint.get(DATA) or {})  # none in checkpoints of version 0.1

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._own = data_of(trainer)
        stored, own = self._stored, self._own
        if not stored or not own:  # one side is unknown
            return
        names = [name for name in {**own, **stored} if stored.get(name) != own.get(name)]
        listed = ", ".join(f"{name} (was {stored.get(name)}, is {own.get(name)})" for name in names)
        if not names:
            return
        if not self.accepts_changes:
            raise UserError(
                f"--ckpt_path resumes a run on its original data, but these differ: {listed}. Restore them; or start a "
                "new stage from its weights (--model.init_args.init_from); or resume anyway with "
                "--resume.changed accept."
            )
        note(f"resuming with changed data: {listed}")


def data_of(trainer: pl.Trainer) -> dict[str, Any]:
    """Return the settings that determine the training samples, as plain values by name; needs the trainer's loaders.

    Empty for other data modules than flowdistill's.
    """
    from flowdistill.data.augmentation import Augmentation

    opened = open_splits(trainer).get("train")
    module = getattr(trainer, "datamodule", None)
    if opened is None or module is None:
        return {}
    view = module.views[trainer.lightning_module.view]
    switches = asdict(view.with_preset())
    found: dict[str, Any] = {"seed": module.seed, "batch_size": module.batch_size}
    for number, source in enumerate(opened["sources"]):
        name = "split" if len(opened["sources"]) == 1 else f"source {number}"
        found |= {
            name: f"{source['dataset']}, {source['entries']} samples, {source['sha256'][:12]}",
            f"{name}'s options": source["options"],
            f"{name}'s weight": source["weight"],
            f"{name}'s exclusions": None if source["exclude"] is None else source["exclude"]["sha256"][:12],
        }
    for field in fields(Augmentation):
        if field.name != "preset" and field.name not in renamed.AUGMENTATION:
            value = switches[field.name]
            found[field.name] = list(value) if isinstance(value, tuple) else value
    return found
