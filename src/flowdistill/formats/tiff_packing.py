"""Compression of TIFF strips: none, LZW, DEFLATE or PackBits.

Unpacked here, because OpenCV's TIFF library repairs data and prints, and kornia_rs supports neither alpha nor palettes.
Source: TIFF, revision 6.0, sections 9 (PackBits) and 13 (LZW); Adobe Photoshop TIFF Technical Notes (DEFLATE).
"""

import zlib
from collections.abc import Callable

import numpy as np

_CLEAR, _END = 256, 257
_LONGEST = 1 << 12
# Number of bits of the n-th code after a clear, and their start. TIFF's codes grow one entry early, and an encoder
# clears before the last one.
_WIDTHS = np.array([9] * 254 + [10] * 512 + [11] * 1024 + [12] * (_LONGEST - 2048 + 1))
_STARTS = np.concatenate([[0], np.cumsum(_WIDTHS)])
_BYTES = [bytes([value]) for value in range(256)] + [b"", b""]


class PackingError(Exception):
    """Raised for damaged packed data, with the reason."""


def unpack_lzw(packed: bytes, size: int) -> bytes:
    """Unpack LZW codes, up to `size` bytes plus one string."""
    padded = np.frombuffer(packed + b"\0\0\0", np.uint8).astype(np.uint32)
    parts: list[bytes] = []
    position, length, bits = 0, 0, 8 * len(packed)
    while length < size:
        fitting = int(np.searchsorted(_STARTS, bits - position, "right")) - 1
        places = position + _STARTS[:fitting]
        first = places >> 3
        window = padded[first] << 16 | padded[first + 1] << 8 | padded[first + 2]
        widths = _WIDTHS[:fitting]
        codes = window >> (24 - (places & 7) - widths).astype(np.uint32) & ((1 << widths) - 1).astype(
            np.uint32
        )
        stops = np.flatnonzero((codes == _CLEAR) | (codes == _END))
        ended = not len(stops) or codes[stops[0]] == _END
        count = int(stops[0]) if len(stops) else fitting
        length += _strings(codes[:count].tolist(), parts)
        if ended:
            break
        position += int(_STARTS[count + 1])
    return b"".join(parts)


def _strings(codes: list[int], parts: list[bytes]) -> int:
    """Append the strings of the codes between two clears, and return their number of bytes."""
    table, before, length = _BYTES[:], b"", 0
    for code in codes:
        if code < len(table):
            string = table[code]
        elif code == len(table) and before:
            string = before + before[:1]
        else:
            raise PackingError(f"the LZW code {code} before its string")
        if before:
            table.append(before + string[:1])
        before = string
        parts.append(string)
        length += len(string)
    return length


def unpack_deflate(packed: bytes, size: int) -> bytes:
    """Unpack zlib data, up to `size` + 1 bytes; zlib's checksum is verified."""
    stream = zlib.decompressobj()
    try:
        unpacked = stream.decompress(packed, size + 1)
    except zlib.error as error:
        raise PackingError(str(error)) from error
    if len(unpacked) == size and not stream.eof:
        raise PackingError("DEFLATE data without an end")
    return unpacked


def unpack_bits(packed: bytes, size: int) -> bytes:
    """Unpack PackBits data, up to `size` bytes plus one run."""
    unpacked, position = bytearray(), 0
    while position < len(packed) and len(unpacked) < size:
        count = packed[position]
        if count < 128:
            unpacked += packed[position + 1 : position + 2 + count]
            position += 2 + count
        elif count > 128:
            unpacked += packed[position + 1 : position + 2] * (257 - count)
            position += 2
        else:
            position += 1
    return bytes(unpacked)


UNPACKERS: dict[int, Callable[[bytes, int], bytes]] = {
    1: lambda packed, size: packed[:size],
    5: unpack_lzw,
    8: unpack_deflate,
    32773: unpack_bits,
    32946: unpack_deflate,
}
"""TIFF's compression number -> function of packed data and size of the strip that returns its bytes: fewer or more if
the data are damaged, or PackingError."""
