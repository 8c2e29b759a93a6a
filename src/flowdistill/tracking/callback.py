"""Record a `lightning fit`: its run card, and its whole config in the loggers."""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.utilities import rank_zero_warn

from flowdistill.errors import UserError
from flowdistill.formats import write_atomically
from flowdistill.tracking.card import now, write_card
from flowdistill.tracking.environment import code_state, devices, machine, no_commit, peak_memory, versions
from flowdistill.tracking.in_use import hold, release
from flowdistill.tracking.sections import CheckpointRecord, Code, RunCard, Split, Status, file_record
from flowdistill.tracking.splits import inputs_of, open_splits
from flowdistill.tracking.step_time import WARM_UP, WARM_UP_CPU, StepTimer
from flowdistill.training import LAST, BestCheckpoint, run_folder

RUN_RECORD = "FLOWDISTILL_RUN_RECORD"
"""Environment variable: a file to which `lightning fit` writes its run's folder, for the process that started it."""


class RunCardWriter(pl.Callback):
    """Writes run_card.json and run_card.md to the trainer's log_dir when training ends.

    Also if it ends by an exception or Ctrl-C, with that status. A run that is killed leaves no card. Nothing is written
    without a logger, with fast_dev_run, on ranks other than 0, or if training did not start.

    Earlier parts of a resumed run are kept in its checkpoints, so that the last card covers all parts.

    Args:
        command: the command line.
        config: the parsed config of the run.
    """

    def __init__(self, command: str, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.command, self.config = command, config
        self._folder: Path | None = None
        self._since = 0.0  # of time.monotonic()
        self._part: dict[str, Any] | None = None
        self._code: Code = no_commit("training did not start")
        # Of all parts, as in a checkpoint; `parts` without the current one.
        self._kept: dict[str, Any] = {"parts": [], "inputs": {}, "metrics": {}, "metrics_step": None}
        self._splits: dict[str, Split] = {}
        self._timer = StepTimer()

    def state_dict(self) -> dict[str, Any]:
        if self._part is None:
            return {}
        return {**self._kept, "parts": [*self._kept["parts"], self._current()]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._kept = {**state_dict, "parts": list(state_dict["parts"])}

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if stage != "fit":
            return
        self._since = time.monotonic()
        if trainer.loggers and not getattr(trainer, "fast_dev_run", False):
            self._folder = run_folder(trainer)
            if trainer.is_global_zero:
                hold(self._folder)
                if RUN_RECORD in os.environ:
                    write_atomically(Path(os.environ[RUN_RECORD]), f"{self._folder.resolve()}\n".encode())

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Record what may change during the run: the code, and the files that weights are loaded from."""
        if self._folder is None or not trainer.is_global_zero:
            return
        self._code = code_state()
        if trainer.ckpt_path is None:  # a resumed run reads none of them
            self._kept["inputs"] = inputs_of(self.config.get("model") or {})

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._begin(trainer)
        self._timer = StepTimer(WARM_UP_CPU if trainer.strategy.root_device.type == "cpu" else WARM_UP)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._timer.pause()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._timer.batch_starts(trainer.global_step)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._timer.pause()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        logged = trainer.callback_metrics
        values = {name: float(value) for name, value in logged.items() if name.startswith("val/")}
        self._kept |= {"metrics": values, "metrics_step": trainer.global_step}

    # After on_train_end, in which Checkpoints writes the final last.ckpt.
    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._part is None:  # resumed, with no steps left
            self._begin(trainer)
        self._end(trainer, "completed", None)

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        first_line = str(exception).strip().partition("\n")[0]
        kind = type(exception).__name__
        try:
            self._end(trainer, "interrupted", f"{kind}: {first_line}" if first_line else kind)
        except (UserError, OSError) as error:
            # Do not hide the exception that ended the run.
            rank_zero_warn(f"no run card was written: {error}")

    def _begin(self, trainer: pl.Trainer) -> None:
        step = trainer.global_step
        if self._kept["parts"]:  # the checkpoint is from this step
            self._kept["parts"][-1]["last_step"] = step
        self._part = {
            "folder": None if self._folder is None else str(self._folder),
            "started": now().isoformat(timespec="seconds"),
            "resumed_from": None if trainer.ckpt_path is None else str(trainer.ckpt_path),
            "first_step": step,
            "last_step": step,
            "seconds": 0.0,
            "commit": self._code["commit"],
            "dirty": self._code["dirty"],
        }
        if self._folder is not None and trainer.is_global_zero:
            self._splits = open_splits(trainer)

    def _current(self) -> dict[str, Any]:
        assert self._part is not None
        return {**self._part, "seconds": time.monotonic() - self._since}

    def _end(self, trainer: pl.Trainer, status: Status, reason: str | None) -> None:
        """Write the card, if training started, and leave the folder; only the first call does anything."""
        folder, self._folder = self._folder, None
        if folder is None:
            return
        try:
            if self._part is not None and trainer.is_global_zero:
                write_card(self._card(trainer, folder, status, reason), folder)
        finally:
            release(folder)

    def _card(self, trainer: pl.Trainer, folder: Path, status: Status, reason: str | None) -> RunCard:
        parts = [*self._kept["parts"], {**self._current(), "last_step": trainer.global_step}]
        memory = peak_memory(trainer.strategy.root_device)  # before hashing files adds to it
        callbacks = getattr(trainer, "callbacks", [])  # Lightning sets it without declaring it
        best = next((callback for callback in callbacks if isinstance(callback, BestCheckpoint)), None)
        config = dict(self.config)
        found = None
        if best is not None and best.metric is not None and best.value is not None:
            found = {"metric": best.metric, "mode": best.mode, "value": best.value}
        data = (config.get("data") or {}).get("init_args") or {}
        return RunCard(
            name="/".join(folder.parts[-2:]),
            status=status,
            reason=reason,
            command=self.command,
            started=parts[0]["started"],
            finished=now().isoformat(timespec="seconds"),
            wall_time=sum(part["seconds"] for part in parts),
            code=self._code,
            versions=versions(),
            machine=machine(),
            seeds={"seed_everything": config.get("seed_everything"), "data": data.get("seed")},
            splits=self._splits,
            inputs=self._kept["inputs"],
            outputs={},
            weights=weights_of(folder, trainer.checkpoint_callback, best),
            metrics=self._kept["metrics"],
            memory=memory,
            training={
                "steps": trainer.global_step,
                "planned_steps": trainer.max_steps if trainer.max_steps >= 0 else None,
                "parts": parts,
                "step_time": self._timer.summary(),
                "metrics_step": self._kept["metrics_step"],
                "best": found,
                "devices": devices(trainer),
            },
            config=config,
        )


class WholeConfig(pl.Callback):
    """Logs the whole config as hyper-parameters in a `fit`, instead of only the model's.

    Additional keys: `code` (commit, dirty) and `run_folder`.

    Args:
        config: the parsed config of the run, plain values.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.config = config

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if stage == "fit":
            pl_module._log_hyperparams = False  # Lightning's own logging, of the model's only

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        folder = run_folder(trainer)
        if not trainer.loggers or not trainer.is_global_zero or getattr(trainer, "fast_dev_run", False):
            return
        code = code_state()
        commit = {"commit": code["commit"], "dirty": code["dirty"]}
        told = {**self.config, "code": commit, "run_folder": str(folder)}
        for logger in trainer.loggers:
            logger.log_hyperparams(told)
            logger.save()


def weights_of(
    folder: Path, checkpoints: Checkpoint | None, best: BestCheckpoint | None
) -> dict[str, CheckpointRecord]:
    """Return records of `last` and `best`, if they exist; paths are relative to `folder` if inside it.

    Raises:
        UserError: one of them is damaged, for example by an interrupted write.
    """
    kept = getattr(checkpoints, "dirpath", None)  # Lightning's own callback has one, too
    files = {"last": None if kept is None else Path(kept, LAST), "best": None if best is None else best.path}
    return {
        name: _record(path, folder) for name, path in files.items() if path is not None and path.is_file()
    }


def _record(path: Path, folder: Path) -> CheckpointRecord:
    path, folder = path.resolve(), folder.resolve()
    shown = path.relative_to(folder) if path.is_relative_to(folder) else path
    try:
        # Memory-mapped, since only the step is needed.
        stored = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, OSError) as error:
        raise UserError(f"{path} is damaged ({type(error).__name__})") from error
    return {**file_record(path), "path": shown.as_posix(), "step": stored.get("global_step")}
