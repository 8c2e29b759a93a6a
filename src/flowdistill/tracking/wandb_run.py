"""Weights & Biases runs: stored in the run's own folder, continued after a resume, offline without a connection.

RUNS/version_3/wandb/run-20261126_200000-a1b2c3d4/   # wandb's files; `wandb sync` uploads what is missing
RUNS/version_3/wandb.json                            # identifies the W&B run
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import string
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.loggers import CSVLogger, WandbLogger
from pytorch_lightning.utilities import rank_zero_only

from flowdistill.data.notes import note
from flowdistill.errors import UserError
from flowdistill.formats import write_atomically
from flowdistill.stopping import Stopped
from flowdistill.tracking.card import JSON_NAME, MARKDOWN_NAME
from flowdistill.tracking.wandb_record import RECORD, read_record
from flowdistill.training import BEST, LAST, run_folder

_LONGEST_START = 45.0  # seconds; then the run is started offline
_LONGEST_END = 300.0  # seconds for the remaining uploads when a run ends; the files also stay in the folder
_OFFLINE = ("offline", "dryrun", "disabled")


class WandbRuns:
    """The W&B runs of a trainer, before it starts.

    Each logger gets its id immediately, since the id names the run's folder if there is no other logger: the id of the
    config, else of the environment (a sweep agent sets WANDB_RUN_ID), else a new one.
    """

    def __init__(self, trainer: pl.Trainer) -> None:
        self.loggers = [logger for logger in trainer.loggers if isinstance(logger, WandbLogger)]
        # Those with an id set by the user.
        self._chosen = [logger for logger in self.loggers if logger._id or "WANDB_RUN_ID" in os.environ]
        self._continued: list[WandbLogger] = []
        for logger in self.loggers:
            _set_id(logger, logger._id or os.environ.get("WANDB_RUN_ID") or _new_id())

    def go_on(self, folder: Path) -> None:
        """Continue the W&B run of the checkpoint's folder in a resumed training, unless another id was set."""
        stored = read_record(folder)
        for logger in self.loggers:
            if stored and stored.get("project") == logger._project:
                if logger not in self._chosen:
                    _set_id(logger, str(stored["id"]))
                if stored["id"] == logger._id:
                    self._continued.append(logger)

    def open(self, trainer: pl.Trainer, subcommand: str) -> None:
        """Start the W&B runs on rank 0. Without an API key or network they are only written to disk.

        Args:
            trainer: not started yet.
            subcommand: fit, test, ...

        Raises:
            UserError: another run's folder has this W&B run, or wandb rejects a setting.
        """
        if not self.loggers or getattr(rank_zero_only, "rank", 0) != 0:
            return
        folder = run_folder(trainer)
        for other in trainer.loggers:
            if isinstance(other, CSVLogger):
                _ = other.experiment  # opened later, it would warn that the folder is not empty
        for logger in self.loggers:
            if subcommand == "fit" and logger not in self._continued:
                _refuse_used(logger, folder)
            _open(logger, folder, subcommand)
            if subcommand == "fit":
                _write_record(logger, folder)


class Artifacts(pl.Callback):
    """Logs last.ckpt and best.ckpt with the run card as one artifact, `model-ID`, with aliases `last` and `best`.

    `log_model: true` logs them when the training ends, also by an error; `all` also each time last.ckpt was written
    meanwhile. Lightning's logger supports only its own ModelCheckpoint. Runs on rank 0.
    """

    def __init__(self) -> None:
        super().__init__()
        self._logged: dict[Path, int] = {}  # modification time of the logged version of a file

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._log(trainer, [logger for logger in _asked(trainer) if logger._log_model == "all"], (LAST,))

    # Runs after the run card's on_fit_end.
    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._log(trainer, _asked(trainer), (LAST, BEST))

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        self._log(trainer, _asked(trainer), (LAST, BEST))

    def _log(self, trainer: pl.Trainer, loggers: list[WandbLogger], names: tuple[str, ...]) -> None:
        folder = getattr(trainer.checkpoint_callback, "dirpath", None)
        if not loggers or folder is None:
            return
        import wandb

        for name in names:
            path = Path(folder, name)
            written = path.stat().st_mtime_ns if path.is_file() else None
            if written is None or self._logged.get(path) == written:
                continue
            self._logged[path] = written
            for logger in loggers:
                metadata = {"file": str(path), "step": trainer.global_step}
                artifact = wandb.Artifact(f"model-{logger.version}", type="model", metadata=metadata)
                # A copy: the file may be replaced while wandb uploads it.
                artifact.add_file(str(path), name=name, policy="mutable")
                for card in (JSON_NAME, MARKDOWN_NAME):
                    if (path.parents[1] / card).is_file():
                        artifact.add_file(str(path.parents[1] / card), name=card, policy="mutable")
                logger.experiment.log_artifact(artifact, aliases=[Path(name).stem])


@contextlib.contextmanager
def finished_at_the_end() -> Iterator[None]:
    """Finish W&B runs when the command ends, with its exit code."""
    exit_code = 1
    try:
        yield
        exit_code = 0
    except Stopped as stopped:
        exit_code = int(stopped.code or 0)
        raise
    finally:
        wandb = sys.modules.get("wandb")
        if wandb is not None and wandb.run is not None:
            wandb.finish(exit_code=exit_code)


def _asked(trainer: pl.Trainer) -> list[WandbLogger]:
    if not trainer.is_global_zero:
        return []
    return [logger for logger in trainer.loggers if isinstance(logger, WandbLogger) and logger._log_model]


def _new_id() -> str:
    return "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(8))


def _set_id(logger: WandbLogger, identity: str) -> None:
    logger._id = logger._wandb_init["id"] = identity


def _open(logger: WandbLogger, folder: Path, subcommand: str) -> None:
    import wandb
    from wandb.errors import CommError, Error, UsageError

    # wandb would silently use a temporary folder if it does not exist.
    folder.mkdir(parents=True, exist_ok=True)
    arguments: dict[str, Any] = {"resume": "allow", "job_type": subcommand}
    if folder.name != logger._id:
        arguments["name"] = "/".join(folder.parts[-2:])
    # jsonargparse passes options of wandb.init that are missing in a config as None.
    arguments |= {name: value for name, value in logger._wandb_init.items() if value is not None}
    arguments["dir"] = str(folder)
    logger._wandb_init = arguments
    given = arguments.get("settings") or {}
    if isinstance(given, dict):
        waits = {"init_timeout": _LONGEST_START, "finish_timeout": _LONGEST_END}
        own = {name: value for name, value in waits.items() if f"WANDB_{name.upper()}" not in os.environ}
        arguments["settings"] = own | given
    mode = "offline" if logger._offline else arguments.get("mode") or os.environ.get("WANDB_MODE", "online")
    arguments["mode"] = mode  # wandb reads the environment only once per process
    if mode not in _OFFLINE:
        problem = None if has_key() else "no API key on this machine (`wandb login`, or WANDB_API_KEY)"
        if problem is None:
            try:
                _ = logger.experiment
                return
            except (CommError, UsageError) as error:
                problem = _first_line(error)
                wandb.teardown()  # otherwise its service reports that the run's id is in use
        arguments["mode"] = "offline"
        upload = Path(folder, "wandb", f"offline-run-*-{logger._id}")
        note(f"W&B: {problem}. This run is written to disk; upload it later: wandb sync {upload}")
    try:
        _ = logger.experiment
    except Error as error:
        raise UserError(f"W&B: {_first_line(error)}") from error


def has_key() -> bool:
    """Whether wandb finds an API key without prompting: a prompt would block an unattended run."""
    import wandb
    from requests.utils import get_netrc_auth

    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    return get_netrc_auth(str(wandb.setup().settings.base_url)) is not None


def _refuse_used(logger: WandbLogger, folder: Path) -> None:
    """Refuse a W&B run that another folder uses: its curves would jump back to the first step."""
    for record in folder.parent.glob(f"*/{RECORD}"):
        if read_record(record.parent).get("id") == logger._id:
            raise UserError(
                f"the W&B run {logger._id} is used by {record.parent}. Resume it (--ckpt_path "
                f"{record.parent / 'checkpoints' / 'last.ckpt'}), or omit its id (init_args.id or version of the "
                "logger, WANDB_RUN_ID): then each training gets its own."
            )


def _write_record(logger: WandbLogger, folder: Path) -> None:
    run = logger.experiment
    online = not getattr(run, "offline", True)  # else wandb warns that there is no URL
    found = {name: getattr(run, name, None) or None if online else None for name in ("entity", "url")}
    record = {"id": logger._id, "project": logger._project, **found}
    write_atomically(folder / RECORD, (json.dumps(record, indent=2) + "\n").encode())


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
