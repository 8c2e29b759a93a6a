"""Description of the files of a sample: key, kind of file, reader and plausible range of values.

A dataset lists the files of a sample (`MotionDataset.files`); `assembly.py` builds the sample of the batch contract
from them. Arrays are as in `flowdistill.formats`: (H, W, C), top row first, in the file's own units and signs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Literal

import numpy as np
import numpy.typing as npt

from flowdistill.data.calibration import Calibration, read_calibration
from flowdistill.formats import (
    FormatError,
    decode_kitti_disparity,
    decode_kitti_flow,
    inspect_any_image,
    inspect_flo,
    inspect_image,
    inspect_kitti_disparity,
    inspect_kitti_flow,
    inspect_mask,
    inspect_object_map,
    inspect_pfm,
    inspect_webp_image,
    read_any_image,
    read_flo,
    read_image,
    read_kitti_disparity_codes,
    read_kitti_flow_codes,
    read_mask,
    read_object_map,
    read_pfm,
    read_webp_image,
)
from flowdistill.formats.motion import known

Quantity = Literal["image", "flow", "disparity", "disparity_change", "mask", "object_map", "calibration"]
Group = Literal["image", "label", "proxy", "optional"]


@dataclass(frozen=True)
class Content:
    """Contents of a file, in its own units and signs."""

    values: np.ndarray  # (H, W, C)
    valid: npt.NDArray[np.bool_] | None = None  # (H, W), for motions: where the file has a value
    codes: npt.NDArray[np.uint16] | None = None  # (H, W, 3) or (H, W), for KITTI motions: as stored


@dataclass(frozen=True)
class FileKind:
    """A kind of file.

    Attributes:
        title: the name used in messages: "16-bit KITTI flow".
        quantity: the quantity it stores.
        read: path -> content; raises FormatError (calibration: UserError) for files of another kind.
        inspect: path -> height and width from the header alone, None if the kind has no size; raises as `read`.
        sign: of the disparities in the file: 1 stored positive, -1 negative; changes are multiplied by it, too.
        largest: length of a flow, disparity or change, in image widths, above which it is implausible.
        holds_unknown: whether invalid pixels can have any value (NaN, 1e10); else they are 0.
    """

    title: str
    quantity: Quantity
    read: Callable[[str], Content | Calibration]
    inspect: Callable[[str], tuple[int, int] | None]
    sign: Literal[1, -1] = 1
    largest: float = np.inf
    holds_unknown: bool = False


@dataclass(frozen=True)
class SampleFile:
    """One file of one sample.

    Attributes:
        key: of the batch contract. Of a flow or disparity file with a key `valid_...` only the valid mask is used
            (KITTI's `noc` files); a mask with such a key is removed from that mask.
        path: of the file.
        kind: the kind of file.
        group: why it is read: `image`, `label` (ground truth), `proxy` (`labels=` in the split), or `optional`: only
            because its folder exists.

    Examples:
        >>> from flowdistill.data import SampleFile
        >>> from flowdistill.data.files import KITTI_FLOW
        >>> file = SampleFile("flow", "training/flow_occ/000000_10.png", KITTI_FLOW)
        >>> file.kind.title, file.group
        ('16-bit KITTI flow', 'label')
    """

    key: str
    path: str
    kind: FileKind
    group: Group = "label"


def _plain(read: Callable[[str], np.ndarray], path: str) -> Content:
    """Content without a valid mask; grey values (H, W) become (H, W, 1)."""
    values = read(path)
    return Content(values if values.ndim == 3 else values[..., None])


def _kitti_flow(path: str) -> Content:
    codes = read_kitti_flow_codes(path)
    return Content(*decode_kitti_flow(codes), codes)


def _kitti_disparity(path: str) -> Content:
    codes = read_kitti_disparity_codes(path)
    return Content(*decode_kitti_disparity(codes), codes)


def _flo(path: str) -> Content:
    values = read_flo(path)
    return Content(values, known(values))


def _pfm(path: str, channels: int) -> Content:
    values = read_pfm(path)
    _check_channels(path, values.shape[2], channels)
    values = values[..., :2]  # the third channel of a flow is unused
    return Content(values, known(values))


def _inspect_pfm(path: str, channels: int) -> tuple[int, int]:
    height, width, found = inspect_pfm(path)
    _check_channels(path, found, channels)
    return height, width


_PFM_OF = {1: "disparity: a PFM of 1 channel", 3: "flow: a PFM of 3 channels, the third unused"}


def _check_channels(path: str, found: int, channels: int) -> None:
    if found != channels:
        raise FormatError(f"{path}: expected {_PFM_OF[channels]}, found {found}")


def _inspect_calibration(path: str, left: str, right: str) -> None:
    read_calibration(path, left, right)  # a few lines of text


# Flow of FlyingThings3D can point far outside the image, and near objects have disparities of about the image width.
# KITTI's flow, at 10 frames per second, stays well below a third of the width; its format is limited to 512 px, 0.41
# widths.
_FLOW_WIDTHS, _DISPARITY_WIDTHS, _KITTI_FLOW_WIDTHS = 4.0, 1.5, 0.35

IMAGE = FileKind("8-bit image", "image", partial(_plain, read_image), inspect_image)
ANY_IMAGE = FileKind("image", "image", partial(_plain, read_any_image), inspect_any_image)
WEBP_IMAGE = FileKind("WebP image", "image", partial(_plain, read_webp_image), inspect_webp_image)
KITTI_FLOW = FileKind(
    "16-bit KITTI flow", "flow", _kitti_flow, inspect_kitti_flow, largest=_KITTI_FLOW_WIDTHS
)
KITTI_DISPARITY = FileKind(
    "16-bit KITTI disparity",
    "disparity",
    _kitti_disparity,
    inspect_kitti_disparity,
    largest=_DISPARITY_WIDTHS,
)
FLO = FileKind(".flo flow", "flow", _flo, inspect_flo, largest=_FLOW_WIDTHS, holds_unknown=True)
MASK = FileKind("mask (255 = true)", "mask", partial(_plain, read_mask), inspect_mask)
OBJECT_MAP = FileKind("object map", "object_map", partial(_plain, read_object_map), inspect_object_map)


def _pfm_kind(
    title: str, quantity: Quantity, sign: Literal[1, -1], largest: float, channels: int
) -> FileKind:
    read, inspect = partial(_pfm, channels=channels), partial(_inspect_pfm, channels=channels)
    return FileKind(title, quantity, read, inspect, sign, largest, holds_unknown=True)


PFM_FLOW = _pfm_kind("PFM flow", "flow", 1, _FLOW_WIDTHS, 3)
PFM_DISPARITY = _pfm_kind("PFM disparity, positive", "disparity", 1, _DISPARITY_WIDTHS, 1)
PFM_CHANGE = _pfm_kind("PFM change of a positive disparity", "disparity_change", 1, _DISPARITY_WIDTHS, 1)
NEGATIVE_PFM_DISPARITY = _pfm_kind("PFM disparity, negative", "disparity", -1, _DISPARITY_WIDTHS, 1)
NEGATIVE_PFM_CHANGE = _pfm_kind(
    "PFM change of a negative disparity", "disparity_change", -1, _DISPARITY_WIDTHS, 1
)


@cache
def calibration_kind(left: str, right: str) -> FileKind:
    """Return the kind of a KITTI calibration file with the projection matrices named `left` and `right`."""
    matrices = {"left": left, "right": right}
    read, inspect = partial(read_calibration, **matrices), partial(_inspect_calibration, **matrices)
    return FileKind("KITTI calibration", "calibration", read, inspect)
