"""`flowdistill labels make`: generate proxy labels for a student with any teacher."""

from __future__ import annotations

import argparse
from datetime import timedelta
from types import ModuleType

from flowdistill.cli.parsers import Commands, add_command, add_group, add_number, add_path
from flowdistill.processes import local_rank, number_from_environment


def add_parser(commands: Commands) -> None:
    """Add the command group `labels`."""
    group = add_group(commands, "labels", "generate labels for a student")
    parser = add_command(
        group, "make", run, "label a split with a teacher: matcher, checkpoint or files", runs_network=True
    )
    later = "repeatable, later files take precedence"
    teachers = f"teachers and thresholds, such as configs/labels/opencv.yaml; {later}"
    add_path(parser, "--config", "YAML", teachers, action="append", required=True)
    add_path(parser, "--root", "DIR", "the data folder", required=True)
    parser.add_argument("--split", metavar="FILE", required=True, help="split file, or a word such as scan")
    folder = "the labels' folder inside the data folder: labels=FOLDER in a split"
    parser.add_argument("--output", metavar="FOLDER", required=True, help=folder)
    add_number(parser, "--workers", 1, "processes")


def run(options: argparse.Namespace) -> int:
    """Label every sample of a split with teachers, keep the reliable pixels, and report their number and, where ground
    truth exists, their error. The same command resumes an interrupted run. Under torchrun, each process labels its
    share.
    """
    from flowdistill.in_order import in_order
    from flowdistill.inference.label_teacher import open_checkpoint
    from flowdistill.labels.make import prepare, write_report

    rank, ranks = number_from_environment("RANK", 0), number_from_environment("WORLD_SIZE", 1)
    if ranks > 1:
        distributed = _process_group()
        if rank > 0:
            distributed.barrier()  # rank 0 creates the folder
    labels = prepare(options.config, options.root, options.split, options.output, open_checkpoint)
    if ranks > 1 and rank == 0:
        distributed.barrier()
    mine = labels.share(rank, ranks)
    left = [entry for entry, done in zip(mine, labels.done(mine), strict=True) if done is None]
    if len(left) < len(mine):
        print(f"{len(mine) - len(left)} of {len(mine)} samples are labelled already")
    if rank == 0 and (others := labels.elsewhere()):
        print(f"note: the split reads labels={', '.join(others)}; these are written to {options.output}")
    if left:
        in_order(labels.job, left, options.workers, "sample", "labels")
    if ranks > 1:
        distributed.barrier()
        distributed.destroy_process_group()
    if rank == 0:
        text, files = write_report(labels)
        entries, folder = labels.entries, labels.job.folder
        print(f"\n{len(entries)} samples in {folder}, before the filter -> after it\n\n{text}\n")
        for file in files:
            print(f"report: {file}")
    return 0


def _process_group() -> ModuleType:
    """Join torchrun's process group and select this rank's GPU; return `torch.distributed`."""
    import torch
    from torch import distributed

    distributed.init_process_group("gloo", timeout=timedelta(days=7))  # the longest wait for another rank
    if torch.cuda.is_available():
        torch.cuda.set_device(local_rank() % torch.cuda.device_count())
    return distributed
