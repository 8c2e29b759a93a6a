"""WebP pictures, lossy and lossless: checked chunk by chunk, then decoded by OpenCV, that is by libwebp.

libwebp silently rejects truncated and invalid data. OpenCV prints a message if it cannot read a header, so only files
with a plausible one are passed to it.
Source: Google's "WebP Container Specification"; RFC 6386, section 9.1; "WebP Lossless Bitstream", section 3.
"""

import os
import struct

import cv2
import numpy as np
import numpy.typing as npt

from flowdistill.formats.errors import check_sides, format_error, read_bytes

_IMAGE = "a WebP image"
_ANIMATED = 0x02
_PIXELS = (b"VP8 ", b"VP8L")
_LOSSY_START = b"\x9d\x01\x2a"
_LOSSLESS_START = 0x2F
# OpenCV rejects shorter files, such as those of tiny pictures.
_SHORTEST = 32


def is_webp(start: bytes) -> bool:
    """Return whether the first 12 bytes are those of a WebP file."""
    return start[:4] == b"RIFF" and start[8:12] == b"WEBP"


def webp_chunks(path: str | os.PathLike[str], content: bytes) -> list[tuple[bytes, memoryview]]:
    """Return type and body of every chunk; bytes after the end of the container are tolerated."""
    if not is_webp(content):
        raise format_error(path, _IMAGE, f"a file that starts with {content[:12]!r}")
    if len(content) < 20:
        raise format_error(
            path, "a WebP with a chunk", f"the file's end after {len(content)} bytes (truncated)"
        )
    end = 8 + struct.unpack_from("<I", content, 4)[0]
    if end > len(content):
        raise format_error(path, f"{end} bytes of WebP", f"{len(content)} (truncated)")
    view, position, chunks = memoryview(content), 12, []
    while position < end:
        if position + 8 > end:
            raise format_error(path, f"a chunk of WebP at byte {position}", "the container's end (truncated)")
        kind, length = struct.unpack_from("<4sI", content, position)
        body = position + 8
        if body + length > end:
            expected = f"{length} bytes in the WebP chunk {kind!r} at byte {position}"
            raise format_error(path, expected, f"the container's end after {end - body} (truncated)")
        chunks.append((kind, view[body : body + length]))
        position = body + length + length % 2
    if not chunks:
        raise format_error(path, "a WebP with a chunk", "none")
    return chunks


def inspect_webp(path: str | os.PathLike[str], content: bytes) -> tuple[int, int]:
    """Return height and width of a WebP that is complete and not animated. Raises FormatError for anything else."""
    chunks = webp_chunks(path, content)
    sizes = [_size(path, kind, body) for kind, body in chunks if kind in _PIXELS]
    canvas = None
    if chunks[0][0] == b"VP8X":
        body = chunks[0][1]
        if len(body) < 10:
            raise format_error(path, "a WebP's VP8X chunk of 10 bytes", f"{len(body)}")
        if body[0] & _ANIMATED:
            raise format_error(path, "a WebP of one picture", "an animation")
        canvas = 1 + int.from_bytes(body[7:10], "little"), 1 + int.from_bytes(body[4:7], "little")
    if len(sizes) != 1:
        raise format_error(path, "a WebP of one picture", f"{len(sizes)} in it")
    if canvas not in (None, sizes[0]):
        raise format_error(
            path, f"a WebP's picture of {canvas[0]} x {canvas[1]}", f"{sizes[0][0]} x {sizes[0][1]}"
        )
    return sizes[0]


def read_webp_image(path: str | os.PathLike[str]) -> npt.NDArray[np.uint8]:
    """Reads a WebP file as (H, W, 3) uint8 RGB.

    Raises FormatError for a missing, truncated or damaged file, one with an alpha channel and any other format.

    Examples:
        >>> import tempfile
        >>> import cv2
        >>> import numpy as np
        >>> from flowdistill.formats import read_webp_image
        >>> red = np.full((4, 6, 3), [0, 0, 255], np.uint8)  # OpenCV's order: blue, green, red
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     written = cv2.imwrite(f"{folder}/red.webp", red, [cv2.IMWRITE_WEBP_QUALITY, 101])  # 101: lossless
        ...     read_webp_image(f"{folder}/red.webp")[0, 0].tolist()
        [255, 0, 0]
    """
    pixels = decode_webp(path, read_bytes(path, _IMAGE))
    if pixels.shape[2] != 3:
        raise format_error(path, f"{_IMAGE} without transparency", "an alpha channel")
    return np.ascontiguousarray(pixels)


def inspect_webp_image(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Return height and width from the chunk headers; no pixels are decoded. Raises FormatError as `read_webp_image`.

    Examples:
        >>> import tempfile
        >>> import cv2
        >>> import numpy as np
        >>> from flowdistill.formats import inspect_webp_image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     written = cv2.imwrite(f"{folder}/black.webp", np.zeros((4, 6, 3), np.uint8))
        ...     inspect_webp_image(f"{folder}/black.webp")
        (4, 6)
    """
    return inspect_webp(path, read_bytes(path, _IMAGE))


def decode_webp(path: str | os.PathLike[str], content: bytes) -> npt.NDArray[np.uint8]:
    """Decode pixels (H, W, 3) RGB, or (H, W, 4) with alpha; colour profiles and orientation tags are not applied.

    Raises FormatError for anything but a complete WebP of one picture, and if the compressed data are damaged.
    """
    height, width = inspect_webp(path, content)
    expected = f"a WebP of {height} x {width}"
    padded = np.frombuffer(content.ljust(_SHORTEST, b"\0"), np.uint8)
    try:
        pixels = cv2.imdecode(padded, cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise format_error(path, expected, f"pixels that cannot be decoded ({error.err})") from error
    if pixels is None:
        raise format_error(path, expected, "compressed pixels that are damaged")
    if pixels.dtype != np.uint8 or pixels.shape not in ((height, width, 3), (height, width, 4)):
        raise format_error(path, expected, f"pixels of shape {pixels.shape} from the decoder")
    return pixels[..., [2, 1, 0, 3][: pixels.shape[2]]].astype(np.uint8, copy=False)


def _size(path: str | os.PathLike[str], kind: bytes, body: memoryview) -> tuple[int, int]:
    """Return height and width from the header of the compressed picture."""
    if kind == b"VP8 ":
        if len(body) < 10 or body[0] & 1 or body[3:6] != _LOSSY_START:
            raise format_error(path, "a key frame in the WebP chunk 'VP8 '", bytes(body[:10]).hex(" "))
        width, height = (number & 0x3FFF for number in struct.unpack_from("<HH", body, 6))
    else:
        if len(body) < 5 or body[0] != _LOSSLESS_START:
            raise format_error(path, "a picture in the WebP chunk 'VP8L'", bytes(body[:5]).hex(" "))
        (fields,) = struct.unpack_from("<I", body, 1)
        width, height = 1 + (fields & 0x3FFF), 1 + (fields >> 14 & 0x3FFF)
    check_sides(path, height, width, "a WebP")
    return height, width
