"""PNG files, checked from the first byte to the last chunk before decoding.

Decoders convert depths and channels on request, and repair what they can. Therefore the header is parsed and every
chunk's checksum verified here, and the decoder is one that rejects any difference: kornia_rs, twice as fast as OpenCV
on KITTI's pictures, and silent where OpenCV prints warnings and continues. Compressed data after the last row and
zlib's checksum (in addition to PNG's own) are not checked: that would require inflating everything twice. The decoder
does not release the GIL: to read on several cores, use processes, not threads.
Source: the PNG specification, sections 5 (chunks), 7.2 (scanlines) and 11.2 (IHDR, PLTE, IDAT, IEND).
"""

import os
import struct
import zlib
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from kornia_rs import io as decoders

from flowdistill.formats.atomic import write_atomically
from flowdistill.formats.errors import check_sides, format_error, read_bytes, read_start

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6
COLOUR_TYPES = {
    GREY: "grey",
    RGB: "RGB",
    PALETTE: "palette",
    GREY_ALPHA: "grey + alpha",
    RGB_ALPHA: "RGB + alpha",
}
_SAMPLES = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGB_ALPHA: 4}
_DEPTHS = dict.fromkeys(_SAMPLES, (8, 16)) | {GREY: (1, 2, 4, 8, 16), PALETTE: (1, 2, 4, 8)}
_IHDR_END = 33  # bytes, with the signature
_TAIL = 64  # bytes at the end that are searched for IEND
# DEFLATE's largest compression ratio.
_DEFLATE_LIMIT = 1032


class PngHeader(NamedTuple):
    """Fields of IHDR, and the bytes of the palette and of tRNS, which makes some colours transparent."""

    height: int
    width: int
    bit_depth: int
    colour_type: int
    interlaced: bool
    palette: bytes = b""
    transparency: bytes | None = None

    @property
    def transparent(self) -> bool:
        """Whether there is a tRNS chunk."""
        return self.transparency is not None

    def __str__(self) -> str:
        kind = COLOUR_TYPES[self.colour_type]
        return f"{self.bit_depth}-bit {kind}{' with transparency' if self.transparent else ''}"


def inspect_png(path: str | os.PathLike[str], content: bytes) -> PngHeader:
    """Checks signature, chunk structure up to IEND and all checksums; bytes after IEND are tolerated.

    Raises FormatError if something is missing, damaged or impossible.
    """
    if not content.startswith(SIGNATURE):
        raise format_error(path, f"the signature {SIGNATURE!r} of a PNG file", repr(content[:8]))
    kind, body, position = _next_chunk(path, content, len(SIGNATURE))
    header = _parse_header(path, kind, body)
    packed, before, seen = 0, kind, {kind}
    while kind != b"IEND":
        kind, body, position = _next_chunk(path, content, position)
        if _misplaced(kind, before, seen):
            found = f"the chunk {kind!r} after {before!r}"
            raise format_error(path, "the chunks IHDR, PLTE, IDAT and IEND in this order", found)
        if kind == b"PLTE":
            header = header._replace(palette=bytes(body))
        elif kind == b"tRNS":
            header = header._replace(transparency=bytes(body))
        elif kind == b"IDAT":
            packed += len(body)
        before = kind
        seen.add(kind)
    samples = _SAMPLES[header.colour_type]
    unpacked = header.height * (header.width * samples * header.bit_depth // 8 + 1)
    if unpacked > packed * _DEFLATE_LIMIT:
        expected = f"compressed pixels for {header.height} x {header.width}, {header}"
        raise format_error(path, expected, f"{packed} bytes, too few to hold them")
    return header


def read_png_header(path: str | os.PathLike[str], meaning: str) -> PngHeader:
    """Read IHDR, without transparency and palette; of the rest of the file only the end is checked.

    Raises FormatError for other files, and for truncated ones. `meaning` is the file's purpose, for the error message.
    """
    start, size = read_start(path, meaning, _IHDR_END)
    if not start.startswith(SIGNATURE):
        raise format_error(path, f"the signature {SIGNATURE!r} of a PNG file", repr(start[:8]))
    kind, body, _ = _next_chunk(path, start, len(SIGNATURE))
    header = _parse_header(path, kind, body)
    with open(path, "rb") as file:
        file.seek(max(size - _TAIL, 0))
        whole = _chunk(b"IEND", b"") in file.read()
    # Other bytes may follow IEND, so its absence from the last bytes proves nothing yet.
    return header if whole else inspect_png(path, read_bytes(path, meaning))


def read_png(
    path: str | os.PathLike[str], bit_depth: int, colour_type: int, meaning: str
) -> npt.NDArray[np.uint8 | np.uint16]:
    """Reads a PNG of exactly this depth (8 or 16) and colour type: (H, W) for grey, (H, W, 3) for RGB.

    `meaning` is the file's purpose, for the error message. Raises FormatError for anything else.
    """
    content = read_bytes(path, meaning)
    header = inspect_png(path, content)
    _check_kind(path, header, bit_depth, colour_type, meaning)
    return decode_png(path, content, header)


def inspect_png_size(
    path: str | os.PathLike[str], bit_depth: int, colour_type: int, meaning: str
) -> tuple[int, int]:
    """Return height and width of a PNG of exactly this depth and colour type, by `read_png_header`.

    `meaning` is the file's purpose, for the error message. Raises FormatError for anything else.
    """
    header = read_png_header(path, meaning)
    _check_kind(path, header, bit_depth, colour_type, meaning)
    return header.height, header.width


def _check_kind(
    path: str | os.PathLike[str], header: PngHeader, bit_depth: int, colour_type: int, meaning: str
) -> None:
    if (header.bit_depth, header.colour_type) != (bit_depth, colour_type):
        expected = f"{meaning}: a {bit_depth}-bit {COLOUR_TYPES[colour_type]} PNG"
        raise format_error(path, expected, f"{header}, {header.height} x {header.width}")


def decode_png(
    path: str | os.PathLike[str], content: bytes, header: PngHeader
) -> npt.NDArray[np.uint8 | np.uint16]:
    """Decode samples as stored: (H, W) of grey or palette indices at any depth, else (H, W, C); 16 bit as uint16.

    A tRNS chunk is not applied. Raises FormatError if the decoder fails.
    """
    twin = _twin(path, header)
    if twin != header:
        content = _relabelled(path, content, twin)
    mode = {GREY: "mono", RGB: "rgb", RGB_ALPHA: "rgba"}[twin.colour_type]
    decoder = decoders.decode_image_png_u16 if twin.bit_depth == 16 else decoders.decode_image_png_u8
    try:
        samples = decoder(content, (twin.height, twin.width), mode)
    except Exception as error:  # the decoder does not raise a narrower class
        expected = f"an image of {header.height} x {header.width}"
        raise format_error(path, expected, f"pixels that cannot be decoded ({error})") from error
    if header.colour_type == GREY_ALPHA:
        step = header.bit_depth // 8
        stored = samples.astype(samples.dtype.newbyteorder(">")).view(f">u{step}")
        return stored.astype(f"u{step}")
    if twin.colour_type != GREY:
        return samples
    packed = samples[..., 0]
    return packed if header.bit_depth >= 8 else unpack_samples(packed, header.bit_depth, header.width)


def look_up(
    path: str | os.PathLike[str], header: PngHeader, indices: npt.NDArray[np.uint8 | np.uint16]
) -> npt.NDArray[np.uint8]:
    """Map indices (H, W) to the palette's colours (H, W, 3). Raises FormatError for an index without a colour."""
    colours = len(header.palette) // 3
    if len(header.palette) != 3 * colours or not int(indices.max()) < colours <= 1 << header.bit_depth:
        found = f"{len(header.palette)} bytes of colours for indices up to {indices.max()}"
        raise format_error(path, "a palette PNG with a colour of 3 bytes per index", found)
    return np.frombuffer(header.palette, np.uint8).reshape(-1, 3)[indices]


def _twin(path: str | os.PathLike[str], header: PngHeader) -> PngHeader:
    """Return a header that the decoder supports, with as many bytes per row and per pixel.

    Scanlines are filtered byte by byte, or pixel by pixel if these have several bytes, so the same compressed data
    are valid under it: palette indices and samples below 8 bit become the bytes that contain them, grey with alpha
    becomes one longer number or four bytes.
    """
    if header.colour_type == PALETTE or header.bit_depth < 8:
        if header.interlaced and header.bit_depth < 8:
            raise format_error(path, "a PNG of 8 bit or one without interlacing", f"an interlaced {header}")
        columns = (header.width * header.bit_depth + 7) // 8
        return header._replace(width=columns, bit_depth=8, colour_type=GREY)
    if header.colour_type == GREY_ALPHA:
        depth, colour_type = (16, GREY) if header.bit_depth == 8 else (8, RGB_ALPHA)
        return header._replace(bit_depth=depth, colour_type=colour_type)
    return header


def _relabelled(path: str | os.PathLike[str], content: bytes, header: PngHeader) -> bytes:
    """Return the compressed data of a file under another header, without other chunks."""
    kinds = header.bit_depth, header.colour_type
    fields = struct.pack(">IIBBBBB", header.width, header.height, *kinds, 0, 0, header.interlaced)
    parts = [SIGNATURE, _chunk(b"IHDR", fields)]
    position, kind = len(SIGNATURE), b""
    while kind != b"IEND":
        start = position
        kind, _, position = _next_chunk(path, content, position)
        if kind in (b"IDAT", b"IEND"):
            parts.append(content[start:position])
    return b"".join(parts)


def unpack_samples(rows: npt.NDArray[np.uint8], depth: int, width: int) -> npt.NDArray[np.uint8]:
    """Unpack samples (H, W) of 1, 2 or 4 bit from the bytes of the rows, the leftmost in the highest bits."""
    shifts = np.arange(8 - depth, -1, -depth, dtype=np.uint8)
    samples = (rows[..., None] >> shifts) & np.uint8((1 << depth) - 1)
    return np.ascontiguousarray(samples.reshape(len(rows), -1)[:, :width])


def write_png(path: str | os.PathLike[str], pixels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]) -> None:
    """Writes (H, W) grey or (H, W, 3) RGB pixels of 8 or 16 bit without conversion, atomically."""
    stored = pixels[..., ::-1] if pixels.ndim == 3 else pixels
    encoded, content = cv2.imencode(".png", np.ascontiguousarray(stored))
    if not encoded:
        raise ValueError(
            f"{os.fspath(path)}: OpenCV cannot encode {pixels.dtype} pixels of shape {pixels.shape}"
        )
    write_atomically(path, content.data)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _next_chunk(path: str | os.PathLike[str], content: bytes, position: int) -> tuple[bytes, memoryview, int]:
    """Return the chunk's type and body, and the position of the next one."""
    if position + 12 > len(content):
        raise format_error(
            path, "a PNG that ends with an IEND chunk", f"its end at byte {len(content)} (truncated)"
        )
    length, kind = struct.unpack_from(">I4s", content, position)
    end = position + 12 + length
    if end > len(content):
        expected = f"{length} bytes in the PNG chunk {kind!r} at byte {position}"
        raise format_error(path, expected, f"the file's end after {len(content) - position - 8} (truncated)")
    view = memoryview(content)
    (stored,) = struct.unpack_from(">I", content, end - 4)
    computed = zlib.crc32(view[position + 4 : end - 4])
    if computed != stored:
        expected = f"the checksum {stored:08x} in the PNG chunk {kind!r} at byte {position}"
        raise format_error(path, expected, f"{computed:08x} (damaged)")
    return kind, view[position + 8 : end - 4], end


def _misplaced(kind: bytes, before: bytes, seen: set[bytes]) -> bool:
    """Return whether this chunk is not allowed here, or is an unknown critical one (capital first letter)."""
    if kind == b"PLTE":
        return not seen.isdisjoint((b"PLTE", b"IDAT"))
    if kind == b"IDAT":
        return before != b"IDAT" and b"IDAT" in seen
    return kind != b"IEND" and not kind[0] & 0x20


def _parse_header(path: str | os.PathLike[str], kind: bytes, body: memoryview) -> PngHeader:
    if kind != b"IHDR" or len(body) != 13:
        raise format_error(
            path, "an IHDR chunk of 13 bytes first", f"the chunk {kind!r} of {len(body)} bytes"
        )
    width, height, bit_depth, colour_type, *methods, interlaced = struct.unpack(">IIBBBBB", body)
    check_sides(path, height, width, "a PNG")
    if bit_depth not in _DEPTHS.get(colour_type, ()) or any(methods) or interlaced > 1:
        expected = "a PNG header with a depth and methods that exist"
        raise format_error(path, expected, f"{bytes(body[8:]).hex(' ')} in its last five bytes")
    return PngHeader(height, width, bit_depth, colour_type, bool(interlaced))
