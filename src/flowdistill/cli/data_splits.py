"""`flowdistill data splits`: generate the standard split files from their rules."""

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
        "rule stated in its first line. Existing files are overwritten. FlyingThings3D needs none: `scan:TRAIN` "
        "(subset: `scan:train`) in place of a file finds its pairs.",
    )
    parser.add_argument("--output", metavar="DIR", required=True, help="output folder, created if needed")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the files, print their numbers of samples and return the exit code."""
    from flowdistill.data.split_rules import write_splits
    from flowdistill.data.splits import read_split

    for path in write_splits(args.output):
        print(f"{path}: {len(read_split(path))} samples")
    return 0
