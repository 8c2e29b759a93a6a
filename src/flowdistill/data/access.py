"""File system checks that tell missing files from files without access permission.

The standard library returns False for or skips folders without access permission (`os.path.isdir`, `os.walk`), so a
data set that is not accessible would be reported as missing.
"""

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

from flowdistill.errors import UserError

Place = str | os.PathLike[str]
NOWHERE = (FileNotFoundError, NotADirectoryError)
"""The errors raised for a path that does not exist."""


def is_folder(path: Place) -> bool:
    """Whether the path is a folder or a link to one. Raises UserError if permission to check is denied."""
    return _has_mode(path, stat.S_ISDIR)


def is_file(path: Place) -> bool:
    """Whether the path is a file or a link to one. Raises UserError if permission to check is denied."""
    return _has_mode(path, stat.S_ISREG)


def is_nowhere(path: Place) -> bool:
    """Whether the path certainly does not exist; False if permission to check is denied, True for a broken link."""
    try:
        os.stat(path)
    except OSError as error:
        return isinstance(error, NOWHERE) or error.errno == errno.ELOOP
    return False


def check_open(folder: Place) -> None:
    """Raise UserError for a folder that exists, but cannot be listed or entered."""
    if not os.access(folder, os.R_OK | os.X_OK) and is_folder(folder):
        raise closed(folder, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))


def is_locked(path: Place) -> bool:
    """Whether a file exists, or may exist, and this user cannot read it."""
    return not is_nowhere(path) and not os.access(path, os.R_OK)


def closed(path: Place, error: OSError) -> UserError:
    """Return the error for a folder that cannot be listed or a file that cannot be read.

    The message names the first folder along the path that is not accessible.
    """
    reason = error.strerror or str(error)
    if not isinstance(error, PermissionError):
        return UserError(f"{os.fspath(path)} cannot be accessed: {reason}.")
    full = Path(path).absolute()
    way = [*reversed(full.parents), full]
    culprit = next((str(place) for place in way[:-1] if not os.access(place, os.X_OK)), os.fspath(path))
    what, letters = ("listed and entered", "rwX") if os.path.isdir(culprit) else ("read", "rw")
    return UserError(
        f"{culprit} cannot be {what} by this user ({reason}). Change its permissions, as its owner with "
        f"`chmod -R u+{letters} {culprit}`, or use an account that has access."
    )


def _has_mode(path: Place, test: Callable[[int], bool]) -> bool:
    try:
        return test(os.stat(path).st_mode)
    except NOWHERE:
        return False
    except OSError as error:
        if error.errno == errno.ELOOP:  # a link that points to itself is treated as a broken link
            return False
        raise closed(path, error) from error
