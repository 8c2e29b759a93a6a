"""TIFF's directories of tags; EXIF data have the same structure.

Source: TIFF, revision 6.0, section 2.
"""

import os
import struct
from typing import Literal

from flowdistill.formats.errors import format_error

TIFF_STARTS = (b"II*\0", b"MM\0*")
_INTEGERS = {1: "B", 3: "H", 4: "I"}  # integer types: 8, 16 and 32 bit
_MOST_DIRECTORIES = 4096

Tags = dict[int, tuple[int, ...]]


def byte_order(start: bytes) -> Literal["<", ">"]:
    """Return the byte order, in `struct` notation, of a file that begins with one of `TIFF_STARTS`."""
    return "<" if start[:2] == b"II" else ">"


def read_directories(path: str | os.PathLike[str], content: bytes) -> list[Tags]:
    """Read each directory of a TIFF: tag -> values, one or more, of integer tags.

    Raises FormatError if one lies outside the file, if there is none, and if they form a cycle.
    """
    order = byte_order(content)
    directories: list[Tags] = []
    seen: set[int] = set()
    position = _number(path, content, 4, order)
    while position:
        if position in seen or len(seen) == _MOST_DIRECTORIES:
            raise format_error(path, "TIFF directories with an end", "a cycle of them (damaged)")
        seen.add(position)
        tags, position = _directory(path, content, position, order)
        directories.append(tags)
    if not directories:
        raise format_error(path, "a TIFF with a directory", "none (damaged or never finished)")
    return directories


def _directory(path: str | os.PathLike[str], content: bytes, position: int, order: str) -> tuple[Tags, int]:
    """Read the tags at `position`, and the position of the next directory (0: none)."""
    (count,) = _unpack(path, content, position, f"{order}H")
    end = position + 2 + 12 * count
    following = _number(path, content, end, order)
    tags: Tags = {}
    for entry in range(position + 2, end, 12):
        tag, kind, values = struct.unpack_from(f"{order}HHI", content, entry)
        if kind not in _INTEGERS or not values:
            continue
        layout = f"{order}{values}{_INTEGERS[kind]}"
        inside = struct.calcsize(layout) <= 4
        tags[tag] = _unpack(
            path, content, entry + 8 if inside else _number(path, content, entry + 8, order), layout
        )
    return tags, following


def _number(path: str | os.PathLike[str], content: bytes, position: int, order: str) -> int:
    return int(_unpack(path, content, position, f"{order}I")[0])


def _unpack(path: str | os.PathLike[str], content: bytes, position: int, layout: str) -> tuple[int, ...]:
    end = position + struct.calcsize(layout)
    if end > len(content):
        expected = f"tags of a TIFF up to byte {end}"
        raise format_error(path, expected, f"the file's end at byte {len(content)} (truncated or damaged)")
    return struct.unpack_from(layout, content, position)
