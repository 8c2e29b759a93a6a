"""The error for files that cannot be read as expected, and helpers for its messages."""

import os
from pathlib import Path

from flowdistill.errors import UserError

#: Longest side accepted by the readers and writers of this package.
MAX_SIDE = 1 << 16


class FormatError(UserError):
    """Raised for a file that cannot be read or written as its format, with what was expected and what was found.

    Examples:
        >>> from flowdistill.formats import FormatError, read_flo
        >>> try:
        ...     read_flo("no_such_file.flo")
        ... except FormatError as error:
        ...     print(error)
        no_such_file.flo: expected a .flo file, found no such file
    """


def format_error(path: str | os.PathLike[str], expected: str, found: str) -> FormatError:
    """Return the error to raise for `path`; both texts are short noun phrases."""
    return FormatError(f"{os.fspath(path)}: expected {expected}, found {found}")


def read_bytes(path: str | os.PathLike[str], expected: str) -> bytes:
    """Return the whole file, which must not be empty. `expected` is the format, for the error message.

    Raises FormatError, with the system's reason, if the file is missing, a folder, unreadable or empty.
    """
    try:
        content = Path(path).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a path with a zero byte
        raise format_error(path, expected, system_reason(error)) from error
    if not content:
        raise format_error(path, expected, "an empty file")
    return content


def read_start(path: str | os.PathLike[str], expected: str, length: int) -> tuple[bytes, int]:
    """Return at most the first `length` bytes of a file, and its size in bytes. Raises as `read_bytes`."""
    try:
        with open(path, "rb") as file:
            start = file.read(length)
            size = os.fstat(file.fileno()).st_size
    except (OSError, ValueError) as error:
        raise format_error(path, expected, system_reason(error)) from error
    if not start:
        raise format_error(path, expected, "an empty file")
    return start, size


def system_reason(error: Exception) -> str:
    """Return the reason given by the operating system, as a phrase that follows 'found'."""
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, IsADirectoryError):
        return "a folder"
    reason = getattr(error, "strerror", None) or str(error)
    return f"a file that cannot be opened ({reason})"


def are_sides(shape: tuple[int, ...]) -> bool:
    """Return whether all lengths of an array to be written lie in 1..MAX_SIDE."""
    return 0 < min(shape, default=0) <= max(shape) <= MAX_SIDE


def check_sides(path: str | os.PathLike[str], height: int, width: int, file_format: str) -> None:
    """Raises FormatError unless both sides lie in 1..MAX_SIDE."""
    if not (0 < height <= MAX_SIDE and 0 < width <= MAX_SIDE):
        raise format_error(
            path,
            f"{file_format} with sides of 1 to {MAX_SIDE} pixels",
            f"a height of {height} and a width of {width}",
        )
