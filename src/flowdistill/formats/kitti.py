"""KITTI's 16-bit PNG: flow and disparity with a validity mask.

Flow: 16-bit RGB, value = (code - 32768) / 64 px in red (x) and green (y); blue is non-zero where valid.
Disparity: 16-bit grey, value = code / 256 px; code 0 is invalid.
Source: the readme of the KITTI 2015 development kit.
"""

import os
from typing import cast

import numpy as np
import numpy.typing as npt

from flowdistill.formats.errors import MAX_SIDE, are_sides
from flowdistill.formats.png import GREY, RGB, inspect_png_size, read_png, write_png

FLOW_SCALE, FLOW_OFFSET, FLOW_LIMIT = 64, 32768, 512  # codes per px, code of 0 px, largest px
DISPARITY_SCALE, DISPARITY_LIMIT = 256, 256
FOLDERS = {"flow": "flow", "disparity_t0": "disp_0", "disparity_t1": "disp_1"}
"""Key of the batch contract -> folder name in KITTI 2015 submissions."""
TOP_CODE = 65535

Mask = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.uint16]


def read_kitti_flow(path: str | os.PathLike[str]) -> tuple[npt.NDArray[np.float32], Mask]:
    """Reads flow (H, W, 2), float32 pixels, x then y, and valid (H, W), bool; 0 where invalid.

    Raises FormatError unless the file is an undamaged 16-bit RGB PNG.

    Examples:
        >>> import tempfile
        >>> import numpy as np
        >>> from flowdistill.formats import read_kitti_flow, write_kitti_flow
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_kitti_flow(f"{folder}/flow.png", [[[1.5, -0.25], [np.nan, 0.0]]])
        ...     flow, valid = read_kitti_flow(f"{folder}/flow.png")
        >>> flow.tolist(), valid.tolist()
        ([[[1.5, -0.25], [0.0, 0.0]]], [[True, False]])
    """
    return decode_kitti_flow(read_kitti_flow_codes(path))


def read_kitti_flow_codes(path: str | os.PathLike[str]) -> Codes:
    """Reads the codes (H, W, 3) uint16 of a flow file: x, y, valid. Raises as `read_kitti_flow`.

    Examples:
        >>> import tempfile
        >>> from flowdistill.formats import read_kitti_flow_codes, write_kitti_flow
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_kitti_flow(f"{folder}/flow.png", [[[1.5, -0.25]]])
        ...     read_kitti_flow_codes(f"{folder}/flow.png").tolist()  # 2**15 + 64 * px, and 1 for valid
        [[[32864, 32752, 1]]]
    """
    return cast(Codes, read_png(path, 16, RGB, "KITTI flow"))


def decode_kitti_flow(codes: Codes) -> tuple[npt.NDArray[np.float32], Mask]:
    """Decode the codes (H, W, 3) to flow and validity, as returned by `read_kitti_flow`.

    Examples:
        >>> import numpy as np
        >>> from flowdistill.formats import decode_kitti_flow
        >>> flow, valid = decode_kitti_flow(np.array([[[32864, 32752, 1], [0, 0, 0]]], np.uint16))
        >>> flow.tolist(), valid.tolist()
        ([[[1.5, -0.25], [0.0, 0.0]]], [[True, False]])
    """
    valid = codes[..., 2] != 0
    # By multiplication, because writing zeros at a scattered mask takes ten times as long. Every step is exact in
    # float32: the codes have 16 bits and 64 is a power of two.
    scale = valid * np.float32(1 / FLOW_SCALE)
    flow = np.empty((*valid.shape, 2), dtype=np.float32)
    for axis in range(2):
        np.multiply(codes[..., axis] - np.float32(FLOW_OFFSET), scale, out=flow[..., axis])
    flow += 0  # a negative number times 0 is -0
    return flow, valid


def inspect_kitti_flow(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Return height and width from the header alone. Raises FormatError unless it is that of a 16-bit RGB PNG.

    Examples:
        >>> import tempfile
        >>> import numpy as np
        >>> from flowdistill.formats import inspect_kitti_flow, write_kitti_flow
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_kitti_flow(f"{folder}/flow.png", np.zeros((4, 6, 2)))
        ...     inspect_kitti_flow(f"{folder}/flow.png")
        (4, 6)
    """
    return inspect_png_size(path, 16, RGB, "KITTI flow")


def write_kitti_flow(
    path: str | os.PathLike[str], flow: npt.ArrayLike, valid: npt.ArrayLike | None = None
) -> None:
    """Writes flow (H, W, 2) in pixels, rounded to 1/64, atomically.

    Invalid, code 0 in all channels: pixels outside `valid` (H, W), if given, and those with a component that
    is not finite or lies outside [-512, 512), which the format cannot store.
    Raises ValueError for a wrong shape, FormatError if the file cannot be written.

    Examples:
        >>> import tempfile
        >>> import numpy as np
        >>> from flowdistill.formats import read_kitti_flow, write_kitti_flow
        >>> flow = np.random.default_rng(0).uniform(-100, 100, (4, 6, 2))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_kitti_flow(f"{folder}/flow.png", flow)
        ...     read, valid = read_kitti_flow(f"{folder}/flow.png")
        >>> bool(np.abs(read - flow).max() <= 1 / 128), bool(valid.all())  # px: half a step of 1/64
        (True, True)
    """
    values = _floating(flow)
    if values.ndim != 3 or values.shape[2] != 2:
        raise ValueError(f"flow must have the shape (H, W, 2), got {values.shape}")
    # NaN fails every comparison, so it is outside as well.
    storable = ((values >= -FLOW_LIMIT) & (values < FLOW_LIMIT)).all(axis=2) & _mask(valid, values)
    scaled = np.rint(np.where(storable[..., None], values, 0) * FLOW_SCALE) + FLOW_OFFSET
    codes = np.empty((*storable.shape, 3), dtype=np.uint16)
    codes[..., :2] = np.minimum(scaled, TOP_CODE)  # just below 512 px rounds to 65536
    codes[..., 2] = 1
    codes[~storable] = 0
    write_png(path, codes)


def read_kitti_disparity(path: str | os.PathLike[str]) -> tuple[npt.NDArray[np.float32], Mask]:
    """Reads disparity (H, W, 1), float32 pixels, positive, and valid (H, W), bool; 0 where invalid.

    Raises FormatError unless the file is an undamaged 16-bit grey PNG.

    Examples:
        >>> import tempfile
        >>> import numpy as np
        >>> from flowdistill.formats import read_kitti_disparity, write_kitti_disparity
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_kitti_disparity(f"{folder}/disparity.png", [[37.5, np.nan]])
        ...     disparity, valid = read_kitti_disparity(f"{folder}/disparity.png")
        >>> disparity[..., 0].tolist(), valid.tolist()
        ([[37.5, 0.0]], [[True, False]])
    """
    return decode_kitti_disparity(read_kitti_disparity_codes(path))


def read_kitti_disparity_codes(path: str | os.PathLike[str]) -> Codes:
    """Reads the codes (H, W) uint16 of a disparity file. Raises as `read_kitti_disparity`.

    Examples:
        >>> import tempfile
        >>> from flowdistill.formats import read_kitti_disparity_codes, write_kitti_disparity
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_kitti_disparity(f"{folder}/disparity.png", [[37.5, 1.0]])
        ...     read_kitti_disparity_codes(f"{folder}/disparity.png").tolist()  # 256 * px
        [[9600, 256]]
    """
    return cast(Codes, read_png(path, 16, GREY, "KITTI disparity"))


def decode_kitti_disparity(codes: Codes) -> tuple[npt.NDArray[np.float32], Mask]:
    """Decode the codes (H, W) to disparity and validity, as returned by `read_kitti_disparity`.

    Examples:
        >>> import numpy as np
        >>> from flowdistill.formats import decode_kitti_disparity
        >>> disparity, valid = decode_kitti_disparity(np.array([[9600, 0]], np.uint16))
        >>> disparity[..., 0].tolist(), valid.tolist()
        ([[37.5, 0.0]], [[True, False]])
    """
    disparity = codes.astype(np.float32)[..., None]
    disparity *= np.float32(1 / DISPARITY_SCALE)
    return disparity, codes != 0


def inspect_kitti_disparity(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Return height and width from the header alone. Raises FormatError unless it is that of a 16-bit grey PNG.

    Examples:
        >>> import tempfile
        >>> import numpy as np
        >>> from flowdistill.formats import inspect_kitti_disparity, write_kitti_disparity
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_kitti_disparity(f"{folder}/disparity.png", np.ones((4, 6)))
        ...     inspect_kitti_disparity(f"{folder}/disparity.png")
        (4, 6)
    """
    return inspect_png_size(path, 16, GREY, "KITTI disparity")


def write_kitti_disparity(
    path: str | os.PathLike[str], disparity: npt.ArrayLike, valid: npt.ArrayLike | None = None
) -> None:
    """Writes disparity (H, W, 1) or (H, W) in pixels, positive, rounded to 1/256, atomically.

    Invalid, code 0: pixels outside `valid` (H, W), if given, and values that are not finite, negative or at
    least 256 px. A valid value that would round to code 0, including zero, gets code 1 and stays valid, as in
    the development kit.
    Raises ValueError for a wrong shape, FormatError if the file cannot be written.

    Examples:
        >>> import tempfile
        >>> import numpy as np
        >>> from flowdistill.formats import read_kitti_disparity, write_kitti_disparity
        >>> disparity = np.random.default_rng(0).uniform(1, 200, (4, 6, 1))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_kitti_disparity(f"{folder}/disparity.png", disparity)
        ...     read, valid = read_kitti_disparity(f"{folder}/disparity.png")
        >>> bool(np.abs(read - disparity).max() <= 1 / 512), bool(valid.all())  # px: half a step of 1/256
        (True, True)
    """
    values = _floating(disparity)
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    if values.ndim != 2:
        raise ValueError(f"disparity must have the shape (H, W, 1) or (H, W), got {values.shape}")
    storable = (values >= 0) & (values < DISPARITY_LIMIT) & _mask(valid, values)
    scaled = np.rint(np.where(storable, values, 0) * DISPARITY_SCALE)
    codes = np.clip(scaled, 1, TOP_CODE).astype(np.uint16)
    codes[~storable] = 0
    write_png(path, codes)


def _floating(values: npt.ArrayLike) -> npt.NDArray[np.floating]:
    """Convert to at least float32, since half precision cannot represent the scaled values; must not be empty."""
    array = np.asarray(values)
    if not are_sides(array.shape):
        raise ValueError(f"sides must be 1 to {MAX_SIDE} pixels, got {array.shape}")
    return array.astype(np.result_type(array.dtype, np.float32), copy=False)


def _mask(valid: npt.ArrayLike | None, values: npt.NDArray[np.floating]) -> Mask:
    """Return the mask (H, W), all true if none is given."""
    if valid is None:
        return np.ones(values.shape[:2], dtype=bool)
    mask = np.asarray(valid)
    if mask.shape != values.shape[:2]:
        raise ValueError(f"valid must have the shape {values.shape[:2]}, got {mask.shape}")
    return mask != 0
