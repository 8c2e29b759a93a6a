"""One recipe at a time in a folder."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flowdistill.errors import UserError


@contextmanager
def exclusive_lock(folder: Path) -> Iterator[None]:
    """Hold the folder; wait, and say so, while another process does.

    The kernel lets go of the lock with the process, however that ends. Some network file systems do not pass locks on
    to other machines; there two commands on two machines are not kept apart.

    Raises:
        UserError: the folder cannot be made or written to.
    """
    make_folder(folder)
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"another process works in {folder}; waiting for it to end ...", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def make_folder(folder: Path) -> None:
    """Make a folder that can be written to. Raises UserError if that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".lock").touch()
    except OSError as error:
        raise UserError(
            f"OUTPUT={folder}: the folder cannot be made or written to ({error.strerror})"
        ) from error
