"""LightningCLI with composable --config files and error messages of a few lines instead of a page."""

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

from flowdistill import renamed
from flowdistill.cli import refusals
from flowdistill.cli.processes import watch_children
from flowdistill.cli.which_checkpoint import of_folder, of_this_slurm_job, resolve
from flowdistill.data.notes import note
from flowdistill.data.shipped import in_words
from flowdistill.errors import UserError
from flowdistill.formats import write_atomically
from flowdistill.inference.writer import PredictionWriter
from flowdistill.tracking.callback import RunCardWriter, WholeConfig
from flowdistill.tracking.folders import check_is_new, claim_versions, go_on_in, wait_for_the_disk
from flowdistill.tracking.pace import Pace
from flowdistill.tracking.pictures import Pictures
from flowdistill.tracking.resume import Resume
from flowdistill.tracking.wandb_run import Artifacts, WandbRuns
from flowdistill.training import AtomicCheckpointIO, BestCheckpoint, StopTogether, run_folder
from flowdistill.training.init_from import read_checkpoint
from flowdistill.training.progress import CountSteps

WORDS = ("best", "last", "hpc")  # accepted by --ckpt_path in place of a path

# Lines of jsonargparse about the types that it tried, which do not help to fix a YAML file.
_NOISE = re.compile(
    r"^\s*(- )?(Does not validate against any of the Union subtypes"
    r"|Subtypes: .*"
    r"|Errors:"
    r"|Expected a <class 'NoneType'>\.?.*"
    r"|Given value type: .*"
    r"|Given value: NestedArg.*)$"
)


class ShortErrorParser(LightningArgumentParser):
    """Parser that exits with code 2, the message and a pointer to --help, without the list of all options.

    Attributes:
        command: the command with this --help; None for `lightning` and its sub-commands.
    """

    command: str | None = None

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        if not self.exit_on_error:  # a nested parser: the outer one reports
            super().error(message, ex)
        parser = getattr(ex, "subcommand_parser", None) or self
        # The first word is the program: `lightning` or a path to a file.
        subcommand = parser.prog.replace(" [options]", "").split()[1:]
        command = self.command or " ".join(["lightning", *subcommand])
        kept = "\n".join(line for line in message.splitlines() if not _NOISE.match(line))
        print(f"error: {kept or message}\nsee: {command} --help", file=sys.stderr)
        raise SystemExit(2)


class SaveFitConfig(SaveConfigCallback):
    """Write the whole config next to the logs of a `fit`; other commands write no file.

    A run resumed in its folder does not overwrite the first config, but adds config_resumed_1.yaml.
    """

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if stage != "fit" or not trainer.loggers or getattr(trainer, "fast_dev_run", False):
            return
        folder = run_folder(trainer)  # trainer.log_dir is the shared SAVE_DIR for loggers such as W&B's
        if not trainer.is_global_zero:
            return
        name, number = self.config_filename, 0
        while (folder / name).exists():
            number += 1
            name = f"config_resumed_{number}.yaml"
        text = self.parser.dump(self.config, skip_none=False)
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / name, text.encode())


class FlowCLI(LightningCLI):
    """Lightning's CLI with a prediction writer, a best checkpoint, run cards, and checkpoints that never override the
    config."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_lightning_class_args(PredictionWriter, "prediction")
        parser.add_lightning_class_args(BestCheckpoint, "best")
        parser.add_lightning_class_args(Resume, "resume")
        parser.add_lightning_class_args(Pictures, "pictures")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        words = args if isinstance(args, list) else sys.argv[1:]
        self.command_words = ["lightning", *words]
        super().parse_arguments(parser, in_words(words) if isinstance(words, list) else args)
        config = self.config[self.config.subcommand] if self.config.get("subcommand") else self.config
        for name in renamed.OPTIONS:  # unused old names are not written to the run's config
            if config.get(name, ...) is None:
                config.pop(name)

    def before_instantiate_classes(self) -> None:
        self._dump_config()
        refusals.check_loggers((self.config_dump.get("trainer") or {}).get("logger"))

    def _instantiate_trainer(self, config: dict[str, Any], callbacks: list[pl.Callback]) -> pl.Trainer:
        # Own callbacks first, so that best.ckpt contains the metrics it was selected by; for every subcommand, because
        # Lightning warns about missing callbacks of a checkpoint.
        refusals.check_trainer(config, str(self.subcommand))
        refusals.check_secrets(self.config_dump)
        card = RunCardWriter(shlex.join(self.command_words), self.config_dump)
        watch_children()
        stop = StopTogether(self.command_words)
        own = [card, Artifacts(), stop, WholeConfig(self.config_dump), Pace()]
        trainer: pl.Trainer = super()._instantiate_trainer(config, [*own, *callbacks])
        # Before the user's own callbacks.
        trainer.callbacks[:0] = [CountSteps(), refusals.EarlyStops()]  # type: ignore[attr-defined]
        refusals.check_processes(trainer.world_size)
        refusals.check_callbacks(trainer.callbacks)  # type: ignore[attr-defined]
        if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:  # not set by the user
            trainer.strategy.checkpoint_io = AtomicCheckpointIO()
        for logger in trainer.loggers:
            if isinstance(logger, CSVLogger):
                wait_for_the_disk(logger)
        claim_versions(trainer)
        self.wandb = WandbRuns(trainer)
        return trainer

    def _parse_ckpt_path(self) -> None:
        # Lightning's version would silently override the config's hyper-parameters with the checkpoint's.
        subcommand = self.config["subcommand"]
        options = self.config[subcommand]
        path = options.get("ckpt_path")
        if path is not None and str(path) not in WORDS and not Path(path).is_dir():
            refusals.check_content(read_checkpoint(Path(path), "--ckpt_path"), Path(path), subcommand)
        model = options.get("model") or {}
        start = (model.get("init_args") or {}).get("init_from")
        if path is None and start is None and subcommand in ("validate", "test", "predict"):
            raise UserError(
                f"`lightning {subcommand}` needs trained weights: set --ckpt_path FILE.ckpt, which "
                "`lightning fit` saves under checkpoints/ in the run's folder"
            )

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        kwargs: dict[str, Any] = super()._prepare_subcommand_kwargs(subcommand)
        asked = kwargs.get("ckpt_path")
        kwargs["ckpt_path"] = self._checkpoint(subcommand, asked)
        if subcommand == "fit" and not self._in_place:
            check_is_new(self.trainer, again=asked == "last")
        self.wandb.open(self.trainer, subcommand)
        if subcommand == "predict":
            kwargs["return_predictions"] = False  # on disk already; keeping all of them would exhaust memory
        return kwargs

    def _checkpoint(self, subcommand: str, asked: Any) -> Any:
        """Return the path of --ckpt_path. A training resumes in its own folder, unless a file was given."""
        self._in_place = False
        if subcommand == "fit" and (found := of_this_slurm_job(self.trainer, self.model)) is not None:
            note(f"this SLURM job was started before: resuming from {found.path} (step {found.step})")
        elif asked is None:
            return None
        elif str(asked) in WORDS:
            found = resolve(str(asked), subcommand, self.trainer, self.model)
        elif Path(asked).is_dir():
            found = of_folder(Path(asked), subcommand)
        else:
            if subcommand == "fit":
                run = Path(asked).resolve().parent.parent
                self.wandb.go_on(run)
                self._in_place = run_folder(self.trainer).resolve() == run
            return asked
        if found is None:
            return None
        if subcommand == "fit":
            self.wandb.go_on(found.run)
            self._in_place = asked != "best" and go_on_in(self.trainer, found.run, found.path)
        return str(found.path)


class ConfigOnly(FlowCLI):
    """Instantiate the objects of a command line without running it."""

    def _run_subcommand(self, subcommand: str) -> None:
        pass
