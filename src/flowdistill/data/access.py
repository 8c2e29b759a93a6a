"""Looking at folders that may be closed to this user: what is there, what is not, and what may not be seen.

The standard library answers "no such folder" or passes over what it may not look into (`os.path.isdir`, `os.walk`),
and a data set that may not be seen then looks like one that is missing.
"""

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

from flowdistill.errors import UserError

Place = str | os.PathLike[str]
NOWHERE = (FileNotFoundError, NotADirectoryError)
"""What looking at a place that does not exist raises."""


def is_folder(path: Place) -> bool:
    """Whether there is a folder, or a link to one. Raises UserError where this user may not know."""
    return _has_mode(path, stat.S_ISDIR)


def is_file(path: Place) -> bool:
    """Whether there is a file, or a link to one. Raises UserError where this user may not know."""
    return _has_mode(path, stat.S_ISREG)


def is_nowhere(path: Place) -> bool:
    """Whether surely nothing is there: neither a file nor one that may not be seen. A link to nothing is nowhere."""
    try:
        os.stat(path)
    except OSError as error:
        return isinstance(error, NOWHERE) or error.errno == errno.ELOOP
    return False


def check_open(folder: Place) -> None:
    """Raise UserError for a folder that is there, but may not be listed or entered."""
    if not os.access(folder, os.R_OK | os.X_OK) and is_folder(folder):
        raise closed(folder, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))


def is_locked(path: Place) -> bool:
    """Whether a file is there, or may be, and this user may not read it."""
    return not is_nowhere(path) and not os.access(path, os.R_OK)


def closed(path: Place, error: OSError) -> UserError:
    """The error for a folder that may not be looked into, or a file that may not be read.

    It names the first folder on the way that is closed.
    """
    reason = error.strerror or str(error)
    if not isinstance(error, PermissionError):
        return UserError(f"{os.fspath(path)} cannot be looked into: {reason}.")
    full = Path(path).absolute()
    way = [*reversed(full.parents), full]
    culprit = next((str(place) for place in way[:-1] if not os.access(place, os.X_OK)), os.fspath(path))
    what, letters = ("listed and entered", "rwX") if os.path.isdir(culprit) else ("read", "rw")
    return UserError(
        f"{culprit} may not be {what} by this user ({reason}). Open it, as its owner by "
        f"`chmod -R u+{letters} {culprit}`, or work as a user who may."
    )


def _has_mode(path: Place, test: Callable[[int], bool]) -> bool:
    try:
        return test(os.stat(path).st_mode)
    except NOWHERE:
        return False
    except OSError as error:
        if error.errno == errno.ELOOP:  # a link that leads to itself is like one that leads nowhere
            return False
        raise closed(path, error) from error
