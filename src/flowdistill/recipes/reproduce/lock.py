"""One process at a time in an output folder."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flowdistill.errors import UserError


@contextmanager
def exclusive_lock(folder: Path) -> Iterator[None]:
    """Lock the folder; wait, with a message, while another process holds the lock.

    The kernel releases the lock when the process ends for any reason. Some network file systems do not share locks
    between machines; there, commands on two machines are not mutually exclusive.

    Raises:
        UserError: the folder cannot be created or written to.
    """
    make_folder(folder)
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"another process is using {folder}; waiting for it to finish ...", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def make_folder(folder: Path) -> None:
    """Create a writable folder. Raises UserError if this is not possible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".lock").touch()
    except OSError as error:
        raise UserError(
            f"OUTPUT={folder}: the folder cannot be created or written to ({error.strerror})"
        ) from error
