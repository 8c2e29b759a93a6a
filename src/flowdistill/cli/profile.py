"""`flowdistill profile`: cost of a config's training step, by part."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from flowdistill.cli.parsers import Commands, add_command, add_path, parse_size
from flowdistill.errors import UserError


def add_parser(commands: Commands) -> None:
    """Add the command `profile`."""
    about = "print parameters, operations, time and memory of a config's training step"
    parser = add_command(commands, "profile", run, about, takes_config_keys=True)
    parser.add_argument("--config", action="append", type=Path, required=True, metavar="YAML", dest="configs")
    size = "size of the samples (default: the crop of the data config)"
    parser.add_argument("--size", metavar="HxW", help=size)
    batch = "batch size per process (default: the config's)"
    parser.add_argument("--batch-size", type=int, metavar="N", help=batch)
    step = "optimizer step, which determines the loss terms"
    parser.add_argument("--step", type=int, default=0, metavar="N", help=step)
    add_path(parser, "--json", "FILE", "also write the numbers to this file")


def run(options: argparse.Namespace) -> int:
    """Build the model of a config and run its training step on synthetic samples. Reports parameters, floating-point
    operations and time by part, peak memory, and the largest batch that fits. No data are needed. Accepts the arguments
    of `lightning fit`: --config (repeatable) and dotted keys.
    """
    from flowdistill.cli.lightning import run_cli
    from flowdistill.formats import write_atomically

    configs = [part for path in options.configs for part in ("--config", str(path))]
    cli = run_cli(["fit", *configs, "--trainer.logger", "false", *options.config_keys], run=False)
    from flowdistill.data import MotionDataModule
    from flowdistill.inference.measure_step import measure
    from flowdistill.inference.profile import table
    from flowdistill.training.base import MotionModule

    model, data = cli.model, cli.datamodule
    if not isinstance(model, MotionModule) or not isinstance(data, MotionDataModule):
        raise UserError("flowdistill profile only supports flowdistill's own models and data")
    view = data.views[model.view]
    crop = None if view is None else view.with_preset().crop
    size = crop if options.size is None else parse_size(options.size, example="320x896")
    if size is None:
        raise UserError(f"data.init_args.{model.view}.crop is not set: use --size, such as --size 320x896")
    trainer = cli.trainer
    share = max(data.batch_size // (trainer.world_size * trainer.accumulate_grad_batches), 1)
    samples = share if options.batch_size is None else options.batch_size
    if samples < 1:
        raise UserError(f"--batch-size must be 1 or more, not {samples}")
    device = "gpu" if trainer.strategy.root_device.type == "cuda" else "cpu"
    found = measure(model, samples, (size[0], size[1]), options.step, trainer.precision, device)
    print(table(found))
    if options.json is not None:
        write_atomically(options.json, json.dumps(found.as_dict(), indent=1).encode())
    return 0
