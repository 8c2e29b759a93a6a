"""The error of a file that is not what its reader expects, and the helpers that word it."""

import os
from pathlib import Path

from flowdistill.errors import UserError

#: Longest side that any reader or writer of this package accepts.
MAX_SIDE = 1 << 16


class FormatError(UserError):
    """A file that cannot be read or written as its format: names it, what was expected and what was found.

    Example:
        >>> from flowdistill.formats import FormatError, read_flo
        >>> try:
        ...     read_flo("no_such_file.flo")
        ... except FormatError as error:
        ...     print(error)
        no_such_file.flo: expected a .flo file, found no such file
    """


def format_error(path: str | os.PathLike[str], expected: str, found: str) -> FormatError:
    """The error to raise for `path`; both texts are short noun phrases."""
    return FormatError(f"{os.fspath(path)}: expected {expected}, found {found}")


def read_bytes(path: str | os.PathLike[str], expected: str) -> bytes:
    """The whole file, which must not be empty. `expected` names the format, for the error.

    Raises FormatError, with the system's reason, where the file is missing, a folder, unreadable or empty.
    """
    try:
        content = Path(path).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a path with a zero byte
        raise format_error(path, expected, system_reason(error)) from error
    if not content:
        raise format_error(path, expected, "an empty file")
    return content


def read_start(path: str | os.PathLike[str], expected: str, length: int) -> tuple[bytes, int]:
    """The first `length` bytes of a file, or all where it is shorter, and its size in bytes. Raises as `read_bytes`."""
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
    """What the operating system said, in a phrase that follows 'found'."""
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, IsADirectoryError):
        return "a folder"
    reason = getattr(error, "strerror", None) or str(error)
    return f"a file that cannot be opened ({reason})"


def check_sides(path: str | os.PathLike[str], height: int, width: int, file_format: str) -> None:
    """Raises FormatError unless both sides lie in 1..MAX_SIDE."""
    if not (0 < height <= MAX_SIDE and 0 < width <= MAX_SIDE):
        raise format_error(
            path,
            f"{file_format} with sides of 1 to {MAX_SIDE} pixels",
            f"a height of {height} and a width of {width}",
        )
