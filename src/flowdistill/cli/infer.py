"""`flowdistill infer`: a checkpoint's predictions for images, folders, lists and videos."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from flowdistill.cli.parsers import Commands, add_command, add_number, add_path, parse_size
from flowdistill.errors import UserError

if TYPE_CHECKING:
    from flowdistill.inference.predictor import Tile

# Copies from inference.outputs, .predictor and .load, so that --help need not import torch.
FORMATS = ("flo", "pfm", "png", "npz", "colour", "video")
PRECISIONS = ("32", "bf16", "16")
DEVICES = ("auto", "cpu", "cuda")
OVERLAP = 128


def add_parser(commands: Commands) -> None:
    """Add the command `infer`."""
    parser = add_command(
        commands, "infer", run, "predict images, a folder, a list or a video", runs_network=True
    )
    about = "images in order (DWARF: left_t0 right_t0 left_t1 right_t1), a folder, a list (.txt) or a video"
    parser.add_argument("inputs", metavar="INPUT", type=Path, nargs="+", help=about)
    add_path(parser, "--checkpoint", "CKPT", "checkpoint, or .safetensors of weights", required=True)
    add_path(parser, "--output", "DIR", "folder for the files", required=True)
    about = "one or several (default: png colour): png is KITTI's 16-bit PNG, colour a picture, video an mp4"
    parser.add_argument("--format", choices=FORMATS, nargs="+", default=["png", "colour"], help=about)
    parser.add_argument("--backward", action="store_true", help="also the flow from t1 to t0")
    parser.add_argument("--occlusion", action="store_true", help="also which pixels are not visible at t1")
    about = "also the probability that the error is under 1 px and 3 px, from further passes"
    parser.add_argument("--confidence", action="store_true", help=about)
    about = "file of `flowdistill confidence fit` (default: CKPT.confidence.json beside the checkpoint)"
    add_path(parser, "--calibration", "FILE", about)
    add_number(parser, "--batch-size", 1, "samples predicted at once")
    about = "of the convolutions; motions are float32 (16: on a GPU only)"
    parser.add_argument("--precision", choices=PRECISIONS, default="32", help=about)
    parser.add_argument("--device", choices=DEVICES, default="auto", help="device to run on (default: auto)")
    about = "divide images into HxW; auto: only if they do not fit into memory (default); none: never"
    parser.add_argument("--tile", metavar="auto|none|HxW", default="auto", help=about)
    add_number(parser, "--overlap", OVERLAP, "pixels over which tiles are blended", "PX")
    add_number(parser, "--every", 1, "use every N-th frame of a sequence")
    add_number(parser, "--stride", 1, "t1 is the N-th of these frames after t0")
    parser.add_argument("--left", default="", metavar="PART", help="part of the left camera's paths")
    parser.add_argument("--right", default="", metavar="PART", help="part of the right camera's paths")
    about = "frames per second of a video (default: the input's, or 10)"
    parser.add_argument("--fps", type=float, help=about)
    about = "motion in px at full colour (default: each picture's largest; a video: from its first frame)"
    parser.add_argument("--colour-range", type=float, metavar="PX", help=about)
    parser.add_argument("--overwrite", action="store_true", help="replace files of an earlier run")


def run(options: argparse.Namespace) -> int:
    """Predict flow (and disparity, with DWARF) for a pair of images, four stereo images, a folder, a list or a video of
    any size. Reading, predicting and writing overlap. The same command continues where an interrupted one ended.
    """
    tile = _tile(options.tile)
    for name in ("batch_size", "every", "stride"):
        if getattr(options, name) < 1:
            raise UserError(f"--{name.replace('_', '-')} is {getattr(options, name)}; use at least 1")
    for name in ("fps", "colour_range"):
        value = getattr(options, name)
        if value is not None and not 0 < value < 1e6:
            raise UserError(f"--{name.replace('_', '-')} is {value:g}; use a positive number")
    from flowdistill.inference.infer import RECORD, Work, claim_folder, infer
    from flowdistill.inference.inputs import Reading, open_inputs
    from flowdistill.inference.load import load_model
    from flowdistill.inference.outputs import Outputs
    from flowdistill.inference.predictor import Predictor, find_calibration
    from flowdistill.tracking.sections import file_record

    model = load_model(options.checkpoint, "--checkpoint", options.device)
    predictor = Predictor(model, options.precision, tile, options.overlap)
    if options.confidence:
        predictor.calibration = find_calibration(
            options.checkpoint, options.calibration, model, "--calibration"
        )
        predictor.require_calibration()
    work = Work(options.backward, options.occlusion, options.confidence, options.batch_size)
    reading = Reading(options.every, options.stride, options.left, options.right)
    source = open_inputs(options.inputs, predictor.images, reading)
    keys = work.keys(predictor)
    ranges = {name: options.colour_range for name in ("flow", "disparity") if options.colour_range}
    rate = options.fps or source.rate or 10.0
    motions = [key for key in keys if key.startswith(("flow", "disparity"))]
    outputs = Outputs(options.output, options.format, motions, rate, ranges)
    settings = {
        "checkpoint": str(options.checkpoint),
        "sha256": file_record(options.checkpoint)["sha256"],
        "inputs": [str(path.resolve()) for path in options.inputs],
        "every": options.every,
        "stride": options.stride,
        "precision": options.precision,
        "tile": options.tile,
        "overlap": options.overlap,
        "colour_range": options.colour_range,
        "calibration": None if predictor.calibration is None else predictor.calibration.digest,
    }
    again = claim_folder(options.output, settings, options.overwrite)
    busy, skipped = infer(predictor, source, outputs, work, skip=again)
    if skipped:
        print(
            f"{skipped} samples are there already, with the same settings ({RECORD}); --overwrite replaces them"
        )
    print(f"{', '.join(keys)} are in {options.output}")
    if busy.total:
        print(f"{busy.total:.1f} s, the network busy {100 * busy.share:.0f} % of it")
    return 0


def _tile(text: str) -> Tile:
    if text == "auto" or text == "none":
        return text  # type: ignore[return-value]
    size = parse_size(text, "--tile", "512x1024, auto or none")
    if min(size) < 64:
        raise UserError(f"--tile: {text}: both sides must be at least 64")
    return size
