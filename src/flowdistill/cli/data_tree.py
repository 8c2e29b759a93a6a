"""`flowdistill data tree`: print the required folders and files of a data set."""

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


def add_parser(subparsers: "Subparsers") -> None:
    """Add the command `tree` to the group `data`."""
    parser = subparsers.add_parser(
        "tree",
        help="print the folders and files of a data set",
        description="Print the required folders and files of a data set, their units, signs and pitfalls, the format "
        "of its ids, and where to download it.",
    )
    parser.add_argument(
        "dataset",
        metavar="DATASET",
        help="kitti (2015), kitti2012, things, things_subset, chairs, sintel or folder",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the description and return the exit code."""
    from flowdistill.check.downloads import describe_tree
    from flowdistill.data.datasets import dataset_class

    # The config of KITTI 2015 is configs/data/kitti.yaml.
    dataset = dataset_class("kitti2015" if args.dataset == "kitti" else args.dataset)
    print(describe_tree(dataset, sys.modules[dataset.__module__].__doc__))
    return 0
