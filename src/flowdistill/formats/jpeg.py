"""JPEG pictures: checked for size and completeness, then decoded by a decoder that stops at the first damage.

JPEG has no checksum, so a changed bit may go unnoticed and only change the picture. OpenCV repairs data that cannot be
decoded, with a message on the terminal; the decoder used here rejects them.
Source: ITU-T T.81, annex B (markers and frame header).
"""

import os
import re
import struct

import numpy as np
import numpy.typing as npt
from kornia_rs import io as decoders

from flowdistill.formats.errors import check_sides, format_error

JPEG_START = b"\xff\xd8\xff"
# In JPEG's entropy-coded data 0xff is followed by 0 (a stuffed byte), a restart marker's code or a fill byte;
# otherwise it starts a segment.
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)
_JPEG_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_JPEG_END = 0xD9
# Every block of 8 x 8 pixels takes at least one bit, so a byte holds 512 pixels; twice that for safety.
_JPEG_LIMIT = 1024


def decode_jpeg(path: str | os.PathLike[str], content: bytes) -> npt.NDArray[np.uint8]:
    """Decode pixels (H, W, 3) RGB of a complete JPEG file, 8 bit, grey or colour; orientation tags are ignored.

    Raises FormatError for anything else, and if the compressed data are damaged.
    """
    height, width = inspect_jpeg(path, content)
    expected = f"a JPEG of {height} x {width}"
    try:
        pixels = decoders.decode_image_jpegturbo(content, "rgb")
    except Exception as error:  # the decoder does not raise a narrower class
        raise format_error(path, expected, "compressed pixels that are damaged") from error
    if pixels.shape != (height, width, 3):
        raise format_error(path, expected, f"pixels of shape {pixels.shape} from the decoder")
    return pixels


def inspect_jpeg(path: str | os.PathLike[str], content: bytes) -> tuple[int, int]:
    """Return height and width of a JPEG that is 8-bit, grey or colour, and complete up to its end marker.

    Raises FormatError for anything else.
    """
    size: tuple[int, int] | None = None
    position = 2
    while True:
        marker = _JPEG_MARKER.search(content, position)
        if marker is None:
            raise format_error(path, "a JPEG that ends with its end marker", "a file without one (truncated)")
        code, body = marker[0][1], marker.end()
        if code == _JPEG_END:
            break
        length = int.from_bytes(content[body : body + 2], "big")
        if code in _JPEG_FRAMES:
            if body + 8 > len(content):
                raise format_error(path, "a JPEG frame header", "the file's end (truncated)")
            _, bits, height, width, components = struct.unpack_from(">HBHHB", content, body)
            size = height, width
            if bits != 8 or components not in (1, 3):
                raise format_error(
                    path, "an image: 8 bit, 1 or 3 channels", f"JPEG, {bits} bit, {components} channels"
                )
        position = body + length
    if size is None:
        raise format_error(path, "a JPEG with a frame", "none before its end marker")
    check_sides(path, *size, "a JPEG")
    if size[0] * size[1] > len(content) * _JPEG_LIMIT:
        expected = f"compressed pixels for {size[0]} x {size[1]}"
        raise format_error(path, expected, f"a file of {len(content)} bytes, too few to hold them")
    return size
