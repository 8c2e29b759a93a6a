"""`flowdistill labels make`: proxy labels for a student, by any teacher."""

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
    group = subparsers.add_parser("labels", help="make labels for a student")
    commands = group.add_subparsers(title="labels commands", required=True, metavar="COMMAND")
    parser = commands.add_parser(
        "make",
        help="label a split by a teacher: matcher, checkpoint or files",
        description="Let teachers label every sample of a split, keep the pixels that can be believed, and report how "
        "many there are and, where truth exists, how wrong. Started again, it resumes where it stopped. Under torchrun "
        "each process takes its share.",
    )
    parser.add_argument(
        "--config",
        metavar="YAML",
        type=Path,
        action="append",
        required=True,
        help="teachers and thresholds, such as configs/labels/opencv.yaml; of several, later ones win",
    )
    parser.add_argument("--root", metavar="DIR", type=Path, required=True, help="the data folder")
    parser.add_argument("--split", metavar="FILE", required=True, help="split file, or a word such as scan")
    parser.add_argument(
        "--output",
        metavar="FOLDER",
        required=True,
        help="the labels' folder under the data folder: labels=FOLDER in a split",
    )
    parser.add_argument("--workers", metavar="N", type=int, default=1, help="processes (default: 1)")
    parser.set_defaults(run=run_make)


def run_make(options: argparse.Namespace) -> int:
    """Make the labels, write the report and print its table; returns the exit code."""
    from flowdistill.in_order import in_order
    from flowdistill.inference.label_teacher import open_checkpoint
    from flowdistill.labels.make import prepare, write_report

    rank, ranks = number_from_environment("RANK", 0), number_from_environment("WORLD_SIZE", 1)
    if ranks > 1:
        _meet()
        if rank > 0:
            _wait()  # the first process makes the folder
    run = prepare(options.config, options.root, options.split, options.output, open_checkpoint)
    if ranks > 1 and rank == 0:
        _wait()
    mine = run.share(rank, ranks)
    left = [entry for entry, done in zip(mine, run.done(mine), strict=True) if done is None]
    if len(left) < len(mine):
        print(f"{len(mine) - len(left)} of {len(mine)} samples are labelled already")
    if rank == 0 and (others := run.elsewhere()):
        print(f"note: lines of the split read labels={', '.join(others)}; these go to {options.output}")
    if left:
        in_order(run.job, left, options.workers, "sample", "labels")
    if ranks > 1:
        _wait()
        _part()
    if rank == 0:
        text, files = write_report(run)
        print(f"\n{len(run.entries)} samples in {run.job.folder}, before the filter -> after it\n\n{text}\n")
        for file in files:
            print(f"report: {file}")
    return 0


def _meet() -> None:
    """Join the other processes of torchrun, and take this one's GPU."""
    import torch
    from torch import distributed

    distributed.init_process_group("gloo", timeout=_LONGEST_WAIT)
    if torch.cuda.is_available():
        torch.cuda.set_device(local_rank() % torch.cuda.device_count())


def _wait() -> None:
    """Until every process has come here."""
    from torch import distributed

    distributed.barrier()


def _part() -> None:
    """Leave the other processes."""
    from torch import distributed

    distributed.destroy_process_group()
