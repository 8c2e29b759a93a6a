"""Binary PPM and PGM: a text header, then the samples.

Source: the pages "ppm" and "pgm" of the Netpbm manual.
"""

import os
import re
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from flowdistill.formats.errors import check_sides, format_error

PNM_STARTS = (b"P5", b"P6")
PNM_HEADER_LIMIT = 4096  # bytes: longer than the header of any writer
_SEPARATOR = rb"(?:\s|#[^\n]*\n)+"
_NUMBER = rb"(\d{1,10})"
_HEADER = re.compile(rb"P[56]" + _SEPARATOR + _NUMBER + _SEPARATOR + _NUMBER + _SEPARATOR + _NUMBER + rb"\s")


class PnmHeader(NamedTuple):
    """Fields of the text header, and the byte at which the samples begin."""

    height: int
    width: int
    channels: int
    maximum: int
    offset: int


def parse_pnm(path: str | os.PathLike[str], start: bytes, length: int) -> PnmHeader:
    """Parse the header of a PPM or PGM.

    Args:
        path: for error messages.
        start: at least the first `PNM_HEADER_LIMIT` bytes, or the whole file.
        length: of the file, bytes.

    Raises:
        FormatError: there is no such header, or the length of the file does not match it.
    """
    found = _HEADER.match(start[:PNM_HEADER_LIMIT])
    if found is None:
        raise format_error(path, "a PPM header (width, height, maximum)", repr(start[:32]))
    width, height, maximum = (int(number) for number in found.groups())
    check_sides(path, height, width, "a PPM")
    if not 0 < maximum < 1 << 16:
        raise format_error(path, "a PPM with a maximum of 1 to 65535", f"the maximum {maximum}")
    channels = 3 if start[:2] == b"P6" else 1
    size = found.end() + height * width * channels * (1 if maximum < 256 else 2)
    if length != size:
        expected = f"{size} bytes for {height} x {width} x {channels} with the maximum {maximum}"
        raise format_error(path, expected, f"{length} bytes")
    return PnmHeader(height, width, channels, maximum, found.end())


def decode_pnm(
    path: str | os.PathLike[str], content: bytes, header: PnmHeader
) -> npt.NDArray[np.uint8 | np.uint16]:
    """Decode the samples (H, W, C) of a file, uint16 if the maximum is above 255.

    Raises FormatError for a sample above the maximum.
    """
    stored = np.frombuffer(content, dtype=">u1" if header.maximum < 256 else ">u2", offset=header.offset)
    samples = stored.reshape(header[:3]).astype(stored.dtype.newbyteorder("="))
    if (largest := int(samples.max())) > header.maximum:
        raise format_error(path, f"samples of at most {header.maximum}", f"one of {largest}")
    return samples
