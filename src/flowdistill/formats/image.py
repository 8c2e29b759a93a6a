"""8-bit pictures: PNG, JPEG and binary PPM/PGM in; PNG, JPEG and PPM out."""

import os
import re
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from flowdistill.formats.atomic import write_atomically
from flowdistill.formats.errors import MAX_SIDE, check_sides, format_error, read_bytes
from flowdistill.formats.png import GREY, PALETTE, RGB, SIGNATURE, decode, inspect_png, read_png

Pixels = npt.NDArray[np.uint8]

_SUFFIXES = (".png", ".jpg", ".jpeg", ".ppm")
_JPEG_START = b"\xff\xd8\xff"
_JPEG_QUALITY = 95
_PNM_SEPARATOR = rb"(?:\s|#[^\n]*\n)+"
_PNM_HEADER = re.compile(
    rb"P[56]"
    + _PNM_SEPARATOR
    + rb"(\d{1,10})"
    + _PNM_SEPARATOR
    + rb"(\d{1,10})"
    + _PNM_SEPARATOR
    + rb"(\d{1,10})\s"
)
_PNM_HEADER_LIMIT = 4096
# In JPEG's entropy-coded data 0xff is followed by 0 (a stuffed byte), a restart marker's code or a fill byte;
# followed by anything else it starts a segment.
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)
_JPEG_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_JPEG_END = 0xD9
# Every block of 8 x 8 pixels takes at least one bit, so a byte holds 512 pixels; twice that for safety.
_JPEG_LIMIT = 1024


def read_image(path: str | os.PathLike[str]) -> Pixels:
    """Reads an 8-bit PNG, JPEG or binary PPM/PGM as (H, W, 3) uint8 RGB; grey is repeated over the channels.

    The kind is told from the content, not the name. Pixels come as stored: no orientation tag turns them.
    Raises FormatError for a missing, truncated or damaged file, 16 bit, transparency, CMYK or another format.
    """
    content = read_bytes(path, "an image (PNG, JPEG or PPM)")
    if content.startswith(SIGNATURE):
        height, width = _check_png(path, content)
    elif content.startswith(_JPEG_START):
        height, width = _check_jpeg(path, content)
    elif content[:2] in (b"P5", b"P6"):
        return _read_pnm(path, content)
    else:
        raise format_error(
            path, "an image (PNG, JPEG or binary PPM)", f"a file that starts with {content[:8]!r}"
        )
    pixels = decode(path, content, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION, height, width)
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB, dst=pixels), dtype=np.uint8)


def write_image(path: str | os.PathLike[str], image: npt.ArrayLike) -> None:
    """Writes uint8 RGB (H, W, 3), or grey (H, W) or (H, W, 1), atomically; the suffix names the format.

    Raises ValueError for another shape, type or suffix, FormatError where the file cannot be written.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in _SUFFIXES:
        raise ValueError(f"{os.fspath(path)}: an image's suffix must be one of {', '.join(_SUFFIXES)}")
    pixels = np.asarray(image)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    if pixels.dtype != np.uint8 or not (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3)):
        expected = "uint8 of shape (H, W, 3), (H, W, 1) or (H, W)"
        raise ValueError(f"an image must be {expected}, not {pixels.dtype} of shape {pixels.shape}")
    if not 0 < min(pixels.shape) <= max(pixels.shape) <= MAX_SIDE:
        raise ValueError(f"an image's sides must be 1 to {MAX_SIDE} pixels, not {pixels.shape}")
    stored = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if pixels.ndim == 3 else np.ascontiguousarray(pixels)
    options = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY] if suffix in (".jpg", ".jpeg") else []
    encoded, content = cv2.imencode(suffix, stored, options)
    if not encoded:
        raise ValueError(
            f"{os.fspath(path)}: OpenCV cannot encode an image of shape {pixels.shape} as {suffix}"
        )
    write_atomically(path, content.data)


def read_object_map(path: str | os.PathLike[str]) -> Pixels:
    """Reads KITTI's object map (H, W) uint8: 0 is background, other values are the objects' ids.

    Raises FormatError unless the file is an undamaged 8-bit grey PNG.
    """
    return read_png(path, 8, GREY, "KITTI object map").astype(np.uint8, copy=False)


def _check_png(path: str | os.PathLike[str], content: bytes) -> tuple[int, int]:
    header = inspect_png(path, content)
    eight_bit = header.bit_depth == 8 and header.colour_type in (GREY, RGB)
    if header.transparent or not (eight_bit or header.colour_type == PALETTE):
        expected = "an image: an 8-bit grey, RGB or palette PNG without transparency"
        raise format_error(path, expected, f"{header}, {header.height} x {header.width}")
    return header.height, header.width


def _check_jpeg(path: str | os.PathLike[str], content: bytes) -> tuple[int, int]:
    """Height and width of a JPEG that is 8-bit, grey or colour, and whole up to its end marker."""
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
            bits, components = content[body + 2], content[body + 7]
            size = (
                int.from_bytes(content[body + 3 : body + 5], "big"),
                int.from_bytes(content[body + 5 : body + 7], "big"),
            )
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


def _read_pnm(path: str | os.PathLike[str], content: bytes) -> Pixels:
    header = _PNM_HEADER.match(content[:_PNM_HEADER_LIMIT])
    if header is None:
        raise format_error(path, "a PPM header (width, height, maximum)", repr(content[:32]))
    width, height, maximum = (int(number) for number in header.groups())
    check_sides(path, height, width, "a PPM")
    if maximum != 255:
        raise format_error(path, "an image: an 8-bit PPM with the maximum 255", f"the maximum {maximum}")
    channels = 3 if content[:2] == b"P6" else 1
    size = header.end() + height * width * channels
    if len(content) != size:
        raise format_error(path, f"{size} bytes for {height} x {width} x {channels}", f"{len(content)} bytes")
    stored = np.frombuffer(content, dtype=np.uint8, offset=header.end()).reshape(height, width, channels)
    return np.repeat(stored, 3, axis=2) if channels == 1 else stored.copy()
