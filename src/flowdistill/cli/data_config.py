"""Parse the data part of config files as `lightning` does, without a model or a trainer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from jsonargparse import ActionConfigFile

from flowdistill.cli.flow_cli import ShortErrorParser
from flowdistill.data import MotionDataModule
from flowdistill.data.shipped import expand
from flowdistill.errors import UserError

# Other keys of a `lightning` config, ignored here.
_OTHER_KEYS = (
    "model", "trainer", "prediction", "best", "optimizer", "lr_scheduler", "seed_everything", "ckpt_path",
)  # fmt: skip


class _Parser(ShortErrorParser):
    command = "flowdistill data check"


def read_data_config(configs: Sequence[Path], overrides: Sequence[str] = ()) -> MotionDataModule:
    """Return the data module of one config, or of several composed as by `lightning --config`.

    Args:
        configs: YAML files; later ones take precedence.
        overrides: such as ["--data.init_args.root", "DIR"]; they take precedence over all files.

    Raises:
        UserError: a file or the data part is missing, or the data module is not a MotionDataModule.
        SystemExit: with code 2, after a message, for errors found by jsonargparse.
    """
    configs = [file for path in configs for file in expand(path)]
    for path in configs:
        if not path.is_file():
            raise UserError(f"--config {path}: no such file; use one such as configs/data/kitti.yaml")
    parser = _Parser(parser_mode="omegaconf")
    parser.add_argument("--config", action=ActionConfigFile)
    parser.add_lightning_class_args(pl.LightningDataModule, "data", subclass_mode=True, required=False)
    for key in _OTHER_KEYS:
        parser.add_argument(f"--{key}", type=Any)
    arguments = [part for path in configs for part in ("--config", str(path))]
    # Overrides of a missing part would be reported as wrong keys.
    if parser.parse_args(arguments).get("data") is None:
        listed = ", ".join(map(str, configs))
        raise UserError(f"{listed}: there is no `data:` part; use a config such as configs/data/kitti.yaml")
    module = parser.instantiate(parser.parse_args([*arguments, *overrides]))["data"]
    if not isinstance(module, MotionDataModule):
        raise UserError(f"data.class_path is {type(module).__name__}; only MotionDataModule can be checked.")
    return module
