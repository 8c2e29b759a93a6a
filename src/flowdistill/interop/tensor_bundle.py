"""TensorFlow's checkpoints: PREFIX.index with PREFIX.data-00000-of-00001, ..., and the older single file.

The index is a table (`table.py`) of a header under the empty key and one entry for each variable: type, shape, shard,
place, checksum. Values are raw little-endian. In the older format the table holds the values themselves, as messages.

Sources: the comments of TensorFlow's tensor_bundle.proto, saved_tensor_slice.proto and tensor.proto.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from flowdistill.errors import UserError
from flowdistill.interop.crc32c import crc32c, unmasked
from flowdistill.interop.table import entries
from flowdistill.interop.wire import DamagedError, as_bytes, as_int, as_text, fields

Array = npt.NDArray[np.floating]
Result = TypeVar("Result")
# TensorFlow's number of a type -> numpy's type; others are integers, texts, ..., which no weight is.
DTYPES: dict[int, np.dtype[np.floating]] = {1: np.dtype("<f4"), 2: np.dtype("<f8"), 19: np.dtype("<f2")}
_INDEX, _DATA = ".index", re.compile(r"\.data-\d{5}-of-\d{5}$")
_LARGEST_SIDE = 1 << 24


@dataclass
class _Entry:
    """A variable's place in a bundle."""

    dtype: int = 0
    shape: tuple[int, ...] = ()
    shard: int = 0
    offset: int = 0
    size: int = 0
    checksum: int = 0
    sliced: bool = False


@dataclass
class Stored:
    """The variables of a checkpoint."""

    files: list[Path]
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)  # of all variables
    values: dict[str, Array] = field(default_factory=dict)  # of those that were asked for


def read_checkpoint(path: Path, wanted: Callable[[str], bool]) -> Stored:
    """Read the variables of a checkpoint whose names are `wanted`.

    Args:
        path: PREFIX, PREFIX.index or one of PREFIX.data-*; or a file of the older format.
        wanted: of names; other variables are only listed.

    Raises:
        UserError: files are missing or damaged, or a wanted variable is of a kind that is not read; the message names
            the file.
    """
    name = _DATA.sub("", str(path).removesuffix(_INDEX))
    index = Path(name + _INDEX)
    if index.is_file():
        return _told(index, lambda: _read_bundle(index, wanted))
    if not path.is_file():
        near = sorted(each.name.removesuffix(_INDEX) for each in path.parent.glob(f"*{_INDEX}"))
        there = f"; this folder has {', '.join(near[:5])}" if near else ""
        raise UserError(
            f"--checkpoint: there is neither {index} nor a file {path}{there}. Give the common start of the names of "
            "the files .index and .data-00000-of-00001"
        )
    if str(path) != name:
        raise UserError(f"--checkpoint: {path} belongs to {index}, which is missing; copy it, too")
    return _told(path, lambda: _read_old(path, wanted))


def _told(path: Path, read: Callable[[], Result]) -> Result:
    try:
        return read()
    except DamagedError as error:
        raise UserError(
            f"--checkpoint: {path} is damaged or not a checkpoint of TensorFlow: {error}; download or copy it again"
        ) from error
    except OSError as error:
        raise UserError(f"--checkpoint: {error.filename or path} cannot be read: {error.strerror}") from error


def _read_bundle(index: Path, wanted: Callable[[str], bool]) -> Stored:
    prefix = str(index).removesuffix(_INDEX)
    table = entries(memoryview(index.read_bytes()))
    shards = 0
    found: dict[str, _Entry] = {}
    for key, value in table:
        if key == b"":
            shards = _shards(value)
        else:
            found[_name(key)] = _entry(value)
    if not 0 < shards < 100_000:
        raise DamagedError(f"it names {shards} data files")
    files = [Path(f"{prefix}.data-{k:05d}-of-{shards:05d}") for k in range(shards)]
    stored = Stored([index, *files], {name: entry.shape for name, entry in found.items()})
    contents: dict[int, memoryview] = {}
    for name, entry in found.items():
        if not wanted(name):
            continue
        if not 0 <= entry.shard < shards:
            raise DamagedError(f"{name} is said to be in data file {entry.shard} of {shards}")
        if entry.shard not in contents:
            contents[entry.shard] = _content(files[entry.shard])
        stored.values[name] = _value(name, entry, contents[entry.shard], files[entry.shard])
    return stored


def _content(path: Path) -> memoryview:
    if not path.is_file():
        raise UserError(f"--checkpoint: {path} is missing; a checkpoint needs all its files")
    return memoryview(path.read_bytes())


def _value(name: str, entry: _Entry, content: memoryview, path: Path) -> Array:
    if entry.sliced:
        raise UserError(
            f"--checkpoint: {name} is stored in parts (a partitioned variable), which is not read; save it whole, "
            "or as .npz"
        )
    dtype = _dtype(name, entry.dtype)
    if entry.size != math.prod(entry.shape) * dtype.itemsize:
        raise DamagedError(f"{name} of shape {entry.shape} is said to have {entry.size} bytes")
    if not 0 <= entry.offset <= entry.offset + entry.size <= len(content):
        raise UserError(
            f"--checkpoint: {path} is cut off: {name} ends at byte {entry.offset + entry.size}, the file has "
            f"{len(content)}; download or copy it again"
        )
    raw = bytes(content[entry.offset : entry.offset + entry.size])
    if crc32c(raw) != unmasked(entry.checksum):
        raise UserError(
            f"--checkpoint: {path} is damaged: the checksum of {name} does not match; copy it again"
        )
    return np.frombuffer(raw, dtype).reshape(entry.shape).astype(np.float32)


def _dtype(name: str, number: int) -> np.dtype[np.floating]:
    if number not in DTYPES:
        raise UserError(f"--checkpoint: {name} is not of a floating-point type (TensorFlow's type {number})")
    return DTYPES[number]


def _shards(message: memoryview) -> int:
    shards = 0
    for number, value in fields(message):
        if number == 1:
            shards = as_int(value)
        elif number == 2 and as_int(value) != 0:
            raise UserError("--checkpoint: it was written on a big-endian machine, which is not supported")
    return shards


def _entry(message: memoryview) -> _Entry:
    entry = _Entry()
    for number, value in fields(message):
        if number == 1:
            entry.dtype = as_int(value)
        elif number == 2:
            entry.shape = _shape(as_bytes(value))
        elif number == 3:
            entry.shard = as_int(value)
        elif number == 4:
            entry.offset = as_int(value)
        elif number == 5:
            entry.size = as_int(value)
        elif number == 6:
            entry.checksum = int.from_bytes(as_bytes(value), "little")
        elif number == 7:
            entry.sliced = True
    return entry


def _shape(message: memoryview) -> tuple[int, ...]:
    sides = []
    for number, value in fields(message):
        if number != 2:
            continue
        side = 0
        for inner, size in fields(as_bytes(value)):
            side = as_int(size) if inner == 1 else side
        if not 0 <= side <= _LARGEST_SIDE:
            raise DamagedError(f"a variable has a side of {side}")
        sides.append(side)
    if len(sides) > 8:
        raise DamagedError(f"a variable has {len(sides)} axes")
    return tuple(sides)


def _name(key: bytes) -> str:
    try:
        return key.decode()
    except UnicodeDecodeError as error:
        raise DamagedError("a variable's name is not UTF-8") from error


# The older format.


def _read_old(path: Path, wanted: Callable[[str], bool]) -> Stored:
    stored = Stored([path])
    for key, value in entries(_content(path)):
        for number, message in fields(value):
            if key == b"" and number == 1:
                stored.shapes.update(_shapes_of(as_bytes(message)))
            elif key != b"" and number == 2:
                name, array = _saved_slice(as_bytes(message), wanted, stored.shapes)
                if array is not None and name in stored.values:
                    raise UserError(f"--checkpoint: {name} is stored in parts, which is not read")
                if array is not None:
                    stored.values[name] = array
    for name in stored.shapes:
        if wanted(name) and name not in stored.values:
            raise DamagedError(f"{name} has a shape but no value")
    return stored


def _shapes_of(meta: memoryview) -> Iterator[tuple[str, tuple[int, ...]]]:
    for number, value in fields(meta):
        if number != 1:
            continue
        name = ""
        shape: tuple[int, ...] = ()
        for inner, each in fields(as_bytes(value)):
            if inner == 1:
                name = as_text(each)
            elif inner == 2:
                shape = _shape(as_bytes(each))
        yield name, shape


def _saved_slice(
    message: memoryview, wanted: Callable[[str], bool], shapes: dict[str, tuple[int, ...]]
) -> tuple[str, Array | None]:
    name, data = "", None
    for number, value in fields(message):
        if number == 1:
            name = as_text(value)
        elif number == 3:
            data = as_bytes(value)
    if data is None or not wanted(name):
        return name, None
    if name not in shapes:
        raise DamagedError(f"{name} has a value but no shape")
    array = _tensor(name, data)
    if array.size != math.prod(shapes[name]):
        raise UserError(
            f"--checkpoint: {name} is stored in parts ({array.size} of {shapes[name]}), which is not read; save it "
            "whole, or as .npz"
        )
    return name, array.reshape(shapes[name])


def _tensor(name: str, message: memoryview) -> Array:
    """Return the values of a tensor's message: raw bytes, or one list for each type."""
    number_of_type = 1
    lists: dict[int, list[memoryview]] = {4: [], 5: [], 6: []}
    for number, value in fields(message):
        if number == 1:
            number_of_type = as_int(value)
        elif number in lists:
            lists[number].append(as_bytes(value))
    dtype = _dtype(name, number_of_type)
    field_of_type = {1: 5, 2: 6}.get(number_of_type)
    raw = b"".join(lists[4]) or (b"".join(lists[field_of_type]) if field_of_type else b"")
    if len(raw) % dtype.itemsize:
        raise DamagedError(f"{name} has {len(raw)} bytes")
    return np.frombuffer(raw, dtype).astype(np.float32)
