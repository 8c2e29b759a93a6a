"""Put a module at a given training step, to run that step by hand: nothing is logged, saved or updated."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytorch_lightning as pl

from flowdistill.training.base import MotionModule


def at_step(
    model: MotionModule, step: int, precision: Any = "32-true", seed: int = 0, accelerator: str = "cpu"
) -> pl.Trainer:
    """Attach a trainer positioned before an optimizer step, so that `model.training_step` works as in a run.

    Args:
        model: the module.
        step: optimizer step, from 0, for the schedules.
        precision: of the trainer.
        seed: data seed, for the student's crop.
        accelerator: of the trainer, one device.

    Examples:
        >>> from flowdistill.inference.one_step import at_step
        >>> from flowdistill.training import DDFlowModule
        >>> model = DDFlowModule(losses={"census_no_occlusion": 1.0}, width=0.125)
        >>> trainer = at_step(model, 1000)
        >>> model.global_step
        1000
    """
    trainer = pl.Trainer(
        accelerator=accelerator, devices=1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, max_steps=-1, precision=precision,
    )  # fmt: skip
    trainer.strategy.connect(model)
    model.trainer = trainer
    trainer.state.fn = cast(Any, pl.trainer.states.TrainerFn.FITTING)
    trainer.training = True
    vars(trainer)["datamodule"] = SimpleNamespace(seed=seed)
    trainer.fit_loop.epoch_loop.automatic_optimization.optim_progress.optimizer.step.total.completed = step
    return trainer
