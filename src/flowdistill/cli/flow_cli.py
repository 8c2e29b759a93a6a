"""Our LightningCLI: several --config files compose, and what is wrong is said in a few lines instead of a page."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import Any, NoReturn

import pytorch_lightning as pl
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from pytorch_lightning.plugins.io import TorchCheckpointIO

from flowdistill.errors import UserError
from flowdistill.inference.writer import PredictionWriter
from flowdistill.interop import read_checkpoint
from flowdistill.tracking.callback import RunCardWriter
from flowdistill.training import AtomicCheckpointIO, BestCheckpoint

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
    """Writes the whole config beside the logs of a `fit`; other commands leave no file behind."""

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if stage != "fit" or not trainer.loggers:
            return
        super().setup(trainer, pl_module, stage)


class FlowCLI(LightningCLI):
    """Lightning's CLI with a prediction writer, a best checkpoint, run cards, and checkpoints that never replace what
    the config says."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_lightning_class_args(PredictionWriter, "prediction")
        parser.add_lightning_class_args(BestCheckpoint, "best")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        words = args if isinstance(args, list) else sys.argv[1:]
        self.command_line = shlex.join(["lightning", *words])
        super().parse_arguments(parser, args)

    def _instantiate_trainer(self, config: dict[str, Any], callbacks: list[pl.Callback]) -> pl.Trainer:
        # First, so that best.ckpt holds the metrics it is the best of; with every subcommand, because Lightning warns
        # of a checkpoint's callbacks that are not there.
        self._dump_config()
        card = RunCardWriter(self.command_line, self.config_dump)
        trainer: pl.Trainer = super()._instantiate_trainer(config, [card, *callbacks])
        if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:  # the user named no other
            trainer.strategy.checkpoint_io = AtomicCheckpointIO()
        return trainer

    def _parse_ckpt_path(self) -> None:
        # Lightning's own version would silently put the checkpoint's hyper-parameters in place of the config's.
        subcommand = self.config["subcommand"]
        options = self.config[subcommand]
        path = options.get("ckpt_path")
        if path is not None and str(path) not in ("best", "last", "hpc"):
            read_checkpoint(Path(path), "--ckpt_path")
        model = options.get("model") or {}
        start = (model.get("init_args") or {}).get("init_from")
        if path is None and start is None and subcommand in ("validate", "test", "predict"):
            raise UserError(
                f"`lightning {subcommand}` needs trained weights: give --ckpt_path FILE.ckpt, which "
                "`lightning fit` leaves under checkpoints/ in the run's folder"
            )

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        kwargs: dict[str, Any] = super()._prepare_subcommand_kwargs(subcommand)
        if subcommand == "predict":
            kwargs["return_predictions"] = False  # they are on disk; a data set of them would fill the memory
        return kwargs
