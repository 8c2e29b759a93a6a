"""LevelDB's table format, in which TensorFlow stores the index of a checkpoint, and older checkpoints whole.

    file    blocks, then a footer of 48 bytes: two handles and a magic number
    handle  offset and size of a block, as varints
    block   entries, the places where keys are stored whole, their number; then a byte for the compression and the
            masked CRC-32C of both
    entry   bytes shared with the key before, further bytes of the key, bytes of the value: varints; key, value

Source: the description of the format in LevelDB's documentation (table_format.md).
"""

from __future__ import annotations

from collections.abc import Iterator

from flowdistill.interop.crc32c import crc32c, unmasked
from flowdistill.interop.wire import LARGEST, DamagedError, decompress_snappy, part, read_varint

FOOTER = 48
MAGIC = 0xDB4775248B80FB57
_TRAILER = 5


def is_table(content: memoryview) -> bool:
    """Return whether a file ends as a table does."""
    return len(content) >= FOOTER and int.from_bytes(content[-8:], "little") == MAGIC


def entries(content: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Yield the keys and values of a table, in the order of the keys; every block's checksum is verified.

    Raises:
        DamagedError: it is not a table, or damaged.
    """
    if not is_table(content):
        raise DamagedError("it does not end as a table of TensorFlow does; it is cut off, or something else")
    footer = content[-FOOTER:]
    _, position = read_varint(footer, 0)
    _, position = read_varint(footer, position)
    offset, position = read_varint(footer, position)
    size, position = read_varint(footer, position)
    blocks = content[:-FOOTER]
    for _, handle in _entries_of(_block(blocks, offset, size)):
        start, position = read_varint(handle, 0)
        length, _ = read_varint(handle, position)
        yield from _entries_of(_block(blocks, start, length))


def _block(content: memoryview, offset: int, size: int) -> memoryview:
    stored = part(content, offset, size + _TRAILER)
    expected = unmasked(int.from_bytes(stored[size + 1 :], "little"))
    if crc32c(stored[: size + 1]) != expected:
        raise DamagedError(f"the checksum of the block at byte {offset} does not match")
    kind = stored[size]
    if kind == 0:
        return stored[:size]
    if kind == 1:
        return decompress_snappy(stored[:size])
    raise DamagedError(f"the block at byte {offset} has the unknown compression {kind}")


def _entries_of(block: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    if len(block) < 4 or len(block) > LARGEST:
        raise DamagedError("a block has no end")
    restarts = int.from_bytes(block[-4:], "little")
    end = len(block) - 4 * (restarts + 1)
    if end < 0:
        raise DamagedError("a block is shorter than the list at its end")
    position, key = 0, b""
    while position < end:
        shared, position = read_varint(block, position)
        own, position = read_varint(block, position)
        length, position = read_varint(block, position)
        if shared > len(key):
            raise DamagedError("a key shares more bytes than the one before has")
        key = key[:shared] + bytes(part(block[:end], position, own))
        position += own
        yield key, part(block[:end], position, length)
        position += length
