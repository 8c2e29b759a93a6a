"""`flowdistill labels make`: generate proxy labels for a student with any teacher."""

import argparse
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from flowdistill.processes import local_rank, number_from_environment

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

_LONGEST_WAIT = timedelta(days=7)


def add_parser(subparsers: "Subparsers") -> None:
    """Add the command group `labels`."""
    group = subparsers.add_parser("labels", help="generate labels for a student")
    commands = group.add_subparsers(title="labels commands", required=True, metavar="COMMAND")
    parser = commands.add_parser(
        "make",
        help="label a split with a teacher: matcher, checkpoint or files",
        description="Label every sample of a split with teachers, keep the reliable pixels, and report their number "
        "and, where ground truth exists, their error. The same command resumes an interrupted run. Under torchrun, "
        "each process labels its share.",
    )
    parser.add_argument(
        "--config",
        metavar="YAML",
        type=Path,
        action="append",
        required=True,
        help="teachers and thresholds, such as configs/labels/opencv.yaml; repeatable, later files take precedence",
    )
    parser.add_argument("--root", metavar="DIR", type=Path, required=True, help="the data folder")
    parser.add_argument("--split", metavar="FILE", required=True, help="split file, or a word such as scan")
    parser.add_argument(
        "--output",
        metavar="FOLDER",
        required=True,
        help="the labels' folder inside the data folder: labels=FOLDER in a split",
    )
    parser.add_argument("--workers", metavar="N", type=int, default=1, help="processes (default: 1)")
    parser.set_defaults(run=run_make)


def run_make(options: argparse.Namespace) -> int:
    """Make the labels, write the report, print its table and return the exit code."""
    from flowdistill.in_order import in_order
    from flowdistill.inference.label_teacher import open_checkpoint
    from flowdistill.labels.make import prepare, write_report

    rank, ranks = number_from_environment("RANK", 0), number_from_environment("WORLD_SIZE", 1)
    if ranks > 1:
        _init_process_group()
        if rank > 0:
            _barrier()  # rank 0 creates the folder
    run = prepare(options.config, options.root, options.split, options.output, open_checkpoint)
    if ranks > 1 and rank == 0:
        _barrier()
    mine = run.share(rank, ranks)
    left = [entry for entry, done in zip(mine, run.done(mine), strict=True) if done is None]
    if len(left) < len(mine):
        print(f"{len(mine) - len(left)} of {len(mine)} samples are labelled already")
    if rank == 0 and (others := run.elsewhere()):
        print(f"note: the split reads labels={', '.join(others)}; these are written to {options.output}")
    if left:
        in_order(run.job, left, options.workers, "sample", "labels")
    if ranks > 1:
        _barrier()
        _destroy_process_group()
    if rank == 0:
        text, files = write_report(run)
        print(f"\n{len(run.entries)} samples in {run.job.folder}, before the filter -> after it\n\n{text}\n")
        for file in files:
            print(f"report: {file}")
    return 0


def _init_process_group() -> None:
    """Join torchrun's process group and select this rank's GPU."""
    import torch
    from torch import distributed

    distributed.init_process_group("gloo", timeout=_LONGEST_WAIT)
    if torch.cuda.is_available():
        torch.cuda.set_device(local_rank() % torch.cuda.device_count())


def _barrier() -> None:
    """Wait until every rank has reached this point."""
    from torch import distributed

    distributed.barrier()


def _destroy_process_group() -> None:
    """Leave the process group."""
    from torch import distributed

    distributed.destroy_process_group()
