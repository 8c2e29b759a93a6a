"""`flowdistill debug batch`: repeat the training step of a batch whose loss was not finite."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


def add_parser(subparsers: Subparsers) -> None:
    """Add the command `debug batch`."""
    group = subparsers.add_parser("debug", help="inspect files that a failed training saved")
    commands = group.add_subparsers(title="debug commands", required=True, metavar="COMMAND")
    parser = commands.add_parser(
        "batch",
        help="repeat the training step of a batch whose loss was not finite",
        description="Read the file of a batch whose loss was NaN or infinite (non_finite_step_*.pt in the run's "
        "folder), print a summary of its tensors, repeat its training step on the CPU with the weights of that step, "
        "and locate the first value that is not finite. Exit code 0: all values are finite here, 1: some are not.",
    )
    parser.add_argument("file", metavar="FILE", type=Path)
    parser.add_argument(
        "--checkpoint", metavar="CKPT", type=Path, help="use the weights of this checkpoint instead"
    )
    parser.add_argument(
        "--output", metavar="DIR", type=Path, help="write pictures of frames and labels to this folder"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the report and return the exit code."""
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
