"""OS errors caused by the disk (full, read-only, failing), not by the run."""

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
    """Return the reason why the disk rejected a file; None for any other error."""
    return os.strerror(error.errno) if error.errno in _OF_THE_DISK else None
