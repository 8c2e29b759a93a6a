"""The sections of a run card, as in its JSON. docs/run_cards.md documents the keys for users."""

from __future__ import annotations

import json
from typing import Any, TypedDict


class FileRecord(TypedDict):
    """A file, identified by its content."""

    path: str
    bytes: int
    sha256: str


class FolderRecord(FileRecord):
    """A folder: number of files, total bytes, and a hash of names and contents (`hashes.folder_record`)."""

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


def json_values(value: Any) -> Any:
    """Convert to JSON values: paths and keys to strings, tuples to lists, NaN and infinities to "nan", "inf", "-inf",
    which `float()` reads."""
    names = {"NaN": "nan", "Infinity": "inf", "-Infinity": "-inf"}
    return json.loads(json.dumps(value, default=str), parse_constant=names.__getitem__)
