"""`flowdistill reproduce-kitti`, which `make reproduce-kitti` runs."""

from __future__ import annotations

import argparse
from pathlib import Path

from flowdistill.cli.parsers import Commands, add_command, add_number, add_path
from flowdistill.errors import UserError


def add_parser(commands: Commands) -> None:
    """Add the command `reproduce-kitti`."""
    about = "reproduce both papers on KITTI 2015, from the data check to the submission"
    parser = add_command(commands, "reproduce-kitti", run, about)
    data = "folder with kitti2015/ and FlyingThings3D_subset/ or FlyingThings3D/"
    parser.add_argument("--data-root", metavar="DIR", help=data)
    add_path(parser, "--output", "DIR", "folder for runs, cards and the table")
    stages = "run only these (default: all)"
    parser.add_argument("--stages", metavar="STAGE", nargs="*", default=[], help=stages)
    add_number(parser, "--seed", 0, "seed of the weights and the sampling", None)
    add_number(parser, "--devices", 1, "devices per machine: 1, 2 or 4")
    add_number(parser, "--nodes", 1, "number of machines")
    parser.add_argument("--accelerator", choices=["gpu", "cpu"], default="gpu", help="default: gpu")
    parser.add_argument("--dry-run", action="store_true", help="print the plan with steps, hours and disk")
    smoke = "run on rendered data with few steps, on a CPU, in minutes"
    parser.add_argument("--smoke", action="store_true", help=smoke)


def run(options: argparse.Namespace) -> int:
    """Run the stages of both papers on KITTI 2015, each a `lightning fit` of committed configs. Finished stages are
    skipped; interrupted ones resume from their last checkpoint.
    """
    from flowdistill.recipes.reproduce.plan import dry_run
    from flowdistill.recipes.reproduce.run import reproduce, reproduce_smoke
    from flowdistill.recipes.reproduce.settings import SMOKE_OUTPUT, Settings
    from flowdistill.recipes.reproduce.stages import choose

    stages = choose(options.stages)
    if not options.data_root and not options.smoke:
        raise UserError(
            "set the data folder: make reproduce-kitti DATA_ROOT=/data, which contains kitti2015/ and "
            "FlyingThings3D_subset/; or try it without data: make reproduce-kitti SMOKE=1"
        )
    if options.data_root and options.smoke:
        raise UserError("a smoke run renders its own data: omit DATA_ROOT")
    default = SMOKE_OUTPUT / f"seed{options.seed}" if options.smoke else Path("runs/reproduce-kitti")
    data_root = (options.output or SMOKE_OUTPUT) / "data" if options.smoke else Path(options.data_root)
    settings = Settings(
        data_root,
        options.output or default,
        seed=options.seed,
        devices=options.devices,
        nodes=options.nodes,
        accelerator=options.accelerator,
        smoke=options.smoke,
    )
    if options.dry_run:
        print(dry_run(settings, stages))
    elif options.smoke:
        reproduce_smoke(settings, stages)
    else:
        reproduce(settings, stages)
    return 0
