"""`flowdistill debug batch`: the step of a batch that a training could not use, once more."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


def add_parser(subparsers: Subparsers) -> None:
    """Add the command `debug batch`."""
    group = subparsers.add_parser("debug", help="look into what a training left behind")
    commands = group.add_subparsers(title="debug commands", required=True, metavar="COMMAND")
    parser = commands.add_parser(
        "batch",
        help="repeat the training step of a batch whose loss was not finite",
        description="Read the file of a batch whose loss was NaN or infinite (non_finite_step_*.pt in the run's "
        "folder), print what its tensors hold, repeat its training step on the CPU with the weights of that time, and "
        "say where the first value that is not finite comes from. Exit code 0: everything is finite here, 1: not so.",
    )
    parser.add_argument("file", metavar="FILE", type=Path)
    parser.add_argument(
        "--checkpoint", metavar="CKPT", type=Path, help="take the weights of this one instead"
    )
    parser.add_argument("--output", metavar="DIR", type=Path, help="draw frames and labels into this folder")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the report; returns the exit code."""
    from flowdistill.inference import debug_batch

    dump = debug_batch.read_dump(options.file)
    batch = debug_batch.on_device(dump["batch"])
    model = debug_batch.rebuild_model(dump, options.checkpoint)
    weights = (
        f"as at step {dump['weights_of_step']}" if options.checkpoint is None else f"of {options.checkpoint}"
    )
    print(f"step {dump['step']}, process {dump['rank']}; weights {weights}\n")
    print("\n".join(debug_batch.describe(batch)))
    if options.output is not None:
        for path in debug_batch.write_pictures(batch, options.output):
            print(f"picture: {path}")
    found = debug_batch.run_step(model, batch)
    print("\n".join(debug_batch.report(found)))
    return int(bool(found.modules or found.gradients))
