"""The run card and its sections, as in its JSON, and the SHA-256 of files, folders and split entries in them.

docs/run_cards.md documents the keys for users.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, TypedDict

from flowdistill.data.splits import SplitEntry
from flowdistill.errors import UserError

FORMAT = 1
"""Increased whenever a key changes its name or meaning."""

Status = Literal["completed", "interrupted"]
_BLOCK = 1 << 20


class FileRecord(TypedDict):
    """A file, identified by its content."""

    path: str
    bytes: int
    sha256: str


class FolderRecord(FileRecord):
    """A folder: number of files, total bytes, and a hash of names and contents (`folder_record`)."""

    files: int


class CheckpointRecord(FileRecord):
    """A checkpoint; its path is relative to the card's folder if it is inside."""

    step: int | None


class Code(TypedDict):
    """The commit of the code that ran; null, with a reason, if there is none."""

    commit: str | None
    dirty: bool | None
    """Whether tracked files differed from the commit."""
    folder: str | None
    """The root of the repository."""
    reason: str | None


class Source(TypedDict):
    """One data set of a split."""

    dataset: str
    root: str | None
    split: str
    """A path, or a word of the dataset such as `scan`."""
    weight: int
    options: dict[str, str]
    exclude: FileRecord | None
    labels: dict[str, FileRecord | None]
    """The proxy-label folders of the entries: their labels.yaml, with the settings that made them, if it exists."""
    entries: int
    sha256: str
    """Of the entries as lines of a split file, in order, each with its line feed."""


class Split(TypedDict):
    """The samples of one data loader."""

    sources: list[Source]
    entries: int
    """For a mixture: each entry counted with its source's weight."""
    sha256: str
    """For one source: its own. For a mixture: of a text with one line `DATASET WEIGHT SHA256` per source."""


@dataclass(frozen=True)
class RunCard:
    """Record of a run or another step: inputs, settings and results; the sections are above.

    All values are JSON values (`json_values`), so that a card that is read back equals the one written.
    """

    name: str
    status: Status
    reason: str | None
    """Why it was interrupted, or why the card lacks something."""
    command: str
    started: str
    """ISO 8601, in UTC, like `finished`. For a resumed run: its first start."""
    finished: str
    wall_time: float
    """Seconds. For a resumed run: of all parts, without what a killed part did after its last checkpoint."""
    code: Code
    versions: dict[str, str | None]
    machine: dict[str, Any]
    seeds: dict[str, int | None]
    splits: dict[str, Split]
    """By use: train, val."""
    inputs: dict[str, FileRecord]
    """Files and folders that the step read: for `lightning fit` the checkpoints named in the model's config."""
    outputs: dict[str, FileRecord]
    """Files and folders that it wrote, other than weights."""
    weights: dict[str, CheckpointRecord]
    """last and best, if they exist."""
    metrics: dict[str, float | str]
    memory: dict[str, int | None]
    """Peaks in bytes of this process: `process`, and `cuda` for torch's allocations on its device."""
    training: dict[str, Any] | None
    """Only in cards of `lightning fit` (`RunCardWriter`)."""
    config: dict[str, Any]
    format: int = field(default=FORMAT)

    def __post_init__(self) -> None:
        for entry in fields(self):
            object.__setattr__(self, entry.name, json_values(getattr(self, entry.name)))


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


def json_values(value: Any) -> Any:
    """Convert to JSON values: paths and keys to strings, tuples to lists, NaN and infinities to "nan", "inf", "-inf",
    which `float()` reads."""
    names = {"NaN": "nan", "Infinity": "inf", "-Infinity": "-inf"}
    return json.loads(json.dumps(value, default=str), parse_constant=names.__getitem__)
