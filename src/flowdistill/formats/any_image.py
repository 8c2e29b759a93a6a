"""Arbitrary images: all common formats, bit depths and channel counts are converted to 8-bit RGB, or rejected.

`read_image` is the strict reader for benchmark files, where another depth or a transparent pixel is an error.
"""

import os

import numpy as np
import numpy.typing as npt

from flowdistill.formats.bmp import BMP_HEADER_LIMIT, BMP_START, decode_bmp, parse_bmp
from flowdistill.formats.errors import FormatError, format_error, read_bytes, read_start
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
"""Image suffixes in lower case; files may have them in any case (`path.suffix.lower() in IMAGE_SUFFIXES`)."""

_IMAGE = "an image (PNG, JPEG, WebP, BMP, TIFF, binary PPM or PGM)"
_HEADER_LIMIT = max(BMP_HEADER_LIMIT, PNM_HEADER_LIMIT)

_Path = str | os.PathLike[str]
_Samples = npt.NDArray[np.uint8 | np.uint16]


def read_any_image(path: _Path) -> npt.NDArray[np.uint8]:
    """Reads an image as (H, W, 3) uint8 RGB.

    The format is determined by the content, not the name. Grey is repeated over the channels; deeper samples v of at
    most m are scaled to v * 255 / m, rounded (`is_sixteen_bit_image`); an alpha channel that is opaque everywhere is
    removed. Colours are returned as stored, without applying profile or gamma, and pixels without applying an
    orientation tag (`is_turned_image`).

    Raises FormatError for a missing, truncated or damaged file, a pixel that is not opaque, several pages or frames,
    CMYK, floating point or another format.

    Examples:
        >>> import tempfile
        >>> import numpy as np
        >>> from flowdistill.formats import read_any_image, write_kitti_disparity
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = f"{folder}/deep.png"
        ...     write_kitti_disparity(path, np.full((2, 3), 128.0))  # any 16-bit grey picture; its samples are 32768
        ...     image = read_any_image(path)
        >>> image.shape, image[0, 0].tolist()  # 32768 * 255 / 65535, rounded, in every channel
        ((2, 3, 3), [128, 128, 128])
    """
    content = read_bytes(path, _IMAGE)
    samples, maximum = _samples(path, content)
    channels = samples.shape[2]
    if channels in (2, 4):
        clear = int(np.count_nonzero(samples[..., -1] != maximum))
        if clear:
            found = (
                f"{clear} of {samples[..., -1].size} pixels that are not (alpha below {maximum}); put the picture on a "
                "background and remove the alpha channel"
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
    """Return height and width from the header and the length of the file; no pixels are decoded.

    Raises FormatError for other files and for truncated ones.

    Examples:
        >>> import tempfile
        >>> import numpy as np
        >>> from flowdistill.formats import inspect_any_image, write_image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_image(f"{folder}/a.ppm", np.zeros((4, 6, 3), np.uint8))
        ...     inspect_any_image(f"{folder}/a.ppm")
        (4, 6)
    """
    return _header(path)[:2]


def is_sixteen_bit_image(path: _Path) -> bool:
    """Return whether samples have more than 8 bits and `read_any_image` scales them, by the header. Raises FormatError.

    Examples:
        >>> import tempfile
        >>> import numpy as np
        >>> from flowdistill.formats import is_sixteen_bit_image, write_image, write_kitti_disparity
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_image(f"{folder}/8.png", np.zeros((4, 6), np.uint8))
        ...     write_kitti_disparity(f"{folder}/16.png", np.zeros((4, 6)))
        ...     [is_sixteen_bit_image(f"{folder}/{bits}.png") for bits in (8, 16)]
        [False, True]
    """
    return _header(path)[2]


def is_turned_image(path: _Path) -> bool:
    """Return whether a JPEG, WebP or TIFF has a tag to rotate or mirror it, which `read_any_image` does not apply.

    Raises FormatError if the file cannot be opened; other formats have no such tag.

    Examples:
        >>> import tempfile
        >>> import numpy as np
        >>> from flowdistill.formats import is_turned_image, write_image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_image(f"{folder}/a.jpg", np.zeros((16, 16, 3), np.uint8))  # no orientation tag
        ...     is_turned_image(f"{folder}/a.jpg")
        False
    """
    return asks_to_be_turned(path, read_bytes(path, _IMAGE))


def _header(path: _Path) -> tuple[int, int, bool]:
    """Return height, width and whether samples have more than 8 bits."""
    start, size = read_start(path, _IMAGE, _HEADER_LIMIT)
    if start.startswith(SIGNATURE):
        png = read_png_header(path, "an image")
        return png.height, png.width, png.bit_depth == 16
    if start.startswith(BMP_START):
        return *parse_bmp(path, start, size)[:2], False
    if start.startswith(PNM_STARTS):
        pnm = parse_pnm(path, start, size)
        return pnm.height, pnm.width, pnm.maximum > 255
    if start.startswith(TIFF_STARTS):
        tiff = inspect_tiff(path, read_bytes(path, _IMAGE))
        return tiff.height, tiff.width, tiff.bits == 16
    if start.startswith(JPEG_START):
        return *inspect_jpeg(path, read_bytes(path, _IMAGE)), False
    if is_webp(start):
        return *inspect_webp(path, read_bytes(path, _IMAGE)), False
    raise _unknown(path, start)


def _samples(path: _Path, content: bytes) -> tuple[_Samples, int]:
    """Return the samples (H, W, 1 to 4), grey or RGB, then alpha, and the largest possible value."""
    if content.startswith(SIGNATURE):
        return _png_samples(path, content)
    if content.startswith(BMP_START):
        return decode_bmp(path, content), 255
    if content.startswith(PNM_STARTS):
        header = parse_pnm(path, content, len(content))
        return decode_pnm(path, content, header), header.maximum
    if content.startswith(TIFF_STARTS):
        samples = decode_tiff(path, content, inspect_tiff(path, content))
        return samples, int(np.iinfo(samples.dtype).max)
    if content.startswith(JPEG_START):
        return decode_jpeg(path, content), 255
    if is_webp(content):
        return decode_webp(path, content), 255
    raise _unknown(path, content)


def _unknown(path: _Path, start: bytes) -> FormatError:
    found = f"a file that starts with {start[:12]!r}; convert other pictures to PNG"
    return format_error(path, _IMAGE, found)


def _png_samples(path: _Path, content: bytes) -> tuple[_Samples, int]:
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
            raise format_error(path, "at most one alpha per colour in the PNG chunk tRNS", found)
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
