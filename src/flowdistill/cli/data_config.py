"""The data part of config files, parsed as `lightning` parses it, without a model or a trainer."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import pytorch_lightning as pl
from jsonargparse import ActionConfigFile
from pytorch_lightning.cli import LightningArgumentParser

from flowdistill.cli.flow_cli import shortened
from flowdistill.data import MotionDataModule
from flowdistill.data.shipped import expand
from flowdistill.errors import UserError

# What else a config of `lightning` may hold; of no concern here.
_OTHER_KEYS = (
    "model",
    "trainer",
    "prediction",
    "best",
    "optimizer",
    "lr_scheduler",
    "seed_everything",
    "ckpt_path",
)


class _Parser(LightningArgumentParser):
    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        if not self.exit_on_error:
            super().error(message, ex)
        print(f"error: {shortened(message)}\nsee: flowdistill data check --help", file=sys.stderr)
        raise SystemExit(2)


def read_data_config(configs: Sequence[Path], overrides: Sequence[str] = ()) -> MotionDataModule:
    """The data module of one config, or of several as `lightning --config` composes them.

    Args:
        configs: YAML files, of which later ones win.
        overrides: such as ["--data.init_args.root", "DIR"], which win over all files.

    Raises:
        UserError: a file is missing, there is no data part, or it is none of ours.
        SystemExit: with code 2, after a message, for what jsonargparse refuses.
    """
    configs = [file for path in configs for file in expand(path)]
    for path in configs:
        if not path.is_file():
            raise UserError(
                f"--config {path}: there is no such file; give one such as configs/data/kitti.yaml"
            )
    parser = _Parser(parser_mode="omegaconf")
    parser.add_argument("--config", action=ActionConfigFile)
    parser.add_lightning_class_args(pl.LightningDataModule, "data", subclass_mode=True, required=False)
    for key in _OTHER_KEYS:
        parser.add_argument(f"--{key}", type=Any)
    arguments = [part for path in configs for part in ("--config", str(path))]
    # Overrides of a part that is not there would be reported as wrong keys.
    if parser.parse_args(arguments).get("data") is None:
        listed = ", ".join(map(str, configs))
        raise UserError(f"{listed}: there is no `data:` part; give a config such as configs/data/kitti.yaml")
    module = parser.instantiate(parser.parse_args([*arguments, *overrides]))["data"]
    if not isinstance(module, MotionDataModule):
        raise UserError(f"data.class_path is {type(module).__name__}; the check knows MotionDataModule.")
    return module
