"""What `lightning` refuses in one line, because it would do nothing, something else, or end in a traceback."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import (
    BatchSizeFinder,
    Callback,
    EarlyStopping,
    GradientAccumulationScheduler,
    LearningRateFinder,
    StochasticWeightAveraging,
)

from flowdistill.data.notes import note
from flowdistill.errors import UserError
from flowdistill.processes import number_from_environment

# Callbacks of Lightning that cannot do here what they promise, and what does.
_CALLBACKS: dict[type[Callback], str] = {
    LearningRateFinder: (
        "the learning rate follows the schedule of model.init_args.learning_rate and halve_at, which would overwrite "
        "what it finds after one step"
    ),
    BatchSizeFinder: (
        "data.init_args.batch_size is the published batch, and the learning rate is made for it. `flowdistill profile` "
        "says what fits the memory; accumulate_grad_batches makes it fit"
    ),
    GradientAccumulationScheduler: (
        "it changes the batch by epochs, and training here has one without end: set trainer.accumulate_grad_batches"
    ),
    StochasticWeightAveraging: (
        "it averages over epochs, and training here has one without end; a teacher that averages is AverageTeacher"
    ),
}
# What Lightning's loggers need, one of each.
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
    """Refuse a length in epochs, and accumulation that is none.

    Args:
        settings: the config's `trainer`.
        subcommand: fit, validate, ...

    Raises:
        UserError: names the key and what to write.
    """
    accumulated = settings.get("accumulate_grad_batches", 1)
    if accumulated is not None and accumulated < 1:
        raise UserError(f"trainer.accumulate_grad_batches must be 1 or more, not {accumulated}")
    steps, epochs = settings.get("max_steps", -1), settings.get("max_epochs")
    timed = settings.get("max_time") is not None
    if (
        subcommand == "fit"
        and not settings.get("fast_dev_run")
        and (steps is None or steps < 0)
        and not timed
    ):
        instead = "" if epochs in (None, -1) else f" in place of trainer.max_epochs {epochs}"
        raise UserError(
            f"trainer.max_steps is not set: training is counted in steps here, so set it{instead} (an epoch of the "
            "endless stream of samples never ends)"
        )


def check_loggers(loggers: Any) -> None:
    """Refuse loggers whose package is not installed; of one in a list jsonargparse says that it is no logger.

    Args:
        loggers: the config's `trainer.logger`.

    Raises:
        UserError: says what to install.
    """
    for entry in loggers if isinstance(loggers, list) else [loggers]:
        name = str((entry.get("class_path") if isinstance(entry, Mapping) else entry) or "").rpartition(".")[
            2
        ]
        packages = _PACKAGES.get(name, ())
        if packages and not any(importlib.util.find_spec(package) for package in packages):
            extra = "'flowdistill[tensorboard]'" if name == "TensorBoardLogger" else packages[0]
            raise UserError(
                f"trainer.logger: {name} needs {packages[0]}, which is not installed: pip install {extra}"
            )


def check_secrets(config: Any, place: str = "") -> None:
    """Refuse keys of accounts in a config: it is written beside the weights, into run cards, and sent to loggers.

    Raises:
        UserError: names the place, not the key.
    """
    if isinstance(config, Mapping):
        for name, value in config.items():
            check_secrets(value, f"{place}.{name}" if place else str(name))
    elif isinstance(config, list):
        for number, value in enumerate(config):
            check_secrets(value, f"{place}[{number}]")
    elif isinstance(config, str) and (
        place.rpartition(".")[2] in _SECRETS or config == os.environ.get("WANDB_API_KEY")
    ):
        raise UserError(
            f"{place} holds a key of an account, and configs are written beside the weights and sent to loggers: take "
            "it out, and use `wandb login` or the environment (WANDB_API_KEY)"
        )


def check_callbacks(callbacks: Iterable[Callback]) -> None:
    """Refuse callbacks that would do nothing, or something else.

    Raises:
        UserError: names the first and says why.
    """
    for callback in callbacks:
        for kind, reason in _CALLBACKS.items():
            if isinstance(callback, kind):
                raise UserError(f"trainer.callbacks: {kind.__name__} is of no use here: {reason}.")


def check_processes(processes: int) -> None:
    """Refuse processes that were started from outside and would not train together, but each alone in one folder.

    Args:
        processes: those of the training, as the trainer counts them: devices x num_nodes.

    Raises:
        UserError: says both numbers.
    """
    for starter, sign, count in (("torchrun", "TORCHELASTIC_RUN_ID", "WORLD_SIZE"),
                                 ("srun", "SLURM_STEP_NUM_TASKS", "SLURM_STEP_NUM_TASKS")):  # fmt: skip
        if sign not in os.environ:
            continue
        started = number_from_environment(count, 1)
        if started != processes:
            raise UserError(
                f"{starter} started {started} processes, but trainer.devices x trainer.num_nodes is {processes}: set "
                "--trainer.devices to the processes of a machine and --trainer.num_nodes to the machines"
            )
        return


def check_content(stored: Mapping[str, Any], path: Path, subcommand: str) -> None:
    """Refuse a file of weights alone where a whole checkpoint is needed.

    Raises:
        UserError: says how to use it.
    """
    needed = _OF_A_RUN if subcommand == "fit" else ()
    missing = [name for name in (*needed, "pytorch-lightning_version") if name not in stored]
    if missing:
        what = "resumed from" if subcommand == "fit" else "evaluated by --ckpt_path"
        raise UserError(
            f"--ckpt_path: {path} holds weights alone (no {missing[0]}) and cannot be {what}. Give it as "
            f"--model.init_args.init_from {path} instead."
        )


class EarlyStops(pl.Callback):
    """Beside Lightning's EarlyStopping: a metric that there is not is an error at once, and its stop is said."""

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


def _early(trainer: pl.Trainer) -> list[EarlyStopping]:
    callbacks = getattr(trainer, "callbacks", [])  # Lightning sets it without declaring it
    return [callback for callback in callbacks if isinstance(callback, EarlyStopping)]
