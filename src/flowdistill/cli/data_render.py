"""`flowdistill data render`: write a synthetic stereo video data set with exact ground truth."""

import argparse
import re
from typing import TYPE_CHECKING

from flowdistill.errors import UserError

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

# Copy of the keys of `render.layouts.LAYOUTS`, so that --help need not import the renderer.
LAYOUTS = ("kitti2015", "kitti2012", "things", "things_subset", "chairs", "sintel")
# Likewise `render.world.WORLDS`.
WORLDS = ("rooms", "street")


def add_parser(subparsers: "Subparsers") -> None:
    """Add the command `render` to the group `data`."""
    parser = subparsers.add_parser(
        "render",
        help="render a synthetic data set with exact ground truth",
        description="Render stereo video of random 3D worlds with exact dense flow, disparity and occlusion, in "
        "the folder layout of a benchmark. The same seed gives the same files for any --workers.",
    )
    parser.add_argument("--output", metavar="DIR", required=True, help="output folder, new or empty")
    parser.add_argument("--scenes", metavar="N", type=int, required=True, help="number of scenes")
    parser.add_argument("--frames", metavar="K", type=int, default=2, help="frames per scene (default: 2)")
    parser.add_argument("--size", metavar="HxW", default="256x512", help="image size (default: 256x512)")
    parser.add_argument("--seed", metavar="S", type=int, default=0, help="random seed (default: 0)")
    parser.add_argument(
        "--layout",
        choices=LAYOUTS,
        default="kitti2015",
        help="folder layout and formats (default: kitti2015)",
    )
    parser.add_argument(
        "--test-scenes",
        metavar="N",
        type=int,
        default=0,
        help="additional scenes without labels, as in the test sets of KITTI and Sintel (default: 0)",
    )
    parser.add_argument(
        "--stride",
        metavar="S",
        type=int,
        default=1,
        help="take every S-th time step: faster motion, larger occlusions (default: 1)",
    )
    parser.add_argument(
        "--world",
        choices=WORLDS,
        default="rooms",
        help="type of scene: bright rooms full of floating objects, or a grey street with traffic "
        "(default: rooms)",
    )
    parser.add_argument("--workers", metavar="W", type=int, default=1, help="processes (default: 1)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Render, print histograms, the occluded fraction and the speed, and return the exit code."""
    from flowdistill.render.writer import Request, write_dataset

    request = Request(
        args.seed, args.scenes, args.frames, parse_size(args.size), args.test_scenes, args.stride, args.world
    )
    summary, seconds = write_dataset(args.output, args.layout, request, args.workers)
    unlabelled = f" and {args.test_scenes} without labels" if args.test_scenes else ""
    print(f"wrote {args.scenes} scenes{unlabelled}, of {args.frames} frames each, to {args.output}\n")
    print(summary.text(seconds))
    return 0


def parse_size(text: str) -> tuple[int, int]:
    """Return height and width of `HxW`, such as 256x512.

    Raises UserError for anything else.
    """
    match = re.fullmatch(r"([0-9]{1,5})x([0-9]{1,5})", text)
    if match is None:
        raise UserError(f"--size is {text!r}; give height x width in pixels, such as 256x512")
    return int(match[1]), int(match[2])
