"""The encodings inside TensorFlow's checkpoint files: varints, protocol buffers, snappy.

Everything raises `DamagedError` for content that cannot be right, and none of it trusts a length before it is compared
with what is there.

Sources: the descriptions of the protocol buffers' wire format and of snappy's format.
"""

from __future__ import annotations

from collections.abc import Iterator

# More than any block or message of a checkpoint holds.
LARGEST = 1 << 31


class DamagedError(Exception):
    """Raised for content that is not what its format says; the message has no file name."""


def read_varint(content: memoryview, start: int) -> tuple[int, int]:
    """Return an unsigned integer of seven bits a byte, lowest first, and the position after it."""
    value = 0
    for place in range(10):
        if start + place >= len(content):
            raise DamagedError("a number ends after the last byte")
        octet = content[start + place]
        value |= (octet & 0x7F) << (7 * place)
        if octet < 0x80:
            return value, start + place + 1
    raise DamagedError("a number is longer than ten bytes")


def part(content: memoryview, start: int, length: int) -> memoryview:
    """Return `length` bytes from `start`."""
    if not 0 <= start <= start + length <= len(content):
        raise DamagedError(f"{length} bytes at {start} are beyond the {len(content)} that are there")
    return content[start : start + length]


def fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield the fields of a protocol buffer: number and value; groups are not supported.

    Varints are unsigned integers, fixed 32- and 64-bit fields and lengths are bytes.

    Examples:
        >>> from flowdistill.interop.wire import fields
        >>> message = memoryview(b"\\x08\\x96\\x01\\x12\\x02hi")
        >>> [(number, value if isinstance(value, int) else bytes(value)) for number, value in fields(message)]
        [(1, 150), (2, b'hi')]
    """
    position = 0
    while position < len(message):
        tag, position = read_varint(message, position)
        number, kind = tag >> 3, tag & 7
        if number == 0:
            raise DamagedError("a field has the number 0")
        value: int | memoryview
        if kind == 0:
            value, position = read_varint(message, position)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
            value = part(message, position, length)
            position += length
        elif kind == 2:
            length, position = read_varint(message, position)
            value = part(message, position, length)
            position += length
        else:
            raise DamagedError(f"a field has the unknown kind {kind}")
        yield number, value


def as_int(value: int | memoryview) -> int:
    """Return a varint field's value, signed."""
    if not isinstance(value, int):
        raise DamagedError("a number is stored as bytes")
    return value - (1 << 64) if value >= 1 << 63 else value


def as_bytes(value: int | memoryview) -> memoryview:
    """Return a field's bytes."""
    if isinstance(value, int):
        raise DamagedError("bytes are stored as a number")
    return value


def as_text(value: int | memoryview) -> str:
    """Return a field's text."""
    try:
        return bytes(as_bytes(value)).decode()
    except UnicodeDecodeError as error:
        raise DamagedError("a name is not UTF-8") from error


def decompress_snappy(content: memoryview) -> memoryview:
    """Decompress a snappy block.

    Examples:
        >>> from flowdistill.interop.wire import decompress_snappy
        >>> bytes(decompress_snappy(memoryview(b"\\x06\\x04ab\\x01\\x02")))  # "ab", and four bytes from two before
        b'ababab'
    """
    length, position = read_varint(content, 0)
    # A copy of at most 64 bytes takes two.
    if length > LARGEST or length > 64 * len(content):
        raise DamagedError(f"a compressed block of {len(content)} bytes claims to hold {length}")
    found = bytearray()
    while position < len(content):
        tag = content[position]
        position += 1
        if tag & 3 == 0:
            size = tag >> 2
            if size >= 60:
                extra = size - 59
                size = int.from_bytes(part(content, position, extra), "little")
                position += extra
            found += part(content, position, size + 1)
            position += size + 1
        else:
            extra = (1, 2, 4)[(tag & 3) - 1]
            offset = int.from_bytes(part(content, position, extra), "little")
            position += extra
            if extra == 1:
                size, offset = ((tag >> 2) & 7) + 4, offset | (tag >> 5) << 8
            else:
                size = (tag >> 2) + 1
            if not 0 < offset <= len(found):
                raise DamagedError("a compressed block refers to bytes before its start")
            for _ in range(-(-size // offset)):  # the copied bytes may overlap themselves
                step = min(offset, size)
                start = len(found) - offset
                found += found[start : start + step]
                size -= step
        if len(found) > length:
            break
    if len(found) != length:
        raise DamagedError(f"a compressed block holds {len(found)} bytes, not {length}")
    return memoryview(bytes(found))
