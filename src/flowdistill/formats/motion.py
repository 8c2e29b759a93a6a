"""Flow and disparity files in a common form: `.flo`, `.pfm`, KITTI's 16-bit PNG or `.npz`.

The suffix, in any case, determines the format; the content determines the quantity. Unknown values are written as:
.flo 1e10 (its own convention), .pfm NaN, which fails every comparison and hence every reader's threshold, PNG code 0,
.npz `valid` false. A flow pixel with one unknown component is unknown.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from flowdistill.formats.errors import FormatError, format_error
from flowdistill.formats.flo import inspect_flo, read_flo, write_flo
from flowdistill.formats.kitti import (
    read_kitti_disparity,
    read_kitti_flow,
    write_kitti_disparity,
    write_kitti_flow,
)
from flowdistill.formats.npz import inspect_npz, read_npz, write_npz
from flowdistill.formats.pfm import inspect_pfm, read_pfm, write_pfm
from flowdistill.formats.png import GREY, RGB, read_png_header

Quantity = Literal["flow", "disparity"]
QUANTITIES: tuple[Quantity, ...] = ("flow", "disparity")
SUFFIXES = (".flo", ".pfm", ".png", ".npz")

UNKNOWN = 1e9
"""Values beyond this, and NaN, mean "unknown" in .flo and .pfm (the .flo files' own convention)."""
_FLO_UNKNOWN = 1e10

# Keys of `Motion.passed_over`.
THIRD_CHANNEL = "pixels with a third channel, which is ignored"
NO_NUMBER = "pixels marked as valid without a known value, now invalid"

Values = npt.NDArray[np.floating]
Mask = npt.NDArray[np.bool_]


class NoMotionError(FormatError):
    """Raised for a file that may be intact, but is not flow or disparity: a picture, an archive of other arrays."""


@dataclass(frozen=True, eq=False)
class Motion:
    """Content of a file as stored: px, flow x then y, disparity of either sign.

    Attributes:
        quantity: "flow" or "disparity".
        values: (H, W, 2) or (H, W, 1), float32, or float64 from an .npz of float64; 0 where invalid.
        valid: (H, W), where the value is known.
        passed_over: number of pixels with ignored content, by its description.
    """

    quantity: Quantity
    values: Values
    valid: Mask
    passed_over: dict[str, int] = field(default_factory=dict)


def known(values: Values) -> Mask:
    """Return where every channel of (H, W, C) is finite and no larger than `UNKNOWN`: (H, W)."""
    # NaN fails every comparison. Channel by channel: a reduction over such a short axis takes thirty times as long.
    found = np.abs(values[..., 0]) <= UNKNOWN
    for channel in range(1, values.shape[2]):
        found &= np.abs(values[..., channel]) <= UNKNOWN
    return found


def motion_suffix(path: str | os.PathLike[str]) -> str:
    """Return the suffix in lower case. Raises NoMotionError unless it is one of SUFFIXES."""
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        expected = f"flow or disparity in a file with a suffix of {', '.join(SUFFIXES)}"
        raise NoMotionError(f"{os.fspath(path)}: expected {expected}, found {suffix or 'no suffix'}")
    return suffix


def inspect_motion(path: str | os.PathLike[str], wanted: Quantity | None = None) -> Quantity:
    """Return the quantity of a file, by its header; `wanted` selects one if an .npz contains both.

    Raises NoMotionError for other files, FormatError for damaged ones.
    """
    suffix = motion_suffix(path)
    if suffix == ".png":
        return _inspect_png(path)
    if suffix == ".npz":
        return _inspect_npz(path, wanted)
    if suffix == ".pfm":
        return "flow" if inspect_pfm(path)[2] == 3 else "disparity"
    inspect_flo(path)
    return "flow"


def read_motion(path: str | os.PathLike[str], wanted: Quantity | None = None) -> Motion:
    """Reads a flow or disparity file.

    Args:
        path: of the file.
        wanted: quantity that it must contain; by default either.

    Raises:
        NoMotionError: the file contains neither flow nor disparity.
        FormatError: it is missing or damaged, or contains the other quantity.
    """
    quantity = inspect_motion(path, wanted)
    if wanted not in (None, quantity):
        raise format_error(path, str(wanted), quantity)
    suffix = motion_suffix(path)
    values: Values
    valid: Mask | None = None
    if suffix == ".png":
        return Motion(
            quantity, *(read_kitti_flow(path) if quantity == "flow" else read_kitti_disparity(path))
        )
    if suffix == ".npz":
        values, valid = read_npz(path, quantity)
    else:
        values = read_flo(path) if suffix == ".flo" else read_pfm(path)
    numbers = known(values[..., :2])
    passed_over = {}
    if valid is not None:
        passed_over[NO_NUMBER] = int(np.count_nonzero(valid & ~numbers))
        numbers &= valid
    if suffix == ".pfm" and quantity == "flow":
        passed_over[THIRD_CHANNEL] = int(np.count_nonzero(known(values[..., 2:]) & (values[..., 2] != 0)))
    values = np.where(numbers[..., None], values[..., :2], values.dtype.type(0))
    return Motion(quantity, values, numbers, {what: count for what, count in passed_over.items() if count})


def write_motion(path: str | os.PathLike[str], motion: Motion) -> None:
    """Writes a motion in the format of the path's suffix, atomically.

    The PNG stores flow in [-512, 512) px in steps of 1/64 and disparity in [0, 256) px in steps of 1/256; values
    outside become invalid. The other formats store float32.

    Raises:
        FormatError: for a disparity as .flo, or if the file cannot be written.
    """
    suffix = motion_suffix(path)
    if not can_hold(suffix, motion.quantity):
        raise format_error(path, "flow, because a .flo file can only store flow", motion.quantity)
    valid, values = motion.valid, motion.values
    if suffix == ".flo":
        write_flo(path, np.where(valid[..., None], values, _FLO_UNKNOWN))
    elif suffix == ".pfm":
        stored = np.where(valid[..., None], values, np.nan)
        if motion.quantity == "flow":
            stored = np.concatenate([stored, np.zeros_like(stored[..., :1])], axis=2)
        write_pfm(path, stored)
    elif suffix == ".npz":
        write_npz(path, motion.quantity, values, valid)
    elif motion.quantity == "flow":
        write_kitti_flow(path, values, valid)
    else:
        write_kitti_disparity(path, values, valid)


def can_hold(suffix: str, quantity: Quantity) -> bool:
    """Return whether a format can store a quantity: all can store both, except .flo, which only stores flow."""
    return suffix != ".flo" or quantity == "flow"


def _inspect_png(path: str | os.PathLike[str]) -> Quantity:
    header = read_png_header(path, "KITTI's 16-bit PNG")
    if header.bit_depth == 16 and header.colour_type == RGB:
        return "flow"
    if header.bit_depth == 16 and header.colour_type == GREY:
        return "disparity"
    expected = "flow or disparity: a 16-bit PNG, RGB or grey"
    raise NoMotionError(f"{os.fspath(path)}: expected {expected}, found {header}")


def _inspect_npz(path: str | os.PathLike[str], wanted: Quantity | None) -> Quantity:
    keys = inspect_npz(path)
    quantities = [quantity for quantity in QUANTITIES if quantity in keys]
    if not quantities:
        expected = "an array called `flow` (H, W, 2) or `disparity` (H, W)"
        found = f"the arrays {', '.join(keys)}" if keys else "no array"
        raise NoMotionError(f"{os.fspath(path)}: expected {expected}, found {found}")
    if wanted in quantities:
        return wanted
    if len(quantities) > 1:
        raise format_error(path, "flow or disparity", "both; choose one with --quantity")
    return quantities[0]
