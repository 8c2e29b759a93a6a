"""Atomic file writing: write a temporary file next to the target, then rename it."""

import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from flowdistill.formats.errors import FormatError

# Objects that a file object can write without a copy: bytes, memoryview, a C-contiguous array.
Buffer = bytes | bytearray | memoryview


def make_parent(path: str | os.PathLike[str]) -> None:
    """Creates the parent folder of a file. Raises FormatError if that is not possible."""
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FormatError(f"{os.fspath(path)}: cannot make its folder ({error.strerror or error})") from error


def write_atomically(path: str | os.PathLike[str], parts: Buffer | Iterable[Buffer]) -> None:
    """Writes `parts` (one buffer, or several consecutive ones) to the file `path`.

    The content is written to a hidden temporary file in the same folder, which is then renamed to the target, so
    that readers see either the old file or the complete new one, even if this process is killed. On failure the
    temporary file is removed; only a process that is killed forcibly can leave one (`.flowdistill-*.tmp`). The mode
    follows the umask; a symbolic link is followed, not replaced. Nothing is synced to disk: the guarantee covers
    killed processes, not power failures.

    Raises FormatError with the reason if the folder is missing or the file cannot be written.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from flowdistill.formats import write_atomically
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "data.bin")
        ...     write_atomically(path, [b"header ", b"values"])
        ...     path.read_bytes()
        b'header values'
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        kind = "a folder" if target.is_dir() else "not a regular file"
        raise FormatError(f"{os.fspath(path)}: cannot write a file here, the path is {kind}")
    if not target.parent.is_dir():
        raise FormatError(
            f"{os.fspath(path)}: cannot write, the folder {target.parent} does not exist; create it first"
        )
    temporary = target.parent / f".flowdistill-{secrets.token_hex(8)}.tmp"
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                for part in [parts] if isinstance(parts, Buffer) else parts:
                    stream.write(part)
            os.replace(temporary, target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise FormatError(f"{os.fspath(path)}: cannot write ({error.strerror or error})") from error
