"""BMP pictures: uncompressed palettes of 1, 4 and 8 bit, and 24 or 32 bits per pixel. Rows in either order.

Source: Microsoft's reference of BITMAPFILEHEADER and BITMAPINFOHEADER up to BITMAPV5HEADER.
"""

import os
import struct
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from flowdistill.formats.errors import check_sides, format_error
from flowdistill.formats.png import unpack_samples

BMP_START = b"BM"
BMP_HEADER_LIMIT = 14 + 124  # bytes: the file header and the longest picture header
_HEADER_SIZES = (12, 40, 52, 56, 64, 108, 124)
_PLAIN, _MASKS, _ALPHA_MASKS = 0, 3, 6  # compression: none; none, with masks for the position of each channel
_PALETTES = (1, 4, 8)
_BGR = (2, 1, 0)


class BmpHeader(NamedTuple):
    """Location and layout of the pixels.

    `channels` are the bytes of a pixel, or of a palette's colour, for red, green, blue and optionally alpha.
    """

    height: int
    width: int
    bits: int
    upwards: bool
    offset: int
    channels: tuple[int, ...]
    palette: tuple[int, int, int]  # first byte, number of colours, bytes of each


def parse_bmp(path: str | os.PathLike[str], start: bytes, length: int) -> BmpHeader:
    """Parse the header of a BMP.

    Args:
        path: for error messages.
        start: at least the first `BMP_HEADER_LIMIT` bytes, or the whole file.
        length: of the file, bytes.

    Raises:
        FormatError: not a BMP header, an unsupported one, or the file is too short for its pixels.
    """
    if len(start) < 14 + 12:
        raise format_error(path, "a BMP header", f"the file's end after {len(start)} bytes (truncated)")
    offset, size = struct.unpack_from("<II", start, 10)
    if size not in _HEADER_SIZES:
        raise format_error(path, "a BMP header", f"one with a size of {size} bytes")
    if len(start) < 14 + size:
        found = f"the file's end after {len(start)} (truncated)"
        raise format_error(path, f"a BMP header of {14 + size} bytes", found)
    compression = colours = 0
    if size == 12:
        width, height, planes, bits = struct.unpack_from("<HHHH", start, 18)
    else:
        width, height, planes, bits, compression = struct.unpack_from("<iiHHI", start, 18)
        (colours,) = struct.unpack_from("<I", start, 46)
    upwards, height = height > 0, abs(height)
    check_sides(path, height, width, "a BMP")
    plain = compression == _PLAIN and bits in (*_PALETTES, 24, 32)
    masked = compression in (_MASKS, _ALPHA_MASKS) and bits == 32 and size >= 40
    if planes != 1 or not (plain or masked):
        found = f"{bits} bits, compression {compression}, {planes} planes"
        raise format_error(path, "an uncompressed BMP of 1, 4, 8, 24 or 32 bits per pixel", found)
    channels: tuple[int, ...] = _BGR
    first = 14 + size
    if masked:
        # The masks are part of the longer headers, and follow the header of 40 bytes.
        count = 4 if size >= 56 or compression == _ALPHA_MASKS else 3
        if len(start) < 54 + 4 * count:
            raise format_error(path, "masks of the channels in a BMP", "the file's end (truncated)")
        masks = struct.unpack_from(f"<{count}I", start, 54)
        first = max(first, 54 + 4 * count)
        channels = tuple(_byte_of(path, mask) for mask in (*masks[:3], *filter(None, masks[3:])))
        if len(set(channels)) != len(channels):
            found = " ".join(f"{mask:08x}" for mask in masks)
            raise format_error(path, "a BMP with one byte per channel", f"the masks {found}")
    entry = 3 if size == 12 else 4
    colours = min(colours or 1 << bits, 1 << bits) if bits in _PALETTES else 0
    header = BmpHeader(height, width, bits, upwards, offset, channels, (14 + size, colours, entry))
    first += colours * entry
    end = offset + height * _stride(header)
    if offset < first:
        raise format_error(path, f"the pixels of a BMP behind byte {first}", f"byte {offset} in its header")
    if length < end:
        expected = f"{end} bytes for a BMP of {height} x {width} with {bits} bits per pixel"
        raise format_error(path, expected, f"{length} bytes (truncated)")
    return header


def decode_bmp(path: str | os.PathLike[str], content: bytes) -> npt.NDArray[np.uint8]:
    """Decode the pixels of a file: (H, W, 3) RGB, or (H, W, 4) if the header defines an alpha byte.

    The fourth byte of a plain 32-bit pixel is undefined and ignored. Raises FormatError as `parse_bmp`, and
    for an index without a colour.
    """
    header = parse_bmp(path, content, len(content))
    height, width, bits = header[:3]
    stride = _stride(header)
    rows = np.frombuffer(content, np.uint8, height * stride, header.offset).reshape(height, stride)
    if header.upwards:
        rows = rows[::-1]
    channels = list(header.channels)
    if bits not in _PALETTES:
        return rows[:, : width * bits // 8].reshape(height, width, bits // 8)[..., channels]
    indices = unpack_samples(rows, bits, width)
    first, colours, entry = header.palette
    palette = np.frombuffer(content, np.uint8, colours * entry, first).reshape(colours, entry)
    if (largest := int(indices.max())) >= colours:
        raise format_error(path, f"a BMP with indices of its {colours} colours", f"the index {largest}")
    return palette[:, channels][indices]


def _stride(header: BmpHeader) -> int:
    """Return the number of bytes per row, a multiple of four."""
    return (header.width * header.bits + 31) // 32 * 4


def _byte_of(path: str | os.PathLike[str], mask: int) -> int:
    for byte in range(4):
        if mask == 0xFF << 8 * byte:
            return byte
    raise format_error(path, "a BMP with one byte per channel", f"the mask {mask:08x}")
