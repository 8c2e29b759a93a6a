"""`flowdistill data check`: open every file that a data config refers to and report problems."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from flowdistill.cli.output import check_output, write_json
from flowdistill.cli.parsers import Commands, add_command, add_path

if TYPE_CHECKING:
    from flowdistill.check.problems import Problem
    from flowdistill.data import MotionDataModule

_MOST_WORKERS = 8


def add_parser(commands: Commands) -> None:
    """Add the command `check` to the group `data`."""
    about = "open every file that a data config refers to"
    parser = add_command(commands, "check", run, about, takes_config_keys=True)
    configs = "such as configs/data/kitti.yaml; repeatable, later files take precedence"
    add_path(parser, "--config", "YAML", configs, action="append", required=True)
    parser.add_argument("--root", metavar="DIR", help="the data folder (default: the config's, DATA_ROOT)")
    add_path(parser, "--json", "OUT", "write all problems to this file")
    exclude = "write the samples with problems to a list for --data.init_args.exclude FILE"
    add_path(parser, "--exclude-to", "FILE", exclude)
    fast = "headers only: missing files, truncated files, wrong sizes"
    parser.add_argument("--fast", action="store_true", help=fast)
    workers = f"processes (default: one per core, at most {_MOST_WORKERS})"
    cores = min(os.cpu_count() or 1, _MOST_WORKERS)
    parser.add_argument("--workers", metavar="N", type=int, default=cores, help=workers)


def run(args: argparse.Namespace) -> int:
    """Open every file in the splits of a data config, for training, validation and prediction, in both views, and
    report files that are missing, damaged, of the wrong size, not finite, implausible, of the wrong sign, empty, or
    inconsistent with the images, and invalid lines of splits. Keys of the config can be set as for `lightning`:
    --data.init_args.KEY VALUE. Exit code 0: at most warnings; 1: a problem.
    """
    from flowdistill.check.collect import collect
    from flowdistill.check.examine import Examiner
    from flowdistill.check.plan import plan_check
    from flowdistill.check.problems import to_json
    from flowdistill.check.report import table
    from flowdistill.check.sources import own_trees
    from flowdistill.cli.data_config import read_data_config
    from flowdistill.in_order import in_order

    check_output(args.json, "--json")
    check_output(args.exclude_to, "--exclude-to")
    root = [] if args.root is None else ["--data.init_args.root", args.root]
    module = read_data_config(args.config, [*args.config_keys, *root])
    plan = plan_check(module)
    reports = in_order(Examiner(args.fast), plan.jobs, args.workers, "job", "check")
    problems = collect(plan, reports)
    samples = {(sample.root, sample.entry) for split in plan.splits for sample in split}
    own = own_trees(plan, reports)
    # Files first: a closed stdout (`| head`) must not lose an hour's work.
    written = []
    if args.json is not None:
        write_json(args.json, to_json(problems))
        written.append(f"problems: {args.json}")
    if args.exclude_to is not None:
        written += _write_exclusions(args.exclude_to, problems, module)
    print("\n".join([f"\n{table(problems, len(samples), plan.files, args.fast, own)}\n", *written]))
    return 1 if any(problem.severity == "error" for problem in problems) else 0


def _write_exclusions(path: Path, problems: list[Problem], module: MotionDataModule) -> list[str]:
    """Write one list for the data module's own data set, and one next to it for each other source of a mixture.

    Returns a message for each list.
    """
    from flowdistill.check.exclusions import exclusion_lists
    from flowdistill.data.exclusion import write_exclusions

    certain = {problem.entry for problem in problems if problem.severity == "error"}
    doubtful = {problem.entry for problem in problems} - certain
    said = []
    for file, (key, entries) in exclusion_lists(path, problems, module).items():
        write_exclusions(file, entries)
        only = sum(entry in doubtful for entry in entries)
        warned = f" ({only} of them for warnings only: review these first)" if only else ""
        said.append(f"samples to exclude: {len(entries)} in {file}, for {key}{warned}")
    return said
