"""Files put together byte by byte, and a slow PNG decoder: independent of the package and of OpenCV."""

import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6
SIGNATURE = b"\x89PNG\r\n\x1a\n"
_SAMPLES = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGB_ALPHA: 4}


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def header(height: int, width: int, bit_depth: int, colour_type: int) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bit_depth, colour_type, 0, 0, 0))


def rows(pixels: np.ndarray) -> bytes:
    """The bytes that PNG compresses: filter 0 before every row, samples big endian."""
    return b"".join(b"\0" + row.astype(row.dtype.newbyteorder(">")).tobytes() for row in pixels)


def png(pixels: np.ndarray, colour_type: int, extra: bytes = b"") -> bytes:
    """pixels (H, W) or (H, W, C), uint8 or uint16, RGB order; `extra` chunks go between IHDR and IDAT."""
    height, width = pixels.shape[:2]
    first = header(height, width, 8 * pixels.dtype.itemsize, colour_type)
    return SIGNATURE + first + extra + chunk(b"IDAT", zlib.compress(rows(pixels))) + chunk(b"IEND", b"")


def decode_png(content: bytes) -> np.ndarray:
    """Samples (H, W, C) of a grey or colour PNG of 8 or 16 bit, in pure Python: RGB order, not interlaced."""
    assert content.startswith(SIGNATURE)
    position, packed = 8, b""
    while position < len(content):
        (length,) = struct.unpack_from(">I", content, position)
        kind, body = content[position + 4 : position + 8], content[position + 8 : position + 8 + length]
        if kind == b"IHDR":
            width, height, bit_depth, colour_type, _, _, interlaced = struct.unpack(">IIBBBBB", body)
            assert not interlaced
        elif kind == b"IDAT":
            packed += body
        position += 12 + length
    step = _SAMPLES[colour_type] * bit_depth // 8
    stride, unpacked = width * step, zlib.decompress(packed)
    above, lines = bytearray(stride), []
    for row in range(height):
        start = row * (stride + 1)
        line = _unfilter(unpacked[start], bytearray(unpacked[start + 1 : start + 1 + stride]), above, step)
        lines.append(bytes(line))
        above = line
    samples = np.frombuffer(b"".join(lines), dtype=">u2" if bit_depth == 16 else "u1")
    return samples.reshape(height, width, -1).astype(np.int64)


def _unfilter(kind: int, line: bytearray, above: bytearray, step: int) -> bytearray:
    for i in range(len(line)):
        left = line[i - step] if i >= step else 0
        corner = above[i - step] if i >= step else 0
        guesses = (0, left, above[i], (left + above[i]) // 2, _paeth(left, above[i], corner))
        line[i] = (line[i] + guesses[kind]) % 256
    return line


def _paeth(left: int, above: int, corner: int) -> int:
    estimate = left + above - corner
    return min((left, above, corner), key=lambda value: abs(estimate - value))


def flo(width: int, height: int, values: list[float]) -> bytes:
    return b"PIEH" + struct.pack("<ii", width, height) + struct.pack(f"<{len(values)}f", *values)


@contextmanager
def overwritten(path: Path) -> Iterator[Callable[[bytes | bytearray], None]]:
    """Return a function that replaces the file's content: opening one for writing can take milliseconds."""
    with path.open("wb", buffering=0) as stream:

        def replace(content: bytes | bytearray) -> None:
            stream.seek(0)
            stream.write(content)
            stream.truncate()

        yield replace
