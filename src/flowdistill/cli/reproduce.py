"""`flowdistill reproduce-kitti`, which `make reproduce-kitti` runs."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "reproduce-kitti",
        help="reproduce both papers on KITTI 2015, from the data check to the submission",
        description="Run the stages of both papers on KITTI 2015, each a `lightning fit` of committed configs. "
        "Finished stages are skipped; interrupted ones resume from their last checkpoint.",
    )
    parser.add_argument(
        "--data-root",
        metavar="DIR",
        help="folder with kitti2015/ and FlyingThings3D_subset/ or FlyingThings3D/",
    )
    parser.add_argument("--output", metavar="DIR", type=Path, help="folder for runs, cards and the table")
    parser.add_argument(
        "--stages", metavar="STAGE", nargs="*", default=[], help="run only these (default: all)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of the weights and the sampling (default: 0)"
    )
    parser.add_argument(
        "--devices", metavar="N", type=int, default=1, help="devices per machine: 1, 2 or 4 (default: 1)"
    )
    parser.add_argument("--nodes", metavar="N", type=int, default=1, help="number of machines (default: 1)")
    parser.add_argument("--accelerator", choices=["gpu", "cpu"], default="gpu", help="default: gpu")
    parser.add_argument("--dry-run", action="store_true", help="print the plan with steps, hours and disk")
    parser.add_argument(
        "--smoke", action="store_true", help="run on rendered data with few steps, on a CPU, in minutes"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the stages; return exit code 0 once every stage is done."""
    from flowdistill.errors import UserError
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
    settings = Settings(
        data_root=(options.output or SMOKE_OUTPUT) / "data" if options.smoke else Path(options.data_root),
        output=options.output or default,
        seed=options.seed,
        devices=options.devices,
        nodes=options.nodes,
        accelerator=options.accelerator,
        smoke=options.smoke,
    )
    if options.dry_run:
        from flowdistill.recipes.reproduce.plan import dry_run

        print(dry_run(settings, stages))
    elif options.smoke:
        reproduce_smoke(settings, stages)
    else:
        reproduce(settings, stages)
    return 0
