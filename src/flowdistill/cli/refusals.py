"""Settings that `lightning` rejects with a one-line error, because they would have no or another effect, or crash."""

from __future__ import annotations

import importlib.util
import itertools
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning import callbacks

from flowdistill.data.notes import note
from flowdistill.errors import UserError
from flowdistill.processes import number_from_environment

# Lightning callbacks that do not work here, with the reason and the alternative.
_CALLBACKS: dict[type[pl.Callback], str] = {
    callbacks.LearningRateFinder: (
        "the learning rate follows the schedule of model.init_args.learning_rate and halve_at, which would overwrite "
        "its result after one step"
    ),
    callbacks.BatchSizeFinder: (
        "data.init_args.batch_size is the published batch size, and the learning rate is tuned for it. `flowdistill "
        "profile` reports what fits into memory; accumulate_grad_batches makes it fit"
    ),
    callbacks.GradientAccumulationScheduler: (
        "it changes the batch size by epochs, and training here is one endless epoch: set "
        "trainer.accumulate_grad_batches"
    ),
    callbacks.StochasticWeightAveraging: (
        "it averages over epochs, and training here is one endless epoch; for an averaged teacher, use AverageTeacher"
    ),
}
# Packages that Lightning's loggers need; one of each tuple is enough.
_PACKAGES = {
    "TensorBoardLogger": ("tensorboard", "tensorboardX"),
    "WandbLogger": ("wandb",),
    "MLFlowLogger": ("mlflow",),
    "CometLogger": ("comet_ml",),
    "NeptuneLogger": ("neptune",),
}
_SECRETS = ("api_key", "password", "secret", "token")
_OF_A_RUN = ("loops", "optimizer_states", "lr_schedulers")


def check_trainer(settings: Mapping[str, Any], subcommand: str) -> None:
    """Reject a training length in epochs, and accumulation of less than one batch.

    Args:
        settings: the config's `trainer`.
        subcommand: fit, validate, ...

    Raises:
        UserError: with the key and a valid value.
    """
    accumulated = settings.get("accumulate_grad_batches", 1)
    if accumulated is not None and accumulated < 1:
        raise UserError(f"trainer.accumulate_grad_batches must be 1 or more, not {accumulated}")
    steps, epochs = settings.get("max_steps", -1), settings.get("max_epochs")
    counted = steps is not None and steps >= 0
    limited = counted or settings.get("max_time") is not None or settings.get("fast_dev_run")
    if subcommand == "fit" and not limited:
        instead = "" if epochs in (None, -1) else f" in place of trainer.max_epochs {epochs}"
        raise UserError(
            f"trainer.max_steps is not set: training is counted in steps here, so set it{instead} (an epoch of the "
            "endless stream of samples never ends)"
        )


def check_loggers(loggers: Any) -> None:
    """Reject loggers whose package is not installed; in a list, jsonargparse would report that it is not a logger.

    Args:
        loggers: the config's `trainer.logger`.

    Raises:
        UserError: with the package to install.
    """
    for entry in loggers if isinstance(loggers, list) else [loggers]:
        path = entry.get("class_path") if isinstance(entry, Mapping) else entry
        name = str(path or "").rpartition(".")[2]
        packages = _PACKAGES.get(name, ())
        if packages and not any(importlib.util.find_spec(package) for package in packages):
            extra = "'flowdistill[tensorboard]'" if name == "TensorBoardLogger" else packages[0]
            raise UserError(
                f"trainer.logger: {name} needs {packages[0]}, which is not installed: pip install {extra}"
            )


def check_secrets(config: Any, place: str = "") -> None:
    """Reject account keys in a config, which is saved next to the weights and in run cards, and sent to loggers.

    Raises:
        UserError: with the place, without the key.
    """
    own_key = os.environ.get("WANDB_API_KEY")
    if isinstance(config, Mapping):
        for name, value in config.items():
            check_secrets(value, f"{place}.{name}" if place else str(name))
    elif isinstance(config, list):
        for number, value in enumerate(config):
            check_secrets(value, f"{place}[{number}]")
    elif isinstance(config, str) and (place.rpartition(".")[2] in _SECRETS or config == own_key):
        raise UserError(
            f"{place} contains an account key, and configs are saved next to the weights and sent to loggers: remove "
            "it, and use `wandb login` or the environment (WANDB_API_KEY)"
        )


def check_callbacks(used: Iterable[pl.Callback]) -> None:
    """Reject callbacks that would have no effect, or another one.

    Raises:
        UserError: with the first one and the reason.
    """
    for callback, (kind, reason) in itertools.product(used, _CALLBACKS.items()):
        if isinstance(callback, kind):
            raise UserError(f"trainer.callbacks: {kind.__name__} cannot be used here: {reason}.")


def check_processes(processes: int) -> None:
    """Reject externally started processes that would not train together, but each on its own in the same folder.

    Args:
        processes: number of processes of the training as counted by the trainer: devices x num_nodes.

    Raises:
        UserError: with both numbers.
    """
    for starter, sign, count in (("torchrun", "TORCHELASTIC_RUN_ID", "WORLD_SIZE"),
                                 ("srun", "SLURM_STEP_NUM_TASKS", "SLURM_STEP_NUM_TASKS")):  # fmt: skip
        if sign in os.environ:
            started = number_from_environment(count, 1)
            if started == processes:
                return
            raise UserError(
                f"{starter} started {started} processes, but trainer.devices x trainer.num_nodes is {processes}: set "
                "--trainer.devices to the processes per machine and --trainer.num_nodes to the number of machines"
            )


def check_content(stored: Mapping[str, Any], path: Path, subcommand: str) -> None:
    """Reject a weights-only file where a full checkpoint is needed.

    Raises:
        UserError: with the option that accepts it.
    """
    needed = _OF_A_RUN if subcommand == "fit" else ()
    missing = [name for name in (*needed, "pytorch-lightning_version") if name not in stored]
    if missing:
        what = "resumed from" if subcommand == "fit" else "evaluated by --ckpt_path"
        raise UserError(
            f"--ckpt_path: {path} contains weights only (no {missing[0]}) and cannot be {what}. Use "
            f"--model.init_args.init_from {path} instead."
        )


class EarlyStops(pl.Callback):
    """Companion of Lightning's EarlyStopping: a missing metric is an immediate error, and the stop is reported."""

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        for callback in _early(trainer):
            if callback.strict and callback.monitor not in trainer.callback_metrics:
                names = sorted(name for name in trainer.callback_metrics if name.startswith("val/"))
                raise UserError(
                    f"EarlyStopping: validation logs no {callback.monitor!r}. It logs: {', '.join(names) or 'nothing'}."
                )

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        for callback in _early(trainer):
            if trainer.should_stop and callback.stopping_reason_message:
                note(f"EarlyStopping at step {trainer.global_step}: {callback.stopping_reason_message}")


def _early(trainer: pl.Trainer) -> list[callbacks.EarlyStopping]:
    used = getattr(trainer, "callbacks", [])  # Lightning sets it without declaring it
    return [callback for callback in used if isinstance(callback, callbacks.EarlyStopping)]
