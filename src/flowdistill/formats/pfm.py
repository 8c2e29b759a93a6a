"""PFM, the portable float map: one or three channels of float32, lossless.

Layout: "Pf" (grey) or "PF" (colour), width and height, a scale, each terminated by white space; then float32
samples, **bottom row first**. A negative scale means little endian, a positive one big endian. The magnitude of the
scale is a display hint (Middlebury stores 1 / maximum) and is not applied to the values.
Source: P. Debevec's PFM page; Middlebury stereo v3.
"""

import math
import os
import re
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from flowdistill.formats.atomic import write_atomically
from flowdistill.formats.errors import MAX_SIDE, are_sides, check_sides, format_error, read_bytes, read_start

_HEADER = re.compile(rb"P[Ff]\s+(-?\d{1,10})\s+(-?\d{1,10})\s+([-+.\deE]{1,32})(?:\r?\n|\s)")
_HEADER_LIMIT = 256


def read_pfm(path: str | os.PathLike[str]) -> npt.NDArray[np.float32]:
    """Reads (H, W, 1) from a grey file, (H, W, 3) from a colour one; float32, top row first.

    Either byte order. Values are returned as stored: neither negated nor scaled; NaN and infinities (Middlebury's
    unknown disparity) are kept.
    Raises FormatError for a missing, truncated or overlong file, a wrong magic number or an invalid header.

    Examples:
        >>> import tempfile
        >>> import numpy as np
        >>> from flowdistill.formats import read_pfm, write_pfm
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_pfm(f"{folder}/disparity.pfm", [[37.5, np.inf], [1.0, 2.0]])
        ...     disparity = read_pfm(f"{folder}/disparity.pfm")
        >>> disparity[..., 0].tolist()
        [[37.5, inf], [1.0, 2.0]]
    """
    content = read_bytes(path, "a PFM file")
    header = _parse_header(path, content[:_HEADER_LIMIT], len(content))
    stored = np.frombuffer(content, dtype=np.uint32, offset=header.length).reshape(header.shape)
    # Swapped as integers, so that NaN payloads are preserved.
    native = stored if header.byte_order == _NATIVE_ORDER else stored.byteswap()
    return native[::-1].copy().view(np.float32)


def inspect_pfm(path: str | os.PathLike[str]) -> tuple[int, int, int]:
    """Return height, width and channels from the header and the length of the file. Raises FormatError as `read_pfm`.

    Examples:
        >>> import tempfile
        >>> import numpy as np
        >>> from flowdistill.formats import inspect_pfm, write_pfm
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_pfm(f"{folder}/disparity.pfm", np.zeros((4, 6)))
        ...     inspect_pfm(f"{folder}/disparity.pfm")
        (4, 6, 1)
    """
    return _parse_header(path, *read_start(path, "a PFM file", _HEADER_LIMIT)).shape


class _Header(NamedTuple):
    shape: tuple[int, int, int]  # height, width, channels
    byte_order: str
    length: int  # of the header itself, bytes


def _parse_header(path: str | os.PathLike[str], start: bytes, length: int) -> _Header:
    if start[:2] not in (b"Pf", b"PF"):
        raise format_error(path, "the magic number b'Pf' or b'PF' of a PFM file", repr(start[:2]))
    header = _HEADER.match(start)
    if header is None:
        raise format_error(path, "a PFM header (width, height, scale)", repr(start[:32]))
    width, height = int(header[1]), int(header[2])
    check_sides(path, height, width, "a PFM file")
    byte_order = _byte_order(path, header[3])
    channels = 3 if start[:2] == b"PF" else 1
    size = header.end() + height * width * channels * 4
    if length != size:
        raise format_error(
            path, f"{size} bytes for a PFM of {height} x {width} x {channels}", f"{length} bytes"
        )
    return _Header((height, width, channels), byte_order, header.end())


def write_pfm(path: str | os.PathLike[str], values: npt.ArrayLike) -> None:
    """Writes (H, W) or (H, W, 1) as grey, (H, W, 3) as colour, float32, little endian, atomically.

    The top row is the first in memory and the last in the file.
    Raises ValueError for another shape or an empty array, FormatError if the file cannot be written.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from flowdistill.formats import write_pfm
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_pfm(f"{folder}/disparity.pfm", [[1.0], [2.0]])
        ...     stored = np.frombuffer(Path(folder, "disparity.pfm").read_bytes()[-8:], "<f4")
        >>> stored.tolist()  # the bottom row first
        [2.0, 1.0]
    """
    array = np.asarray(values, dtype="<f4")
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3) or not are_sides(array.shape):
        expected = f"(H, W), (H, W, 1) or (H, W, 3), sides of 1 to {MAX_SIDE}"
        raise ValueError(f"a PFM array must have the shape {expected}, got {array.shape}")
    height, width, channels = array.shape
    header = f"{'PF' if channels == 3 else 'Pf'}\n{width} {height}\n-1.0\n".encode("ascii")
    write_atomically(path, [header, np.ascontiguousarray(array[::-1]).data])


_NATIVE_ORDER = "<" if np.little_endian else ">"


def _byte_order(path: str | os.PathLike[str], text: bytes) -> str:
    try:
        scale = float(text)
    except ValueError:
        scale = math.nan
    if scale == 0 or not math.isfinite(scale):
        raise format_error(path, "a PFM scale that is a finite number other than 0", repr(text))
    return "<" if scale < 0 else ">"
