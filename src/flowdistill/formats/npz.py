"""Motions in numpy's .npz, which scripts can read and write in one line.

Layout: `flow` (H, W, 2), px, x then y, or `disparity` (H, W), px; with it `valid` (H, W) bool, true where the value
is known. Files are written as float32, compressed, with 0 at unknown pixels. Floating-point values of 2, 4 or 8 bytes
are read; `valid` may be missing or an integer (0 is invalid). An archive may contain both motions and other arrays.

The archive is parsed here, not by numpy.load, which allocates whatever size a damaged header specifies.
Source: numpy's description of the .npy format, versions 1.0 to 3.0.
"""

import io
import math
import os
import re
import struct
import zipfile
import zlib

import numpy as np
import numpy.typing as npt

from flowdistill.formats.atomic import write_atomically
from flowdistill.formats.errors import check_sides, format_error, read_bytes

_ZIP = b"PK"
_VALID = "valid"
_MAGIC = b"\x93NUMPY"
_HEADER = re.compile(
    rb"\{\s*'descr':\s*'([<>|=]?)([a-z])(\d+)',\s*'fortran_order':\s*(True|False),\s*'shape':\s*\(([\d, ]*)\),?\s*\}\s*"
)
# DEFLATE's largest compression ratio.
_DEFLATE_LIMIT = 1032
_DAMAGED = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, NotImplementedError)

Mask = npt.NDArray[np.bool_]


def inspect_npz(path: str | os.PathLike[str]) -> list[str]:
    """Return the names of the arrays, in the archive's order. Raises FormatError for other files."""
    return list(_members(path, read_bytes(path, "an .npz file"))[1])


def read_npz(path: str | os.PathLike[str], key: str) -> tuple[npt.NDArray[np.floating], Mask | None]:
    """Reads the motion called `key`, (H, W, 2) or (H, W, 1) in pixels, and `valid` (H, W), None if there is none.

    Values are returned as stored (including NaN), half precision as float32.
    Raises FormatError for a file that is damaged, lacks the key, or contains arrays of another shape or type.
    """
    content = read_bytes(path, "an .npz file")
    archive, members = _members(path, content)
    if key not in members:
        raise format_error(path, f"an array `{key}`", f"the arrays {', '.join(members) or '(none)'}")
    values = _array(path, key, _unpack(path, archive, members[key], len(content)))
    form = "(H, W, 2)" if key == "flow" else "(H, W)"
    if values.ndim != form.count(",") + 1 or (key == "flow" and values.shape[2] != 2):
        raise format_error(path, f"`{key}` of the shape {form}", f"{values.shape}")
    if values.dtype.kind != "f" or values.dtype.itemsize > 8:
        raise format_error(path, f"`{key}` as floating-point numbers in pixels", f"{values.dtype}")
    height, width = values.shape[:2]
    check_sides(path, height, width, f"`{key}`")
    exact = values.astype(np.float64 if values.dtype.itemsize == 8 else np.float32)
    exact = exact.reshape(height, width, -1)
    if _VALID not in members:
        return exact, None
    valid = _array(path, _VALID, _unpack(path, archive, members[_VALID], len(content)))
    if valid.shape != (height, width) or valid.dtype.kind not in "biu":
        expected = f"`{_VALID}` of the shape {(height, width)}, bool"
        raise format_error(path, expected, f"{valid.dtype} of the shape {valid.shape}")
    return exact, valid != 0


def write_npz(path: str | os.PathLike[str], key: str, values: npt.NDArray[np.floating], valid: Mask) -> None:
    """Writes flow (H, W, 2) or disparity (H, W, 1) in pixels as float32 with its mask (H, W), atomically.

    The same arrays give the same bytes. Raises FormatError if the file cannot be written.
    """
    stored = np.where(valid[..., None], values, 0).astype("<f4")
    arrays = {key: stored if key == "flow" else stored[..., 0], _VALID: valid}
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, array in arrays.items():
            # An explicit ZipInfo has a fixed date, whereas a name alone would get the current date.
            member = zipfile.ZipInfo(f"{name}.npy")
            member.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(member, "w") as stream:
                np.lib.format.write_array(stream, np.ascontiguousarray(array), allow_pickle=False)
    write_atomically(path, content.getvalue())


def _members(
    path: str | os.PathLike[str], content: bytes
) -> tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]:
    """Return the archive, and its arrays by name."""
    if not content.startswith(_ZIP):
        array = content.startswith(_MAGIC)
        found = "a single array (.npy), without a name or a mask" if array else repr(content[:8])
        raise format_error(path, f"an .npz archive, which starts with {_ZIP!r}", found)
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
        names = archive.infolist()
    except _DAMAGED as error:
        raise format_error(path, "an .npz archive", f"a damaged one ({error})") from error
    return archive, {info.filename.removesuffix(".npy"): info for info in names}


def _unpack(
    path: str | os.PathLike[str], archive: zipfile.ZipFile, member: zipfile.ZipInfo, size: int
) -> bytes:
    """Return the bytes of one member, with its checksum verified."""
    if member.flag_bits & 1 or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise format_error(path, f"{member.filename} stored or deflated", "encryption or other compression")
    if member.file_size > size * _DEFLATE_LIMIT:
        found = f"a size of {member.file_size} bytes in a file of {size}"
        raise format_error(path, f"{member.filename} of a size that fits the file", found)
    try:
        return archive.read(member)
    except _DAMAGED as error:
        raise format_error(path, f"an undamaged {member.filename}", f"{error}") from error


def _array(path: str | os.PathLike[str], key: str, content: bytes) -> npt.NDArray[np.generic]:
    """Parse the array from the bytes of a .npy file."""
    long = content[6:7] != b"\1"  # the header's length has two bytes in version 1, otherwise four
    begin = 12 if long else 10
    length = int.from_bytes(content[8:begin], "little")
    header = _HEADER.fullmatch(content[begin : begin + length])
    if not content.startswith(_MAGIC) or header is None:
        raise format_error(path, f"`{key}` as a plain array of numbers", repr(content[begin : begin + 64]))
    order, kind, size, fortran, sides = (part.decode("ascii") for part in header.groups())
    shape = tuple(int(side) for side in sides.split(",") if side.strip())
    try:
        dtype = np.dtype(f"{order}{kind}{size}")
    except TypeError as error:
        raise format_error(path, f"`{key}` of a type supported by numpy", f"{kind}{size}") from error
    expected = dtype.itemsize * math.prod(shape)
    data = content[begin + length :]
    if len(data) != expected or dtype.kind not in "biuf":
        found = f"{len(data)} bytes for {dtype} of the shape {shape}"
        raise format_error(path, f"`{key}` as a complete array of numbers", found)
    stored = np.frombuffer(data, dtype)
    return stored.reshape(shape, order="F" if fortran == "True" else "C").astype(dtype.newbyteorder("="))
