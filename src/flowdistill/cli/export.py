"""`flowdistill export`: a checkpoint's network as a file for ONNX Runtime, TensorRT, C++ or plain PyTorch."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from flowdistill.cli.parsers import Commands, add_command, add_path, parse_size
from flowdistill.errors import UserError

WEIGHTS = "safetensors"
# Copy of `export.formats.FORMATS`, so that --help need not import torch.
SUFFIXES = {"onnx": ".onnx", "torch-export": ".pt2", "aotinductor": ".aoti.pt2", WEIGHTS: ".safetensors"}


def add_parser(commands: Commands) -> None:
    """Add the command `export`."""
    parser = add_command(commands, "export", run, "write a network for another runtime, and check it")
    add_path(parser, "--checkpoint", "CKPT", "checkpoint of `lightning fit`", required=True)
    parser.add_argument("--format", choices=list(SUFFIXES), required=True, help="the kind of file")
    about = "rows x columns of the images, such as 384x1280 (DWARF: multiples of 64)"
    parser.add_argument("--size", metavar="HxW", help=about)
    parser.add_argument("--dynamic", action="store_true", help="leave the size open: multiples of 64")
    add_path(parser, "--output", "FILE", "the file (default: MODEL_HxW.SUFFIX in this folder)")
    parser.add_argument("--overwrite", action="store_true", help="replace the file if it exists")


def run(options: argparse.Namespace) -> int:
    """Write the network of a checkpoint as an ONNX model, an exported program of PyTorch or a compiled library. The
    file is executed at once beside the network, and kept only if the results agree to 0.001 px. The format safetensors
    stores the weights alone.
    """
    size = None if options.format == WEIGHTS else _size(options.size)
    if size is None and (options.size or options.dynamic):
        raise UserError(
            "--size and --dynamic do not apply to --format safetensors: weights have no image size"
        )
    suffix = SUFFIXES[options.format]
    if options.output is not None:
        _check_output(options.output, suffix, options.overwrite)
    from flowdistill.export.export import describe, export
    from flowdistill.export.formats import FORMATS
    from flowdistill.export.weights import write_weights
    from flowdistill.inference.load import load_model
    from flowdistill.tracking.environment import code_state
    from flowdistill.tracking.sections import file_record

    if size is not None:
        FORMATS[options.format].check()
    network = load_model(options.checkpoint, "--checkpoint", "cpu").network
    about = "" if size is None else "_dynamic" if options.dynamic else f"_{size[0]}x{size[1]}"
    path = options.output or Path(f"{type(network).__name__.lower()}{about}{suffix}")
    _check_output(path, suffix, options.overwrite)
    record, code = file_record(options.checkpoint), code_state()
    commit = f"unknown: {code['reason']}" if code["commit"] is None else code["commit"]
    metadata = {
        "flowdistill.commit": f"{commit} with changes" if code["dirty"] else commit,
        "flowdistill.checkpoint": str(options.checkpoint),
        "flowdistill.checkpoint_sha256": str(record["sha256"]),
    }
    if size is None:
        write_weights(network, path, {**describe(network), **metadata})
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB of weights")
        return 0
    started = time.monotonic()
    done = export(network, path, options.format, size, options.dynamic, metadata)
    megabytes = path.stat().st_size / 1e6
    print(f"{path}: {megabytes:.1f} MB in {time.monotonic() - started:.0f} s; {done.agreement}")
    return 0


def _size(text: str | None) -> tuple[int, int]:
    if text is None:
        raise UserError("--size is missing: rows x columns of the images, such as 384x1280")
    return parse_size(text, example="384x1280")


def _check_output(path: Path, suffix: str, overwrite: bool) -> None:
    if not path.name.endswith(suffix):
        raise UserError(f"--output: {path} must end with {suffix}")
    if not path.parent.is_dir():
        raise UserError(f"--output: the folder {path.parent} does not exist; create it first")
    if path.is_dir() or (path.exists() and not overwrite):
        raise UserError(f"--output: {path} exists; choose another name, or replace it with --overwrite")
