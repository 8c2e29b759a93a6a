"""Check one file of a submission: format, size, values.

A server accepts too much: it reads swapped channels as flow and clipped codes as motion. Values that cannot be
intended are therefore also faults here.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from flowdistill.formats import FormatError, read_flo
from flowdistill.formats.encodings import odd_disparity_codes, odd_flow_codes
from flowdistill.formats.png import COLOUR_TYPES, GREY, RGB, decode_png, inspect_png
from flowdistill.submission.kinds import Size
from flowdistill.submission.members import Fault

_MORE = "write it again"
_PNG_ADVICE = {
    "disparity": "write disparity x 256 as a 16-bit grey PNG",
    "flow": "write flow x 64 + 32768 as a 16-bit RGB PNG: u, v, valid",
}


@dataclass
class FileCheck:
    """Result for one file."""

    faults: list[Fault] = field(default_factory=list)
    notes: list[Fault] = field(default_factory=list)  # suspicious, but possibly intended
    size: Size | None = None  # None if it could not be read
    pixels: int = 0
    estimates: int = 0  # number of pixels with a value


def check_picture(
    name: str, content: bytes, expected: Literal["disparity", "flow"], sizes: frozenset[Size]
) -> FileCheck:
    """Check the bytes of a KITTI image.

    Args:
        name: its path in the submission, for the faults.
        content: its bytes.
        expected: the quantity that it must contain.
        sizes: allowed (height, width) px.
    """
    check = FileCheck()
    try:
        header = inspect_png(name, content)
        check.size = header.height, header.width
        colour_type = GREY if expected == "disparity" else RGB
        if (header.bit_depth, header.colour_type) != (16, colour_type):
            problem = f"is a PNG of {header}, not 16-bit {COLOUR_TYPES[colour_type]}"
            check.faults.append(Fault(name, problem, _PNG_ADVICE[expected]))
        _check_size(check, name, sizes)
        if check.faults:
            return check
        codes = decode_png(name, content, header).astype(np.uint16, copy=False)
    except FormatError as error:
        problem = "is not a PNG" if not content.startswith(b"\x89PNG") else "is damaged"
        check.faults.append(Fault(name, problem, _MORE, _without_name(error, name)))
        return check
    valid = codes != 0 if expected == "disparity" else codes[..., 2] != 0
    check.pixels, check.estimates = valid.size, int(np.count_nonzero(valid))
    if not check.estimates:
        check.faults.append(
            Fault(name, "has no valid pixel", "predict it again, or mark its pixels as valid")
        )
        return check
    odd = odd_disparity_codes(codes) if expected == "disparity" else odd_flow_codes(codes)
    for oddity in odd:
        fault = Fault(name, oddity.problem, oddity.advice, oddity.detail)
        (check.faults if oddity.sure else check.notes).append(fault)
    return check


def check_flo(name: str, path: Path, sizes: frozenset[Size]) -> FileCheck:
    """Check a .flo file, which is `name` within the submission; arguments as for `check_picture`."""
    check = FileCheck()
    try:
        flow = read_flo(path)  # (H, W, 2)
    except FormatError as error:
        problem = "is not a .flo file" if "magic number" in str(error) else "is damaged"
        check.faults.append(Fault(name, problem, _MORE, _without_name(error, path)))
        return check
    check.size = flow.shape[0], flow.shape[1]
    _check_size(check, name, sizes)
    finite = np.isfinite(flow).all(axis=2)
    if not finite.all():
        detail = f"{np.count_nonzero(~finite)} of {finite.size} pixels"
        advice = "predict it again: Sintel's server needs a finite value at every pixel"
        check.faults.append(Fault(name, "has values that are not finite", advice, detail))
    limit = max(check.size)
    far = (np.abs(flow) > limit).any(axis=2) & finite
    if far.any():
        detail = f"{np.count_nonzero(far)} of {far.size} pixels, up to {np.abs(flow[far]).max():.4g} px"
        problem = f"has values out of range: over {limit} px, the frame's longer side"
        check.faults.append(Fault(name, problem, "predict it again, in pixels", detail))
    check.pixels, check.estimates = finite.size, int(np.count_nonzero(finite & ~far))
    return check


def _check_size(check: FileCheck, name: str, sizes: frozenset[Size]) -> None:
    if check.size not in sizes:
        assert check.size is not None
        wanted = " or ".join(f"{height} x {width}" for height, width in sorted(sizes))
        problem = f"does not have the test image's size, {wanted}"
        advice = "predict at the image's size, or crop the padding"
        check.faults.append(Fault(name, problem, advice, f"{check.size[0]} x {check.size[1]}"))


def _without_name(error: FormatError, name: str | os.PathLike[str]) -> str:
    return str(error).removeprefix(f"{name}: ")
