"""`flowdistill data render`: write a synthetic stereo video data set with exact truth."""

import argparse
import re
from typing import TYPE_CHECKING

from flowdistill.errors import UserError

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

# The keys of `render.layouts.LAYOUTS`, written out so that --help need not import the renderer.
LAYOUTS = ("kitti2015", "kitti2012", "things", "things_subset", "chairs", "sintel")
# Likewise `render.world.WORLDS`.
WORLDS = ("rooms", "street")


def add_parser(subparsers: "Subparsers") -> None:
    """Add the command `render` to the group `data`."""
    parser = subparsers.add_parser(
        "render",
        help="render a synthetic data set with exact truth",
        description="Render stereo video of random 3D worlds with exact dense flow, disparity and occlusion, in "
        "the folder layout of a benchmark. The same seed gives the same files, whatever --workers is.",
    )
    parser.add_argument("--output", metavar="DIR", required=True, help="folder to write to: new or empty")
    parser.add_argument("--scenes", metavar="N", type=int, required=True, help="how many scenes")
    parser.add_argument("--frames", metavar="K", type=int, default=2, help="frames a scene (default: 2)")
    parser.add_argument("--size", metavar="HxW", default="256x512", help="picture size (default: 256x512)")
    parser.add_argument("--seed", metavar="S", type=int, default=0, help="the seed (default: 0)")
    parser.add_argument(
        "--layout", choices=LAYOUTS, default="kitti2015", help="folders and formats (default: kitti2015)"
    )
    parser.add_argument(
        "--test-scenes",
        metavar="N",
        type=int,
        default=0,
        help="further scenes without labels, as the test sets of KITTI and Sintel (default: 0)",
    )
    parser.add_argument(
        "--stride",
        metavar="S",
        type=int,
        default=1,
        help="take every S-th moment: faster motion, larger occlusions (default: 1)",
    )
    parser.add_argument(
        "--world",
        choices=WORLDS,
        default="rooms",
        help="what is rendered: bright rooms full of floating bodies, or a grey street with traffic "
        "(default: rooms)",
    )
    parser.add_argument("--workers", metavar="W", type=int, default=1, help="processes (default: 1)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Render, then print histograms, the occluded share and the speed; returns the exit code."""
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
    """Height and width of `HxW`, as in 256x512.

    Raises UserError for anything else.
    """
    match = re.fullmatch(r"([0-9]{1,5})x([0-9]{1,5})", text)
    if match is None:
        raise UserError(f"--size is {text!r}; give height x width in pixels, such as 256x512")
    return int(match[1]), int(match[2])
