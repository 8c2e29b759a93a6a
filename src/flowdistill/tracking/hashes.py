"""SHA-256 of files, folders and split entries."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from flowdistill.data.splits import SplitEntry
from flowdistill.errors import UserError
from flowdistill.tracking.sections import FileRecord, FolderRecord

_BLOCK = 1 << 20


def file_record(path: str | Path) -> FileRecord:
    """Return a file's path, size and hash.

    Raises:
        UserError: it cannot be read.
    """
    digest = hashlib.sha256()
    size = 0
    try:
        with Path(path).open("rb") as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
                size += len(block)
    except OSError as error:
        raise UserError(f"{path}: cannot be read for its SHA-256 ({error.strerror or error})") from error
    return {"path": str(path), "bytes": size, "sha256": digest.hexdigest()}


def folder_record(path: str | Path) -> FolderRecord:
    """Return a folder's path, total size, number of files and hash.

    The hash is of a text with one line per file, sorted by path: SHA-256, two spaces, path relative to the folder. It
    equals that of `find . -type f -printf '%P\\n' | LC_ALL=C sort | xargs -d '\\n' sha256sum | sha256sum`.

    Raises:
        UserError: a file cannot be read.
    """
    path = Path(path)
    names = sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
    records = [file_record(path / name) for name in names]
    lines = "".join(f"{record['sha256']}  {name}\n" for name, record in zip(names, records, strict=True))
    return {
        "path": str(path),
        "bytes": sum(record["bytes"] for record in records),
        "sha256": text_hash(lines),
        "files": len(records),
    }


def entries_hash(entries: Iterable[SplitEntry]) -> str:
    """Return the hash of entries as lines of a split file, in order: that of a split file without comments."""
    digest = hashlib.sha256()
    for entry in entries:
        digest.update(f"{entry.line}\n".encode())
    return digest.hexdigest()


def text_hash(text: str) -> str:
    """Return the hash of a text in UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()
