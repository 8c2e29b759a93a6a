"""The sections of a run card, as they stand in its JSON. docs/run_cards.md describes the keys to users."""

from __future__ import annotations

from typing import Any, TypedDict


class FileRecord(TypedDict):
    """A file, by what it held."""

    path: str
    bytes: int
    sha256: str


class FolderRecord(FileRecord):
    """A folder: the number of its files; bytes of all; the hash says names and contents (`hashes.folder_record`)."""

    files: int


class CheckpointRecord(FileRecord):
    """A checkpoint; its path is relative to the card's folder if it lies in there."""

    step: int | None


class Code(TypedDict):
    """The commit of the code that ran; null with a reason where there is none."""

    commit: str | None
    dirty: bool | None
    """Whether tracked files differed from the commit."""
    folder: str | None
    """The root of the repository."""
    reason: str | None


class Machine(TypedDict):
    os: str
    cpu: str
    cpu_count: int | None
    cuda: str | None
    """The version that torch was built for, where a GPU can be used."""
    gpus: list[str]


class Devices(TypedDict):
    """What a run was computed on."""

    accelerator: str
    devices: int
    """Of all nodes together."""
    nodes: int
    precision: str
    names: list[str]
    """Of this node."""


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
    """The folders of proxy labels that the entries name: labels.yaml, which says what made them, if there is one."""
    entries: int
    sha256: str
    """Of the entries as lines of a split file, in their order, each with its line feed."""


class Split(TypedDict):
    """What one loader drew from."""

    sources: list[Source]
    entries: int
    """Of a mixture: with every entry as often as its source's weight says."""
    sha256: str
    """Of one source: its own. Of a mixture: of a text with a line `DATASET WEIGHT SHA256` a source."""


class Part(TypedDict):
    """A run between its start, or a resumption, and its end."""

    folder: str | None
    started: str
    resumed_from: str | None
    first_step: int
    last_step: int
    seconds: float
    commit: str | None
    dirty: bool | None


class StepTime(TypedDict):
    """Seconds of an optimiser step; null where too few steps were measured."""

    median: float | None
    lower_quartile: float | None
    upper_quartile: float | None
    count: int


class Best(TypedDict):
    metric: str
    mode: str
    value: float | str


class Training(TypedDict):
    """What only a card of `lightning fit` has."""

    steps: int
    planned_steps: int | None
    parts: list[Part]
    step_time: StepTime
    metrics_step: int | None
    """The step of the last validation."""
    best: Best | None
    """What --best.metric watched."""
    devices: Devices


class Memory(TypedDict):
    """Peaks in bytes, of this process."""

    process: int | None
    cuda: int | None
    """What torch had allocated at once on its device."""


def json_values(value: Any) -> Any:
    """A value as JSON can hold it: paths become text, tuples lists, keys text; NaN and infinities "nan", "inf", "-inf",
    which `float()` reads."""
    if isinstance(value, dict):
        return {str(key): json_values(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_values(item) for item in value]
    if isinstance(value, bool | int | str) or value is None:
        return value
    if isinstance(value, float):
        return value if -float("inf") < value < float("inf") else str(value)
    return str(value)
