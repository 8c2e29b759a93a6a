"""`flowdistill data render`, `splits` and `tree`: write synthetic data sets and split files, describe data sets."""

from __future__ import annotations

import argparse
import sys

from flowdistill.cli.parsers import Commands, add_command, add_number, parse_size

# Copy of the keys of `render.layouts.LAYOUTS`, so that --help need not import the renderer.
LAYOUTS = ("kitti2015", "kitti2012", "things", "things_subset", "chairs", "sintel")
# Likewise `render.world.WORLDS`.
WORLDS = ("rooms", "street")


def add_parser(commands: Commands) -> None:
    """Add the commands to the group `data`."""
    about = "render a synthetic data set with exact ground truth"
    render = add_command(commands, "render", run_render, about)
    render.add_argument("--output", metavar="DIR", required=True, help="output folder, new or empty")
    render.add_argument("--scenes", metavar="N", type=int, required=True, help="number of scenes")
    add_number(render, "--frames", 2, "frames per scene", "K")
    render.add_argument("--size", metavar="HxW", default="256x512", help="image size (default: 256x512)")
    add_number(render, "--seed", 0, "random seed", "S")
    layout = "folder layout and formats (default: kitti2015)"
    render.add_argument("--layout", choices=LAYOUTS, default="kitti2015", help=layout)
    unlabelled = "additional scenes without labels, as in the test sets of KITTI and Sintel"
    add_number(render, "--test-scenes", 0, unlabelled)
    add_number(render, "--stride", 1, "take every S-th time step: faster motion, larger occlusions", "S")
    world = "bright rooms full of floating objects, or a grey street with traffic (default: rooms)"
    render.add_argument("--world", choices=WORLDS, default="rooms", help=f"type of scene: {world}")
    add_number(render, "--workers", 1, "processes", "W")

    splits = add_command(commands, "splits", run_splits, "write the standard split files")
    splits.add_argument("--output", metavar="DIR", required=True, help="output folder, created if needed")

    tree = add_command(commands, "tree", run_tree, "print the folders and files of a data set")
    known = "kitti (2015), kitti2012, things, things_subset, chairs, sintel or folder"
    tree.add_argument("dataset", metavar="DATASET", help=known)


def run_render(options: argparse.Namespace) -> int:
    """Render stereo video of random 3D worlds with exact dense flow, disparity and occlusion, in the folder layout of a
    benchmark. The same seed gives the same files for any --workers.
    """
    from flowdistill.render.writer import Request, write_dataset

    size = parse_size(options.size)
    given = (options.test_scenes, options.stride, options.world)
    request = Request(options.seed, options.scenes, options.frames, size, *given)
    summary, seconds = write_dataset(options.output, options.layout, request, options.workers)
    unlabelled = f" and {options.test_scenes} without labels" if options.test_scenes else ""
    scenes = f"{options.scenes} scenes{unlabelled}, of {options.frames} frames each"
    print(f"wrote {scenes}, to {options.output}\n")
    print(summary.text(seconds))
    return 0


def run_splits(options: argparse.Namespace) -> int:
    """Write the standard split files (KITTI, Sintel, FlyingChairs and the rendered data), each from the rule stated in
    its first line. Existing files are overwritten. FlyingThings3D needs none: `scan:TRAIN` (subset: `scan:train`) in
    place of a file finds its pairs.
    """
    from flowdistill.data.split_rules import write_splits
    from flowdistill.data.splits import read_split

    for path in write_splits(options.output):
        print(f"{path}: {len(read_split(path))} samples")
    return 0


def run_tree(options: argparse.Namespace) -> int:
    """Print the required folders and files of a data set, their units, signs and pitfalls, the format of its ids, and
    where to download it.
    """
    from flowdistill.check.downloads import describe_tree
    from flowdistill.data.datasets import dataset_class

    # The config of KITTI 2015 is configs/data/kitti.yaml.
    dataset = dataset_class("kitti2015" if options.dataset == "kitti" else options.dataset)
    print(describe_tree(dataset, sys.modules[dataset.__module__].__doc__))
    return 0
