"""`flowdistill reproduce-kitti` and `reproduce-sintel`, which `make` runs under the same names."""

from __future__ import annotations

import argparse
from pathlib import Path

from flowdistill.cli.parsers import Commands, add_command, add_number, add_path
from flowdistill.errors import UserError

#: Reproduction -> what it reproduces, and the folders under the data root.
_ABOUT = {
    "kitti": (
        "both papers on KITTI 2015",
        "kitti2015/, FlyingThings3D_subset/ or FlyingThings3D/, FlyingChairs/",
    ),
    "sintel": ("DDFlow on MPI-Sintel", "MPI-Sintel/ and FlyingChairs/"),
}


def add_parser(commands: Commands) -> None:
    """Add the commands `reproduce-kitti` and `reproduce-sintel`."""
    for name, (what, folders) in _ABOUT.items():
        about = f"reproduce {what}, from the data check to the submission"
        parser = add_command(commands, f"reproduce-{name}", run, about)
        parser.set_defaults(reproduction=name)
        parser.add_argument("--data-root", metavar="DIR", help=f"folder with {folders}")
        add_path(parser, "--output", "DIR", "folder for runs, cards and the table")
        stages = "run only these (default: all but alternatives)"
        parser.add_argument("--stages", metavar="STAGE", nargs="*", default=[], help=stages)
        add_number(parser, "--seed", 0, "seed of the weights and the sampling", None)
        add_number(parser, "--devices", 1, "devices per machine")
        each = "devices of a training: 1, 2 or 4; the others run further stages (default: as many as divide --devices)"
        parser.add_argument("--devices-each", metavar="N", type=int, help=each)
        add_number(parser, "--nodes", 1, "number of machines")
        parser.add_argument("--accelerator", choices=["gpu", "cpu"], default="gpu", help="default: gpu")
        parser.add_argument(
            "--dry-run", action="store_true", help="print the plan with steps, hours and disk"
        )
        smoke = "run on rendered data with few steps, on a CPU, in minutes"
        parser.add_argument("--smoke", action="store_true", help=smoke)


def run(options: argparse.Namespace) -> int:
    """Run the stages of the published pipelines, each a `lightning fit` of committed configs. Finished stages are
    skipped; interrupted ones resume from their last checkpoint.
    """
    from flowdistill.recipes.reproduce.plan import dry_run
    from flowdistill.recipes.reproduce.run import reproduce
    from flowdistill.recipes.reproduce.settings import Settings, default_output
    from flowdistill.recipes.reproduce.smoke import reproduce_smoke
    from flowdistill.recipes.reproduce.stages import choose

    name = options.reproduction
    stages = choose(options.stages, name)
    if not options.data_root and not options.smoke:
        raise UserError(
            f"set the data folder: make reproduce-{name} DATA_ROOT=/data, which contains {_ABOUT[name][1]}; or try it "
            f"without data: make reproduce-{name} SMOKE=1"
        )
    if options.data_root and options.smoke:
        raise UserError("a smoke run renders its own data: omit DATA_ROOT")
    output = options.output or default_output(name, options.seed, options.smoke)
    # Rendered data do not depend on the seed: several share them.
    rendered = (options.output or output.parent) / "data"
    settings = Settings(
        rendered if options.smoke else Path(options.data_root),
        output,
        seed=options.seed,
        devices=options.devices,
        devices_each=options.devices_each,
        nodes=options.nodes,
        accelerator=options.accelerator,
        smoke=options.smoke,
    )
    if options.dry_run:
        print(dry_run(settings, stages, name))
    elif options.smoke:
        reproduce_smoke(settings, stages, name)
    else:
        reproduce(settings, stages, name)
    return 0
