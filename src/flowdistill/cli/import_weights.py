"""`flowdistill import`: weights of other frameworks."""

from __future__ import annotations

import argparse

from flowdistill.cli.parsers import Commands, add_command, add_group, add_path
from flowdistill.errors import UserError

MODELS = ("dwarf", "ddflow")  # copy of inference.import_weights.MODELS, so that --help need not import torch


def add_parser(commands: Commands) -> None:
    """Add the command group `import`."""
    group = add_group(commands, "import", "import weights of other frameworks", "formats")
    parser = add_command(group, "tensorflow", run, "a TensorFlow-1 checkpoint of DWARF's or DDFlow's authors")
    parser.add_argument("--model", choices=MODELS, required=True, help="the network")
    about = (
        "PREFIX of PREFIX.index and PREFIX.data-*, a file of the older format, or an .npz of the variables"
    )
    add_path(parser, "--checkpoint", "PREFIX|FILE", about, required=True)
    add_path(parser, "--output", "X.ckpt", "the checkpoint to write", required=True)
    parser.add_argument("--overwrite", action="store_true", help="replace the file if it exists")


def run(options: argparse.Namespace) -> int:
    """Convert a TensorFlow-1 checkpoint into one that `lightning predict --ckpt_path`, `flowdistill infer` and
    `init_from` take. TensorFlow is not needed. Every checksum is verified; optimiser slots and counters are left out.
    """
    output = options.output
    if output.suffix != ".ckpt":
        raise UserError(f"--output: {output} must end with .ckpt")
    if not output.parent.is_dir():
        raise UserError(f"--output: the folder {output.parent} does not exist; create it first")
    if output.is_dir() or (output.exists() and not options.overwrite):
        raise UserError(f"--output: {output} exists; choose another name, or replace it with --overwrite")
    from flowdistill.inference.import_weights import import_tensorflow

    done = import_tensorflow(options.model, options.checkpoint, output)
    print(f"{output}: {done.variables} variables of {options.model}, width {done.width:g}")
    if done.scope:
        print(f"their names begin with {done.scope}, which was removed")
    if done.ignored:
        told = ", ".join(f"{count} {kind}" for kind, count in sorted(done.ignored.items()))
        print(f"left out: {told}")
    return 0
