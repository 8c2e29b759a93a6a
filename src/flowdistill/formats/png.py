"""PNG files checked from the first byte to the last chunk before a decoder sees them.

OpenCV converts depths and channels on request, and what it makes of a damaged file depends on its version. So
the header is read and every chunk's checksum verified here (about 2 % of the decoding time).
Source: the PNG specification, sections 5 (chunks) and 11.2 (IHDR, IDAT, IEND).
"""

import os
import struct
import zlib
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from flowdistill.formats.atomic import write_atomically
from flowdistill.formats.errors import check_sides, format_error, read_bytes

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6
COLOUR_TYPES = {
    GREY: "grey",
    RGB: "RGB",
    PALETTE: "palette",
    GREY_ALPHA: "grey + alpha",
    RGB_ALPHA: "RGB + alpha",
}
_SAMPLES = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGB_ALPHA: 4}
# DEFLATE cannot pack more than this many bytes into one.
_DEFLATE_LIMIT = 1032


class PngHeader(NamedTuple):
    """What IHDR says, and whether a tRNS chunk makes some colour transparent."""

    height: int
    width: int
    bit_depth: int
    colour_type: int
    transparent: bool

    def __str__(self) -> str:
        kind = COLOUR_TYPES.get(self.colour_type, f"colour type {self.colour_type}")
        return f"{self.bit_depth}-bit {kind}{' with transparency' if self.transparent else ''}"


def inspect_png(path: str | os.PathLike[str], content: bytes) -> PngHeader:
    """Checks signature, chunk structure up to IEND and all checksums; bytes after IEND are tolerated.

    Raises FormatError where something is missing, damaged or impossible.
    """
    if not content.startswith(SIGNATURE):
        raise format_error(path, f"the signature {SIGNATURE!r} of a PNG file", repr(content[:8]))
    header: PngHeader | None = None
    transparent, packed, position = False, 0, len(SIGNATURE)
    while True:
        kind, body, position = _next_chunk(path, content, position)
        if header is None:
            header = _parse_header(path, kind, body)
        elif kind == b"tRNS":
            transparent = True
        elif kind == b"IDAT":
            packed += len(body)
        elif kind == b"IEND":
            break
    header = header._replace(transparent=transparent)
    samples = _SAMPLES.get(header.colour_type, 1)
    unpacked = header.height * (header.width * samples * header.bit_depth // 8 + 1)
    if unpacked > packed * _DEFLATE_LIMIT:
        expected = f"compressed pixels for {header.height} x {header.width}, {header}"
        raise format_error(path, expected, f"{packed} bytes, too few to hold them")
    return header


def read_png(
    path: str | os.PathLike[str], bit_depth: int, colour_type: int, meaning: str
) -> npt.NDArray[np.uint8 | np.uint16]:
    """Reads a PNG of exactly this depth and colour type: (H, W) for grey, (H, W, 3) in **BGR** order for RGB.

    `meaning` says what the file is for, in the error. Raises FormatError for anything else.
    """
    content = read_bytes(path, meaning)
    header = inspect_png(path, content)
    if (header.bit_depth, header.colour_type) != (bit_depth, colour_type):
        expected = f"{meaning}: a {bit_depth}-bit {COLOUR_TYPES[colour_type]} PNG"
        raise format_error(path, expected, f"{header}, {header.height} x {header.width}")
    flags = cv2.IMREAD_ANYDEPTH | (cv2.IMREAD_GRAYSCALE if colour_type == GREY else cv2.IMREAD_COLOR)
    pixels = decode(path, content, flags | cv2.IMREAD_IGNORE_ORIENTATION, header.height, header.width)
    if pixels.dtype != (np.uint8 if bit_depth == 8 else np.uint16):
        raise format_error(path, f"{bit_depth}-bit pixels", f"{pixels.dtype} from the decoder")
    return pixels


def decode(
    path: str | os.PathLike[str], content: bytes, flags: int, height: int, width: int
) -> npt.NDArray[np.uint8 | np.uint16]:
    """Pixels by OpenCV, of the header's size. Raises FormatError where the decoder gives up."""
    try:
        pixels = cv2.imdecode(np.frombuffer(content, dtype=np.uint8), flags)
    except cv2.error as error:
        raise format_error(
            path, f"an image of {height} x {width}", f"pixels that OpenCV refuses ({error})"
        ) from error
    if pixels is None:
        raise format_error(path, f"an image of {height} x {width}", "pixels that cannot be decoded")
    if pixels.shape[:2] != (height, width):
        raise format_error(
            path, f"an image of {height} x {width}", f"{pixels.shape[0]} x {pixels.shape[1]} pixels"
        )
    return np.asarray(pixels)


def write_png(path: str | os.PathLike[str], pixels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]) -> None:
    """Writes (H, W) grey or (H, W, 3) BGR pixels of 8 or 16 bit as they are, atomically."""
    encoded, content = cv2.imencode(".png", np.ascontiguousarray(pixels))
    if not encoded:
        raise ValueError(
            f"{os.fspath(path)}: OpenCV cannot encode {pixels.dtype} pixels of shape {pixels.shape}"
        )
    write_atomically(path, content.data)


def _next_chunk(path: str | os.PathLike[str], content: bytes, position: int) -> tuple[bytes, memoryview, int]:
    """The chunk's type and body, and where the next one starts."""
    if position + 12 > len(content):
        raise format_error(
            path, "a PNG that ends with an IEND chunk", f"its end at byte {len(content)} (truncated)"
        )
    length, kind = struct.unpack_from(">I4s", content, position)
    end = position + 12 + length
    if end > len(content):
        expected = f"{length} bytes in the PNG chunk {kind!r} at byte {position}"
        raise format_error(path, expected, f"the file's end after {len(content) - position - 8} (truncated)")
    view = memoryview(content)
    (stored,) = struct.unpack_from(">I", content, end - 4)
    computed = zlib.crc32(view[position + 4 : end - 4])
    if computed != stored:
        expected = f"the checksum {stored:08x} in the PNG chunk {kind!r} at byte {position}"
        raise format_error(path, expected, f"{computed:08x} (damaged)")
    return kind, view[position + 8 : end - 4], end


def _parse_header(path: str | os.PathLike[str], kind: bytes, body: memoryview) -> PngHeader:
    if kind != b"IHDR" or len(body) != 13:
        raise format_error(
            path, "an IHDR chunk of 13 bytes first", f"the chunk {kind!r} of {len(body)} bytes"
        )
    width, height, bit_depth, colour_type = struct.unpack_from(">IIBB", body)
    check_sides(path, height, width, "a PNG")
    return PngHeader(height, width, bit_depth, colour_type, transparent=False)
