"""What a disk says that is full or may not be written to: bad luck, and no fault of the run."""

from __future__ import annotations

import errno
import os

_OF_THE_DISK = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EIO,
    errno.ESTALE,
)


def refusal(error: OSError) -> str | None:
    """In words, why the disk did not take a file; None if it is another error."""
    return os.strerror(error.errno) if error.errno in _OF_THE_DISK else None
