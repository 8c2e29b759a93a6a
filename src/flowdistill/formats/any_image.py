"""Anybody's images: every usual kind, depth and number of channels becomes 8-bit RGB, or is refused with a reason.

`read_image` stays the strict reader of the benchmarks' files, where another depth or a transparent pixel is a mistake.
"""

import os
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from flowdistill.formats.bmp import BMP_HEADER_LIMIT, BMP_START, decode_bmp, parse_bmp
from flowdistill.formats.errors import format_error, read_bytes, read_start
from flowdistill.formats.jpeg import JPEG_START, decode_jpeg, inspect_jpeg
from flowdistill.formats.orientation import asks_to_be_turned
from flowdistill.formats.png import (
    GREY,
    PALETTE,
    RGB,
    SIGNATURE,
    decode_png,
    inspect_png,
    look_up,
    read_png_header,
)
from flowdistill.formats.pnm import PNM_HEADER_LIMIT, PNM_STARTS, decode_pnm, parse_pnm
from flowdistill.formats.tiff import decode_tiff, inspect_tiff
from flowdistill.formats.tiff_tags import TIFF_STARTS
from flowdistill.formats.webp import decode_webp, inspect_webp, is_webp

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm"})
"""The suffixes of images, in lower case; files have them in any case (`path.suffix.lower() in IMAGE_SUFFIXES`)."""

_IMAGE = "an image (PNG, JPEG, WebP, BMP, TIFF, binary PPM or PGM)"
_HEADER_LIMIT = max(BMP_HEADER_LIMIT, PNM_HEADER_LIMIT)

_Path = str | os.PathLike[str]
Samples = npt.NDArray[np.uint8 | np.uint16]


def read_any_image(path: _Path) -> npt.NDArray[np.uint8]:
    """Reads an image as (H, W, 3) uint8 RGB.

    The kind is told from the content, not the name. Grey is repeated over the channels; deeper samples v of at most m
    are scaled to v * 255 / m, rounded (`is_sixteen_bit_image`); an alpha channel goes where it is opaque everywhere.
    Colours come as stored, without their profile or gamma, and pixels, too: no orientation tag turns them
    (`is_turned_image`).

    Raises FormatError for a missing, truncated or damaged file, a pixel that is not opaque, several pages or frames,
    CMYK, floating point or another format.
    """
    content = read_bytes(path, _IMAGE)
    samples, maximum = _decoder(path, content)(path, content)
    channels = samples.shape[2]
    if channels in (2, 4):
        clear = int(np.count_nonzero(samples[..., -1] != maximum))
        if clear:
            found = (
                f"{clear} of {samples[..., -1].size} pixels that are not (alpha under {maximum}); put the picture on a "
                "background and leave the alpha channel out"
            )
            raise format_error(path, "an image whose pixels are all opaque", found)
        samples = samples[..., : channels - 1]
    if samples.shape[2] == 1:
        samples = np.repeat(samples, 3, axis=2)
    if maximum == 255:
        return np.ascontiguousarray(samples, dtype=np.uint8)
    scaled = (np.arange(maximum + 1) * 510 + maximum) // (2 * maximum)
    return scaled.astype(np.uint8)[samples]


def inspect_any_image(path: _Path) -> tuple[int, int]:
    """Height and width, by the header and the length of the file; no pixel is decoded.

    Raises FormatError for what is no such file and for one that is cut off.
    """
    start, size = read_start(path, _IMAGE, _HEADER_LIMIT)
    if start.startswith(SIGNATURE):
        header = read_png_header(path, "an image")
        return header.height, header.width
    if start.startswith(BMP_START):
        return parse_bmp(path, start, size)[:2]
    if start.startswith(PNM_STARTS):
        return parse_pnm(path, start, size)[:2]
    _decoder(path, start)
    content = read_bytes(path, _IMAGE)
    if is_webp(start):
        return inspect_webp(path, content)
    return inspect_jpeg(path, content) if start.startswith(JPEG_START) else inspect_tiff(path, content)[:2]


def is_sixteen_bit_image(path: _Path) -> bool:
    """Whether `read_any_image` scales the samples, which have more than 8 bits; by the header. Raises FormatError."""
    start, size = read_start(path, _IMAGE, _HEADER_LIMIT)
    if start.startswith(SIGNATURE):
        return read_png_header(path, "an image").bit_depth == 16
    if start.startswith(PNM_STARTS):
        return parse_pnm(path, start, size).maximum > 255
    if start.startswith(TIFF_STARTS):
        return inspect_tiff(path, read_bytes(path, _IMAGE)).bits == 16
    _decoder(path, start)
    return False


def is_turned_image(path: _Path) -> bool:
    """Whether a JPEG, WebP or TIFF has a tag that asks viewers to turn or mirror it, which `read_any_image` does not.

    Raises FormatError where the file cannot be opened; another kind of file has no such tag.
    """
    return asks_to_be_turned(path, read_bytes(path, _IMAGE))


def _decoder(path: _Path, start: bytes) -> Callable[[_Path, bytes], tuple[Samples, int]]:
    """The decoder of the kind that the first bytes tell: samples (H, W, 1 to 4) and the largest that there can be."""
    for starts, decoder in _DECODERS.items():
        if start.startswith(starts):
            return decoder
    if is_webp(start):
        return _webp
    raise format_error(path, _IMAGE, f"a file that starts with {start[:12]!r}; convert other pictures to PNG")


def _png(path: _Path, content: bytes) -> tuple[Samples, int]:
    header = inspect_png(path, content)
    samples = decode_png(path, content, header)
    alpha = None if header.transparency is None else np.frombuffer(header.transparency, np.uint8)
    if header.colour_type == PALETTE:
        colours = look_up(path, header, samples)
        if alpha is None:
            return colours, 255
        opacity = np.full(1 << header.bit_depth, 255, np.uint8)
        if len(alpha) > len(header.palette) // 3:
            found = f"{len(alpha)} for {len(header.palette) // 3} colours"
            raise format_error(path, "at most one alpha of a colour in the PNG chunk tRNS", found)
        opacity[: len(alpha)] = alpha
        return np.dstack([colours, opacity[samples]]), 255
    maximum = (1 << header.bit_depth) - 1
    samples = samples.reshape(header.height, header.width, -1)
    if alpha is None:
        return samples, maximum
    if len(alpha) != {GREY: 2, RGB: 6}.get(header.colour_type):
        raise format_error(path, "one colour in the PNG chunk tRNS", f"{len(alpha)} bytes in it for {header}")
    clear = (samples == alpha.view(">u2")).all(axis=2)  # that colour is transparent, all others are opaque
    return np.dstack([samples, np.where(clear, 0, maximum).astype(samples.dtype)]), maximum


def _jpeg(path: _Path, content: bytes) -> tuple[Samples, int]:
    return decode_jpeg(path, content), 255


def _webp(path: _Path, content: bytes) -> tuple[Samples, int]:
    return decode_webp(path, content), 255


def _bmp(path: _Path, content: bytes) -> tuple[Samples, int]:
    return decode_bmp(path, content), 255


def _pnm(path: _Path, content: bytes) -> tuple[Samples, int]:
    header = parse_pnm(path, content, len(content))
    return decode_pnm(path, content, header), header.maximum


def _tiff(path: _Path, content: bytes) -> tuple[Samples, int]:
    samples = decode_tiff(path, content, inspect_tiff(path, content))
    return samples, int(np.iinfo(samples.dtype).max)


_DECODERS: dict[bytes | tuple[bytes, ...], Callable[[_Path, bytes], tuple[Samples, int]]] = {
    SIGNATURE: _png,
    JPEG_START: _jpeg,
    BMP_START: _bmp,
    PNM_STARTS: _pnm,
    TIFF_STARTS: _tiff,
}
