"""`flowdistill data splits`: write the standard split files from their rules."""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


def add_parser(subparsers: "Subparsers") -> None:
    """Add the command `splits` to the group `data`."""
    parser = subparsers.add_parser(
        "splits",
        help="write the standard split files",
        description="Write the standard split files (KITTI, Sintel, FlyingChairs and the rendered data), each from the "
        "rule that its first line states. Files of the same name are replaced. FlyingThings3D needs none: the word "
        "`scan:TRAIN` (subset: `scan:train`) in place of a file finds its pairs.",
    )
    parser.add_argument("--output", metavar="DIR", required=True, help="folder to write to, made if needed")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the files and say what was written; returns the exit code."""
    from flowdistill.data.split_rules import write_splits
    from flowdistill.data.splits import read_split

    for path in write_splits(args.output):
        print(f"{path}: {len(read_split(path))} samples")
    return 0
