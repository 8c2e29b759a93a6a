"""Lock a run's folder, so that only one training uses it at a time."""

from __future__ import annotations

import contextlib
import os
import platform
from pathlib import Path
from typing import IO

from flowdistill.errors import UserError

_FILE = ".in_use"
_held: dict[Path, IO[str]] = {}  # locks of this process


def _let_go() -> None:
    # In a forked data-loading worker: its copy of the file would keep the lock after the owner was killed.
    for file in _held.values():
        file.close()
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)


def hold(folder: Path) -> None:
    """Lock a run's folder for this process, until `release` or until the process ends in any way.

    Raises:
        UserError: another process has locked it.
    """
    folder = folder.resolve()
    try:
        import fcntl
    except ImportError:  # Windows
        return
    if folder in _held:
        return
    folder.mkdir(parents=True, exist_ok=True)
    file = (folder / _FILE).open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        who = file.read().strip() or "another process"
        file.close()
        raise UserError(
            f"{folder} is in use by {who}. Wait for it or stop it; without `--ckpt_path last` a training gets its own "
            "folder."
        ) from None
    except OSError:  # a file system without locks
        file.close()
        return
    file.truncate(0)
    file.write(f"process {os.getpid()} on {platform.node()}\n")
    file.flush()
    _held[folder] = file


def held_by(folder: Path) -> str | None:
    """Describe the process that trains in a run's folder; None if there is none."""
    try:
        import fcntl

        with (folder / _FILE).open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return file.read().strip() or "another process"
    except (OSError, ImportError):  # no such file, a file system without locks, Windows
        pass
    return None


def release(folder: Path) -> None:
    """Unlock a run's folder; does nothing if this process has not locked it."""
    file = _held.pop(folder.resolve(), None)
    if file is not None:
        with contextlib.suppress(OSError):
            (folder / _FILE).unlink(missing_ok=True)
        file.close()
