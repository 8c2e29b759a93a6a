"""`lightning`: fit, validate, test and predict from YAML files, on PyTorch Lightning's CLI."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from flowdistill.cli.exit_codes import report_user_errors
from flowdistill.errors import UserError


def main(arguments: list[str] | None = None) -> int:
    """Run the console script; returns its exit code: 2 for the user's mistakes, with a message."""
    return report_user_errors(lambda: _run(arguments))


def _run(arguments: list[str] | None) -> int:
    # albumentations asks the network for its newest version when it is imported.
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    import pytorch_lightning as pl
    from pytorch_lightning.cli import LightningCLI

    from flowdistill.cli.parser import ShortErrorParser
    from flowdistill.inference.writer import PredictionWriter

    class FlowCLI(LightningCLI):
        """Several --config files compose: model x data x trainer."""

        def add_arguments_to_parser(self, parser: Any) -> None:
            parser.add_lightning_class_args(PredictionWriter, "prediction")

        def before_instantiate_classes(self) -> None:
            path = self.config[self.subcommand].get("ckpt_path")
            known = ("best", "last", "hpc")
            if path is not None and str(path) not in known and not Path(path).exists():
                raise UserError(
                    f"--ckpt_path: {path} does not exist; give a .ckpt file that `lightning fit` wrote"
                )

        def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
            kwargs: dict[str, Any] = super()._prepare_subcommand_kwargs(subcommand)
            if subcommand == "predict":
                kwargs["return_predictions"] = (
                    False  # they are on disk; a data set of them would fill the memory
                )
            return kwargs

    FlowCLI(
        pl.LightningModule,
        pl.LightningDataModule,
        parser_class=ShortErrorParser,
        subclass_mode_model=True,
        subclass_mode_data=True,
        seed_everything_default=0,
        parser_kwargs={"parser_mode": "omegaconf"},
        auto_configure_optimizers=False,  # the modules bring Adam and their schedules
        save_config_kwargs={"overwrite": True},
        args=arguments,
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
