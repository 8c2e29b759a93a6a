"""Stop all processes of a training at the same step, save a checkpoint, and print the command that resumes it.

Replaces Lightning's signal handling: its handler runs a collective at an arbitrary point of the program, only checks
rank 0, waits for the device at every batch, and ends with exit code 0.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from flowdistill.data.notes import note
from flowdistill.formats import write_atomically
from flowdistill.stopping import Stopped, StopSignals, signals
from flowdistill.training.atomic_io import save
from flowdistill.training.progress import validate_if_owed, validation_is_due
from flowdistill.training.run_folder import checkpoint_folder

_LONGEST_WAIT = timedelta(hours=2)  # for the slowest process: a validation, a checkpoint on a slow disk
_OF_JOB = ".slurm_"  # + the job's id: a file beside the runs, with the path of this job's checkpoint folder


class StopTogether(pl.Callback):
    """Stops a `fit` on signals: the processes agree after each training step and before each validation batch.

    They do so on the host, over gloo, so that the device never waits. During other commands, and before the first
    step, a signal ends the process at once: nothing is lost.

    Args:
        command: the words of the command line, for the printed resume command.
        asked: the signals of this process.
    """

    def __init__(self, command: list[str], asked: StopSignals = signals) -> None:
        super().__init__()
        self.command, self.asked = command, asked
        self._group: Any = None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        trainer._signal_connector.register_signal_handlers = lambda: None  # type: ignore[method-assign]
        trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = lambda: None  # type: ignore[method-assign]
        steps = trainer.fit_loop.run

        def run() -> None:
            validate_if_owed(trainer)
            steps()

        trainer.fit_loop.run = run  # type: ignore[method-assign]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.world_size > 1:
            self._group = torch.distributed.new_group(backend="gloo", timeout=_LONGEST_WAIT)
        if (mark := _mark(trainer)) is not None:
            mark.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(mark, f"{checkpoint_folder(trainer)}\n".encode())
        self.asked.deferred = True

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        # Cannot resume within accumulated batches. If a validation is due, its first batch checks for signals.
        if not trainer.fit_loop.epoch_loop._should_accumulate() and not validation_is_due(trainer):
            self._agree(trainer)

    def on_validation_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int, *_: Any
    ) -> None:
        # If samples do not divide evenly, some processes have one batch more: the others would not join the collective.
        if (
            trainer.state.fn == "fit"
            and not trainer.sanity_checking
            and batch_idx < self._batches_of_all(trainer)
        ):
            self._agree(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.asked.deferred = False
        if (mark := _mark(trainer)) is not None:
            mark.unlink(missing_ok=True)  # the job may start another training

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        self.asked.deferred = True  # the run is ending already, and first has to write its run card

    def _batches_of_all(self, trainer: pl.Trainer) -> int:
        samples = getattr(getattr(trainer.val_dataloaders, "dataset", None), "__len__", lambda: 0)()
        return samples // trainer.world_size if trainer.world_size > 1 else 1 << 62

    def _agree(self, trainer: pl.Trainer) -> None:
        asked = int(self.asked.received or 0)
        if self._group is not None:
            flag = torch.tensor(asked)
            torch.distributed.all_reduce(flag, torch.distributed.ReduceOp.MAX, group=self._group)
            asked = int(flag)
        if asked:
            self._stop(trainer, signal.Signals(asked))

    def _stop(self, trainer: pl.Trainer, signum: signal.Signals) -> None:
        self.asked.received = signum  # of another process, perhaps
        folder = checkpoint_folder(trainer)
        said = f"{signum.name}: stopped at step {trainer.global_step}"
        if folder is None:
            note(f"{said}. Nothing was saved: this run writes no checkpoints.")
            raise Stopped(signum, together=True)
        last = folder / "last.ckpt"
        failure = save(trainer, last)
        if not trainer.validating:  # log this step's row, which Lightning would do after the callbacks
            trainer._logger_connector.on_batch_end()
            trainer._logger_connector.update_train_step_metrics()
        if failure is None:
            note(f"{said}, saved {last}. Resume with\n  {resume_line(self.command, last)}")
        else:
            note(f"{said}, but no checkpoint could be saved: {failure}")
        if signum == signal.SIGUSR1 and trainer.is_global_zero:
            _requeue()
        raise Stopped(signum, together=True)


def resume_line(command: list[str], checkpoint: Path) -> str:
    """Return the run's command line with `--ckpt_path` set to this checkpoint."""
    words, left = [], iter(command)
    for word in left:
        if word == "--ckpt_path":
            next(left, None)  # its value
        elif not word.startswith("--ckpt_path="):
            words.append(word)
    return shlex.join([*words, "--ckpt_path", str(checkpoint)])


def slurm_job() -> str | None:
    """Return the id of this SLURM job or array task; None outside SLURM."""
    array = os.environ.get("SLURM_ARRAY_JOB_ID")
    if array is not None and "SLURM_ARRAY_TASK_ID" in os.environ:
        return f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    return os.environ.get("SLURM_JOB_ID")


def _mark(trainer: pl.Trainer) -> Path | None:
    """Return the file in which rank 0 of a SLURM job keeps the path of its checkpoints; None elsewhere."""
    job, folder = slurm_job(), checkpoint_folder(trainer)
    if job is None or folder is None or not trainer.is_global_zero:
        return None
    # For RUNS/version_3/checkpoints it is in RUNS, where the requeued job looks for it.
    return folder.parents[1] / f"{_OF_JOB}{job}"


def slurm_run(runs: Path) -> Path | None:
    """Return the checkpoint folder that this SLURM job wrote to before it was requeued, or None.

    Args:
        runs: folder of all runs with this name.
    """
    job = slurm_job()
    mark = runs / f"{_OF_JOB}{job}"
    again = os.environ.get("SLURM_RESTART_COUNT", "0") != "0"
    return Path(mark.read_text().strip()) if job is not None and again and mark.is_file() else None


def _requeue() -> None:
    """Put this job back into SLURM's queue; once restarted, it finds its run by the job's id."""
    job = slurm_job()
    assert job is not None  # SIGUSR1 is handled only within SLURM
    try:
        done = subprocess.run(
            ["scontrol", "requeue", job], capture_output=True, text=True, check=False, timeout=60
        )
        failure = done.stderr.strip() or f"exit code {done.returncode}" if done.returncode else None
    except (OSError, subprocess.TimeoutExpired) as error:
        failure = str(error)
    if failure is None:
        note(f"job {job} is back in SLURM's queue")
    else:
        note(f"`scontrol requeue {job}` failed: {failure}. Submit the job again to resume.")
