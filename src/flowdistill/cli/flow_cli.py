"""Our LightningCLI: several --config files compose, and what is wrong is said in a few lines instead of a page."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import Any, NoReturn

import pytorch_lightning as pl
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.plugins.io import TorchCheckpointIO

from flowdistill.cli.processes import watch_children
from flowdistill.cli.refusals import (
    EarlyStops,
    check_callbacks,
    check_content,
    check_processes,
    check_trainer,
)
from flowdistill.cli.which_checkpoint import of_this_slurm_job, resolve
from flowdistill.data.notes import note
from flowdistill.errors import UserError
from flowdistill.inference.writer import PredictionWriter
from flowdistill.interop import read_checkpoint
from flowdistill.tracking.callback import RunCardWriter
from flowdistill.tracking.full_disk import wait_for_the_disk
from flowdistill.tracking.in_place import go_on_in
from flowdistill.tracking.resume import Resume
from flowdistill.training import AtomicCheckpointIO, BestCheckpoint, StopTogether, run_folder

WORDS = ("best", "last", "hpc")  # that --ckpt_path takes in place of a path

# What jsonargparse says about the types that it tried, which helps nobody to mend a YAML file.
_NOISE = re.compile(
    r"^\s*(- )?(Does not validate against any of the Union subtypes"
    r"|Subtypes: .*"
    r"|Errors:"
    r"|Expected a <class 'NoneType'>\.?.*"
    r"|Given value type: .*"
    r"|Given value: NestedArg.*)$"
)


class ShortErrorParser(LightningArgumentParser):
    """Ends with exit code 2, the message and where to look, without the list of all options."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        if not self.exit_on_error:  # a parser within the parser: the outer one reports
            super().error(message, ex)
        parser = getattr(ex, "subcommand_parser", None) or self
        # The first word is how we were started, `lightning` or a path to a file.
        subcommand = parser.prog.replace(" [options]", "").split()[1:]
        command = " ".join(["lightning", *subcommand])
        print(f"error: {shortened(message)}\nsee: {command} --help", file=sys.stderr)
        raise SystemExit(2)


def shortened(message: str) -> str:
    """A message of jsonargparse without the lines on types that were tried in vain."""
    kept = [line for line in message.splitlines() if not _NOISE.match(line)]
    return "\n".join(kept) if kept else message


class SaveFitConfig(SaveConfigCallback):
    """Writes the whole config beside the logs of a `fit`; other commands leave no file behind.

    A run that goes on in its folder leaves the first one as it was: config_resumed_1.yaml is beside it.
    """

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if stage != "fit" or not trainer.loggers:
            return
        folder, number = run_folder(trainer), 0
        if any(folder.glob("checkpoints/*.ckpt")):
            while (folder / self.config_filename).exists():
                number += 1
                self.config_filename = f"config_resumed_{number}.yaml"
        super().setup(trainer, pl_module, stage)


class FlowCLI(LightningCLI):
    """Lightning's CLI with a prediction writer, a best checkpoint, run cards, and checkpoints that never replace what
    the config says."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_lightning_class_args(PredictionWriter, "prediction")
        parser.add_lightning_class_args(BestCheckpoint, "best")
        parser.add_lightning_class_args(Resume, "resume")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        words = args if isinstance(args, list) else sys.argv[1:]
        self.command_words = ["lightning", *words]
        super().parse_arguments(parser, args)

    def _instantiate_trainer(self, config: dict[str, Any], callbacks: list[pl.Callback]) -> pl.Trainer:
        # First, so that best.ckpt holds the metrics it is the best of; with every subcommand, because Lightning warns
        # of a checkpoint's callbacks that are not there.
        self._dump_config()
        check_trainer(config, str(self.subcommand))
        card = RunCardWriter(shlex.join(self.command_words), self.config_dump)
        watch_children()
        stop = StopTogether(self.command_words)
        trainer: pl.Trainer = super()._instantiate_trainer(config, [card, stop, *callbacks])
        trainer.callbacks.insert(0, EarlyStops())  # type: ignore[attr-defined]  # before the user's own
        check_processes(trainer.world_size)
        check_callbacks(trainer.callbacks)  # type: ignore[attr-defined]
        if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:  # the user named no other
            trainer.strategy.checkpoint_io = AtomicCheckpointIO()
        for logger in trainer.loggers:
            if isinstance(logger, CSVLogger):
                wait_for_the_disk(logger)
        return trainer

    def _parse_ckpt_path(self) -> None:
        # Lightning's own version would silently put the checkpoint's hyper-parameters in place of the config's.
        subcommand = self.config["subcommand"]
        options = self.config[subcommand]
        path = options.get("ckpt_path")
        if path is not None and str(path) not in WORDS:
            check_content(read_checkpoint(Path(path), "--ckpt_path"), Path(path), subcommand)
        model = options.get("model") or {}
        start = (model.get("init_args") or {}).get("init_from")
        if path is None and start is None and subcommand in ("validate", "test", "predict"):
            raise UserError(
                f"`lightning {subcommand}` needs trained weights: give --ckpt_path FILE.ckpt, which "
                "`lightning fit` leaves under checkpoints/ in the run's folder"
            )

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        kwargs: dict[str, Any] = super()._prepare_subcommand_kwargs(subcommand)
        kwargs["ckpt_path"] = self._checkpoint(subcommand, kwargs.get("ckpt_path"))
        if subcommand == "predict":
            kwargs["return_predictions"] = False  # they are on disk; a data set of them would fill the memory
        return kwargs

    def _checkpoint(self, subcommand: str, asked: Any) -> Any:
        """The path that --ckpt_path stands for. A training goes on in its own folder, unless it was given a path."""
        if subcommand == "fit" and (found := of_this_slurm_job(self.trainer, self.model)) is not None:
            note(f"this SLURM job was started before: going on from {found.path} (step {found.step})")
        elif asked is None or str(asked) not in WORDS:
            return asked
        else:
            found = resolve(str(asked), subcommand, self.trainer, self.model)
        if found is None:
            return None
        if subcommand == "fit" and asked != "best":
            go_on_in(self.trainer, found.run, found.path)
        return str(found.path)


class ConfigOnly(FlowCLI):
    """Makes the objects of a command line, and does not run it."""

    def _run_subcommand(self, subcommand: str) -> None:
        pass
