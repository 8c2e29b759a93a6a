"""8-bit pictures: reads PNG, JPEG and binary PPM/PGM; writes PNG, JPEG and PPM."""

import os
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from flowdistill.formats.atomic import write_atomically
from flowdistill.formats.errors import MAX_SIDE, FormatError, are_sides, format_error, read_bytes, read_start
from flowdistill.formats.jpeg import JPEG_START, decode_jpeg, inspect_jpeg
from flowdistill.formats.png import (
    GREY,
    PALETTE,
    RGB,
    SIGNATURE,
    PngHeader,
    decode_png,
    inspect_png,
    look_up,
    read_png_header,
)
from flowdistill.formats.pnm import PNM_HEADER_LIMIT, PNM_STARTS, PnmHeader, decode_pnm, parse_pnm

Pixels = npt.NDArray[np.uint8]

WRITTEN_SUFFIXES = (".png", ".jpg", ".jpeg", ".ppm")
"""The suffixes supported by `write_image`, in lower case."""
_JPEG_QUALITY = 95


def read_image(path: str | os.PathLike[str]) -> Pixels:
    """Reads an 8-bit PNG, JPEG or binary PPM/PGM as (H, W, 3) uint8 RGB; grey is repeated over the channels.

    The format is determined by the content, not the name. Pixels are returned as stored, ignoring orientation tags.
    Raises FormatError for a missing, truncated or damaged file, 16 bit, transparency, CMYK or another format.

    Examples:
        >>> import tempfile
        >>> import numpy as np
        >>> from flowdistill.formats import read_image, write_image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_image(f"{folder}/grey.png", np.full((4, 6), 200, np.uint8))
        ...     image = read_image(f"{folder}/grey.png")
        >>> image.shape, image[0, 0].tolist()
        ((4, 6, 3), [200, 200, 200])
    """
    content = read_bytes(path, "an image (PNG, JPEG or PPM)")
    if content.startswith(SIGNATURE):
        return _read_png(path, content)
    if content.startswith(JPEG_START):
        return decode_jpeg(path, content)
    if content.startswith(PNM_STARTS):
        pnm = parse_pnm(path, content, len(content))
        _check_pnm_kind(path, pnm)
        samples = decode_pnm(path, content, pnm).astype(np.uint8, copy=False)
        return np.repeat(samples, 3, axis=2) if pnm.channels == 1 else samples
    raise _unknown_format(path, content)


def inspect_image(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Return height and width from the header (JPEG: all markers) and the length of the file; no pixels are decoded.

    Raises FormatError for other files, and for truncated ones.

    Examples:
        >>> import tempfile
        >>> import numpy as np
        >>> from flowdistill.formats import inspect_image, write_image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_image(f"{folder}/a.jpg", np.zeros((4, 6, 3), np.uint8))
        ...     inspect_image(f"{folder}/a.jpg")
        (4, 6)
    """
    start, size = read_start(path, "an image (PNG, JPEG or PPM)", PNM_HEADER_LIMIT)
    if start.startswith(SIGNATURE):
        header = read_png_header(path, "an image")
        _check_png_kind(path, header)
        return header.height, header.width
    if start.startswith(JPEG_START):
        return inspect_jpeg(path, read_bytes(path, "an image"))
    if start.startswith(PNM_STARTS):
        pnm = parse_pnm(path, start, size)
        _check_pnm_kind(path, pnm)
        return pnm.height, pnm.width
    raise _unknown_format(path, start)


def write_image(path: str | os.PathLike[str], image: npt.ArrayLike) -> None:
    """Writes uint8 RGB (H, W, 3), or grey (H, W) or (H, W, 1), atomically; the suffix selects the format.

    Raises ValueError for another shape, type or suffix, FormatError if the file cannot be written.

    Examples:
        >>> import tempfile
        >>> import numpy as np
        >>> from flowdistill.formats import read_image, write_image
        >>> orange = np.full((4, 6, 3), [255, 128, 0], np.uint8)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_image(f"{folder}/orange.png", orange)
        ...     read_image(f"{folder}/orange.png")[0, 0].tolist()
        [255, 128, 0]
    """
    suffix = Path(path).suffix.lower()
    if suffix not in WRITTEN_SUFFIXES:
        raise ValueError(f"{os.fspath(path)}: an image's suffix must be one of {', '.join(WRITTEN_SUFFIXES)}")
    pixels = np.asarray(image)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    if pixels.dtype != np.uint8 or not (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3)):
        expected = "uint8 of shape (H, W, 3), (H, W, 1) or (H, W)"
        raise ValueError(f"an image must be {expected}, got {pixels.dtype} of shape {pixels.shape}")
    if not are_sides(pixels.shape):
        raise ValueError(f"an image's sides must be 1 to {MAX_SIDE} pixels, got {pixels.shape}")
    stored = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if pixels.ndim == 3 else np.ascontiguousarray(pixels)
    options = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY] if suffix in (".jpg", ".jpeg") else []
    encoded, content = cv2.imencode(suffix, stored, options)
    if not encoded:
        raise ValueError(
            f"{os.fspath(path)}: OpenCV cannot encode an image of shape {pixels.shape} as {suffix}"
        )
    write_atomically(path, content.data)


def _read_png(path: str | os.PathLike[str], content: bytes) -> Pixels:
    header = inspect_png(path, content)
    _check_png_kind(path, header)
    pixels = decode_png(path, content, header).astype(np.uint8, copy=False)
    if header.colour_type == GREY:
        return np.repeat(pixels[..., None], 3, axis=2)
    if header.colour_type == RGB:
        return pixels
    return look_up(path, header, pixels)


def _check_pnm_kind(path: str | os.PathLike[str], header: PnmHeader) -> None:
    if header.maximum != 255:
        raise format_error(
            path, "an image: an 8-bit PPM with the maximum 255", f"the maximum {header.maximum}"
        )


def _check_png_kind(path: str | os.PathLike[str], header: PngHeader) -> None:
    eight_bit = header.bit_depth == 8 and header.colour_type in (GREY, RGB)
    if header.transparent or not (eight_bit or header.colour_type == PALETTE):
        expected = "an image: an 8-bit grey, RGB or palette PNG without transparency"
        raise format_error(path, expected, f"{header}, {header.height} x {header.width}")


def _unknown_format(path: str | os.PathLike[str], start: bytes) -> FormatError:
    return format_error(path, "an image (PNG, JPEG or binary PPM)", f"a file that starts with {start[:8]!r}")
