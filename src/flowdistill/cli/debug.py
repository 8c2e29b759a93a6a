"""`flowdistill debug batch`: repeat the training step of a batch whose loss was not finite."""

from __future__ import annotations

import argparse

from flowdistill.cli.parsers import Commands, add_command, add_group, add_path


def add_parser(commands: Commands) -> None:
    """Add the command `debug batch`."""
    group = add_group(commands, "debug", "inspect files that a failed training saved")
    parser = add_command(group, "batch", run, "repeat the training step of a batch whose loss was not finite")
    add_path(parser, "file", "FILE", "a non_finite_step_*.pt of a run")
    add_path(parser, "--checkpoint", "CKPT", "use the weights of this checkpoint instead")
    add_path(parser, "--output", "DIR", "write pictures of frames and labels to this folder")


def run(options: argparse.Namespace) -> int:
    """Read the file of a batch whose loss was NaN or infinite (non_finite_step_*.pt in the run's folder), print a
    summary of its tensors, repeat its training step on the CPU with the weights of that step, and locate the first
    value that is not finite. Exit code 0: all values are finite here, 1: some are not.
    """
    from flowdistill.inference import debug_batch

    dump = debug_batch.read_dump(options.file)
    batch = debug_batch.on_device(dump["batch"])
    model = debug_batch.rebuild_model(dump, options.checkpoint)
    own = f"as at step {dump['weights_of_step']}"
    weights = own if options.checkpoint is None else f"of {options.checkpoint}"
    print(f"step {dump['step']}, process {dump['rank']}; weights {weights}\n")
    print("\n".join(debug_batch.describe(batch)))
    if options.output is not None:
        for path in debug_batch.write_pictures(batch, options.output):
            print(f"picture: {path}")
    found = debug_batch.run_step(model, batch)
    print("\n".join(debug_batch.report(found)))
    return int(bool(found.modules or found.gradients))
