"""Middlebury .flo: dense float32 flow, lossless.

Layout, all little endian: float32 202021.25 (the bytes "PIEH"), int32 width, int32 height, then H*W pairs
(x, y) of float32, top row first. Source: the Middlebury flow-code README.
"""

import os
import struct

import numpy as np
import numpy.typing as npt

from flowdistill.formats.atomic import write_atomically
from flowdistill.formats.errors import MAX_SIDE, are_sides, check_sides, format_error, read_bytes, read_start

_MAGIC = struct.pack("<f", 202021.25)
_HEADER = struct.Struct("<4sii")


def read_flo(path: str | os.PathLike[str]) -> npt.NDArray[np.float32]:
    """Reads flow (H, W, 2), float32 pixels, x then y, top row first, bit-exact (including NaN).

    Raises FormatError for a missing, truncated or overlong file, a wrong magic number or absurd dimensions.

    Examples:
        >>> import tempfile
        >>> import numpy as np
        >>> from flowdistill.formats import read_flo, write_flo
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_flo(f"{folder}/a.flo", np.full((4, 6, 2), [1.5, -0.25]))
        ...     flow = read_flo(f"{folder}/a.flo")
        >>> flow.shape, flow[0, 0].tolist()  # px, x then y
        ((4, 6, 2), [1.5, -0.25])
    """
    content = read_bytes(path, "a .flo file")
    height, width = _parse_header(path, content[: _HEADER.size], len(content))
    stored = np.frombuffer(content, dtype="<f4", offset=_HEADER.size)
    return stored.reshape(height, width, 2).astype(np.float32)


def inspect_flo(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Return height and width from the header and the length of the file. Raises FormatError as `read_flo`.

    Examples:
        >>> import tempfile
        >>> import numpy as np
        >>> from flowdistill.formats import inspect_flo, write_flo
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_flo(f"{folder}/a.flo", np.zeros((4, 6, 2)))
        ...     inspect_flo(f"{folder}/a.flo")
        (4, 6)
    """
    return _parse_header(path, *read_start(path, "a .flo file", _HEADER.size))


def _parse_header(path: str | os.PathLike[str], start: bytes, length: int) -> tuple[int, int]:
    if start[:4] != _MAGIC:
        raise format_error(path, f"the magic number {_MAGIC!r} of a .flo file", repr(start[:4]))
    if length < _HEADER.size:
        raise format_error(path, f"a .flo header of {_HEADER.size} bytes", f"a file of {length} bytes")
    _, width, height = _HEADER.unpack_from(start)
    check_sides(path, height, width, "a .flo file")
    size = _HEADER.size + height * width * 8
    if length != size:
        raise format_error(path, f"{size} bytes for a flow of {height} x {width}", f"{length} bytes")
    return height, width


def write_flo(path: str | os.PathLike[str], flow: npt.ArrayLike) -> None:
    """Writes flow (H, W, 2) in pixels as float32, atomically.

    Raises ValueError for another shape or an empty array, FormatError if the file cannot be written.

    Examples:
        >>> import os
        >>> import tempfile
        >>> import numpy as np
        >>> from flowdistill.formats import write_flo
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_flo(f"{folder}/a.flo", np.zeros((4, 6, 2)))
        ...     os.path.getsize(f"{folder}/a.flo")  # a header of 12 bytes, and 8 per pixel
        204
    """
    values = np.ascontiguousarray(flow, dtype="<f4")
    if values.ndim != 3 or values.shape[2] != 2 or not are_sides(values.shape):
        raise ValueError(f"flow must have the shape (H, W, 2), sides of 1 to {MAX_SIDE}, got {values.shape}")
    height, width, _ = values.shape
    write_atomically(path, [_HEADER.pack(_MAGIC, width, height), values.data])
