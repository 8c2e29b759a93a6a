"""Slow decoders of every format from its specification: values, or BrokenError. Independent of the package.

Lenient where the package says so: bytes after PNG's IEND, compressed data after the last row and zlib's own checksum
(beside PNG's) are ignored.
"""

import re
import struct
import zlib
from typing import Any

import numpy as np

LARGEST_SIDE = 1 << 16
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
# Adam7: first column and row, steps of both.
PASSES = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]

Array = np.ndarray[Any, Any]


class BrokenError(Exception):
    """The bytes are not a file of the format."""


def need(condition: bool, why: str) -> None:
    if not condition:
        raise BrokenError(why)


def flo(content: bytes) -> Array:
    need(len(content) >= 12 and content[:4] == b"PIEH", "header")
    width, height = struct.unpack("<2i", content[4:12])
    need(0 < width <= LARGEST_SIDE and 0 < height <= LARGEST_SIDE, "sides")
    need(len(content) == 12 + 8 * width * height, "length")
    values = [struct.unpack_from("<2f", content, 12 + 8 * index) for index in range(width * height)]
    return np.array(values, np.float32).reshape(height, width, 2)


def pfm(content: bytes) -> Array:
    words = re.match(rb"(P[Ff])\s+(\d+)\s+(\d+)\s+([-+.eE\d]+)(\r\n|\s)", content[:256])
    need(words is not None, "header")
    assert words is not None
    try:
        width, height, scale = int(words[2]), int(words[3]), float(words[4])
    except ValueError as error:
        raise BrokenError("numbers") from error
    need(scale not in (0, float("inf"), float("-inf")) and scale == scale, "scale")
    need(0 < width <= LARGEST_SIDE and 0 < height <= LARGEST_SIDE, "sides")
    channels = 3 if words[1] == b"PF" else 1
    need(len(content) == words.end() + 4 * width * height * channels, "length")
    order = "<" if scale < 0 else ">"
    values = struct.unpack_from(f"{order}{width * height * channels}I", content, words.end())
    return np.array(values, np.uint32).reshape(height, width, channels)[::-1].view(np.float32)


def pnm(content: bytes) -> Array:
    need(content[:2] in (b"P5", b"P6"), "magic")
    position, numbers = 2, []
    for _ in range(3):
        blank = position
        while content[position : position + 1] in (b" ", b"\t", b"\n", b"\r", b"\v", b"\f", b"#"):
            if content[position : position + 1] == b"#":
                need(b"\n" in content[position:], "comment")
                position = content.index(b"\n", position)
            position += 1
        digits = re.match(rb"\d+", content[position:])
        need(digits is not None and position > blank, "number")
        assert digits is not None
        numbers.append(int(digits[0]))
        position += len(digits[0])
        need(position < 4096, "more blanks than any writer puts there")
    need(content[position : position + 1].isspace(), "white space")
    width, height, maximum = numbers
    need(0 < width <= LARGEST_SIDE and 0 < height <= LARGEST_SIDE and maximum == 255, "sides or maximum")
    channels = 3 if content[:2] == b"P6" else 1
    need(len(content) == position + 1 + width * height * channels, "length")
    pixels = np.array(list(content[position + 1 :]), np.uint8).reshape(height, width, channels)
    return pixels if channels == 3 else np.concatenate([pixels] * 3, axis=2)


def chunks_of(content: bytes) -> list[tuple[bytes, bytes]]:
    need(content[:8] == b"\x89PNG\r\n\x1a\n", "signature")
    position, found = 8, []
    while not found or found[-1][0] != b"IEND":
        need(position + 12 <= len(content), "end")
        (length,) = struct.unpack_from(">I", content, position)
        end = position + 12 + length
        need(end <= len(content), "chunk length")
        kind, body = content[position + 4 : position + 8], content[position + 8 : end - 4]
        need(zlib.crc32(kind + body) == struct.unpack(">I", content[end - 4 : end])[0], "checksum")
        found.append((kind, body))
        position = end
    return found


class Png:
    """The samples (H, W, C) of a PNG, and the fields of its header."""

    def __init__(self, content: bytes) -> None:
        chunks = chunks_of(content)
        kinds = [kind for kind, _ in chunks]
        need(kinds[0] == b"IHDR" and kinds.count(b"IHDR") == 1 and len(chunks[0][1]) == 13, "IHDR")
        for kind in kinds:
            need(kind.isalpha(), "chunk name")
            need(kind[0] >= 97 or kind in (b"IHDR", b"PLTE", b"IDAT", b"IEND"), "unknown critical chunk")
        width, height, depth, colour, packing, filtering, interlace = struct.unpack(">2I5B", chunks[0][1])
        need(0 < width <= LARGEST_SIDE and 0 < height <= LARGEST_SIDE, "sides")
        need(depth in DEPTHS.get(colour, ()) and (packing, filtering) == (0, 0) and interlace < 2, "header")
        data = [index for index, kind in enumerate(kinds) if kind == b"IDAT"]
        need(bool(data) and data == list(range(data[0], data[-1] + 1)), "IDAT not together")
        palettes = [index for index, kind in enumerate(kinds) if kind == b"PLTE"]
        need(len(palettes) <= 1 and all(index < data[0] for index in palettes), "PLTE")
        self.depth, self.colour, self.transparent = depth, colour, b"tRNS" in kinds
        self.palette = chunks[palettes[0]][1] if palettes else b""
        need(not palettes or (len(self.palette) % 3 == 0 and 0 < len(self.palette) <= 768), "PLTE length")
        need(bool(palettes) or colour != 3, "no PLTE")
        packed = b"".join(chunks[index][1] for index in data)
        need(len(packed) > 2 and packed[0] & 15 == 8 and packed[0] >> 4 < 8, "zlib header")
        need((256 * packed[0] + packed[1]) % 31 == 0 and not packed[1] & 32, "zlib header")
        step = max(SAMPLES[colour] * depth // 8, 1)
        need(height * width < 10**5, "more than a file of these tests can hold")
        raw = inflated(packed[2:])
        self.samples = np.zeros((height, width, SAMPLES[colour]), np.uint16)
        position = 0
        for left, top, across, down in PASSES if interlace else [(0, 0, 1, 1)]:
            columns, rows = len(range(left, width, across)), len(range(top, height, down))
            if columns and rows:
                stride = (columns * SAMPLES[colour] * depth + 7) // 8
                need(position + rows * (stride + 1) <= len(raw), "too few rows")
                lines = unfilter(raw[position : position + rows * (stride + 1)], rows, step)
                position += rows * (stride + 1)
                part = [unpack(line, depth, columns * SAMPLES[colour]) for line in lines]
                self.samples[top::down, left::across] = np.array(part).reshape(rows, columns, -1)


def inflated(packed: bytes) -> bytes:
    """Unpack DEFLATE data up to their end or the first error."""
    inflate, raw = zlib.decompressobj(-15), b""
    for byte in packed:
        try:
            raw += inflate.decompress(bytes([byte]))
        except zlib.error:
            break
    return raw


def unfilter(raw: bytes, rows: int, step: int) -> list[bytearray]:
    stride = len(raw) // rows - 1
    above, lines = bytearray(stride), []
    for row in range(rows):
        kind, line = (
            raw[row * (stride + 1)],
            bytearray(raw[row * (stride + 1) + 1 : (row + 1) * (stride + 1)]),
        )
        need(kind < 5, "filter")
        for i in range(stride):
            a = line[i - step] if i >= step else 0
            b, c = above[i], above[i - step] if i >= step else 0
            nearest = min((a, b, c), key=lambda value: abs(a + b - c - value))
            line[i] = (line[i] + (0, a, b, (a + b) // 2, nearest)[kind]) % 256
        lines.append(line)
        above = line
    return lines


def unpack(line: bytearray, depth: int, count: int) -> list[int]:
    bits = int.from_bytes(line, "big")
    return [(bits >> (8 * len(line) - depth * (index + 1))) & ((1 << depth) - 1) for index in range(count)]


def kitti_flow(content: bytes) -> Array:
    png = Png(content)
    need((png.depth, png.colour) == (16, 2), "kind")
    codes = png.samples.astype(np.float64)
    return np.where(codes[..., 2:] > 0, (codes[..., :2] - 32768) / 64, 0).astype(np.float32)


def kitti_disparity(content: bytes) -> Array:
    png = Png(content)
    need((png.depth, png.colour) == (16, 0), "kind")
    return (png.samples / 256).astype(np.float32)


def object_map(content: bytes) -> Array:
    png = Png(content)
    need((png.depth, png.colour) == (8, 0), "kind")
    return png.samples[..., 0].astype(np.uint8)


def mask(content: bytes) -> Array:
    png = Png(content)
    need(png.depth in (1, 8) and png.colour == 0 and not png.transparent, "kind")
    white = (1 << png.depth) - 1
    need(set(png.samples.ravel().tolist()) <= {0, white}, "neither black nor white")
    return png.samples[..., 0] == white


def png_image(content: bytes) -> Array:
    png = Png(content)
    need(not png.transparent and (png.colour == 3 or (png.depth == 8 and png.colour in (0, 2))), "kind")
    if png.colour != 3:
        return np.broadcast_to(png.samples, (*png.samples.shape[:2], 3)).astype(np.uint8)
    colours = np.frombuffer(png.palette, np.uint8).reshape(-1, 3)
    need(int(png.samples.max()) < len(colours) <= 1 << png.depth, "index without colour")
    return colours[png.samples[..., 0]]


def image(content: bytes) -> Array:
    """PNG and PPM; JPEG has no decoder here."""
    return png_image(content) if content[:2] == b"\x89P" else pnm(content)
