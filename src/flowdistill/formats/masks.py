"""PNG files with one value per pixel that is not a brightness: a binary mask, or object ids."""

import os

import numpy as np
import numpy.typing as npt

from flowdistill.formats.errors import format_error, read_bytes
from flowdistill.formats.png import (
    GREY,
    PngHeader,
    decode_png,
    inspect_png,
    inspect_png_size,
    read_png,
    read_png_header,
    write_png,
)

Mask = npt.NDArray[np.bool_]


def read_mask(path: str | os.PathLike[str]) -> Mask:
    """Reads a mask (H, W), bool: True where the file is white (255; 1 in files of one bit).

    Used by Sintel's `occlusions` and `invalid`, the occlusions of FlyingThings3D's subset and our proxy labels; in
    all of them True marks the pixels that are occluded or invalid.
    Raises FormatError unless the file is an undamaged grey PNG of 8 or 1 bit that contains only black and white.

    Examples:
        >>> import tempfile
        >>> import numpy as np
        >>> from flowdistill.formats import read_mask, write_image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_image(f"{folder}/occluded.png", np.array([[0, 255]], np.uint8))
        ...     read_mask(f"{folder}/occluded.png").tolist()
        [[False, True]]
    """
    content = read_bytes(path, "a mask")
    header = inspect_png(path, content)
    _check_kind(path, header)
    pixels = decode_png(path, content, header)
    white = 255 if header.bit_depth == 8 else 1
    mask = pixels == white
    others = int(np.count_nonzero(pixels)) - int(np.count_nonzero(mask))
    if others:
        value = int(pixels[(pixels != 0) & ~mask][0])
        raise format_error(
            path, "a mask of 0 and 255 only", f"other values at {others} pixels, such as {value}"
        )
    return mask


def inspect_mask(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Return height and width of a mask from the header alone. Raises FormatError for other files.

    Examples:
        >>> import tempfile
        >>> import numpy as np
        >>> from flowdistill.formats import inspect_mask, write_mask
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_mask(f"{folder}/occluded.png", np.zeros((4, 6), bool))
        ...     inspect_mask(f"{folder}/occluded.png")
        (4, 6)
    """
    header = read_png_header(path, "a mask")
    _check_kind(path, header)
    return header.height, header.width


def _check_kind(path: str | os.PathLike[str], header: PngHeader) -> None:
    if header.bit_depth not in (1, 8) or header.colour_type != GREY or header.transparent:
        expected = "a mask: a grey PNG of 8 or 1 bit"
        raise format_error(path, expected, f"{header}, {header.height} x {header.width}")


def write_mask(path: str | os.PathLike[str], mask: npt.ArrayLike) -> None:
    """Writes a bool mask (H, W) or (H, W, 1) as an 8-bit grey PNG, 255 where True, atomically.

    Raises ValueError for another shape or type, FormatError if the file cannot be written.

    Examples:
        >>> import tempfile
        >>> import numpy as np
        >>> from flowdistill.formats import read_image, write_mask
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_mask(f"{folder}/occluded.png", np.array([[False, True]]))
        ...     read_image(f"{folder}/occluded.png")[..., 0].tolist()
        [[0, 255]]
    """
    values = np.asarray(mask)
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    if values.dtype != np.bool_ or values.ndim != 2 or values.size == 0:
        expected = "bool of shape (H, W) or (H, W, 1)"
        raise ValueError(f"a mask must be {expected}, got {values.dtype} of shape {values.shape}")
    write_png(path, values.astype(np.uint8) * np.uint8(255))


def read_object_map(path: str | os.PathLike[str]) -> npt.NDArray[np.uint8]:
    """Reads KITTI's object map (H, W) uint8: 0 is background, other values are object ids.

    Raises FormatError unless the file is an undamaged 8-bit grey PNG.

    Examples:
        >>> import tempfile
        >>> import numpy as np
        >>> from flowdistill.formats import read_object_map, write_image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_image(f"{folder}/objects.png", np.array([[0, 1, 2]], np.uint8))
        ...     (read_object_map(f"{folder}/objects.png") > 0).tolist()  # the foreground: two objects
        [[False, True, True]]
    """
    return read_png(path, 8, GREY, "KITTI object map").astype(np.uint8, copy=False)


def inspect_object_map(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Return height and width from the header alone. Raises FormatError unless it is that of an 8-bit grey PNG.

    Examples:
        >>> import tempfile
        >>> import numpy as np
        >>> from flowdistill.formats import inspect_object_map, write_image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_image(f"{folder}/objects.png", np.zeros((4, 6), np.uint8))
        ...     inspect_object_map(f"{folder}/objects.png")
        (4, 6)
    """
    return inspect_png_size(path, 8, GREY, "KITTI object map")
