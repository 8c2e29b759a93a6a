"""The folder of the labels: the config that made them, and which samples are complete."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from flowdistill.data.splits import SplitEntry
from flowdistill.errors import UserError
from flowdistill.formats import write_atomically
from flowdistill.labels.statistics import Tally
from flowdistill.labels.writer import label_path

CONFIG = "labels.yaml"
_COUNTS = "counts"
_ADVICE = "Take another --output, or move the folder away"


def labels_folder(root: Path, output: str) -> Path:
    """The labels' folder under the root.

    Raises:
        UserError: `output` is no name that labels=... can have in a split.
    """
    parts = PurePosixPath(output).parts
    if not parts or output.startswith("/") or ".." in parts or any(c.isspace() or c == "#" for c in output):
        raise UserError(
            f"--output is {output!r}; name a folder under --root as labels=... in a split does, such as proxy."
        )
    return root / output


def settle_config(folder: Path, settings: dict[str, Any]) -> None:
    """Write the settings into a new folder, or see that the folder was made with the same.

    Raises:
        UserError: it was made with others, or it holds files of somebody else.
    """
    path = folder / CONFIG
    try:
        if not path.is_file():
            # A killed run may have left the temporary file of its config.
            if folder.exists() and any(
                not file.name.startswith(".flowdistill-") for file in folder.iterdir()
            ):
                raise UserError(
                    f"{folder} holds files but no {CONFIG}, so it is not ours to fill. {_ADVICE}."
                )
            folder.mkdir(parents=True, exist_ok=True)
            text = yaml.safe_dump(settings, sort_keys=False)
            write_atomically(
                path, f"# What made these labels. Written by `flowdistill labels make`.\n{text}".encode()
            )
            return
        stored = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path}: cannot be read or written ({error}). {_ADVICE}.") from error
    differing = _differences(stored, settings)
    if differing:
        raise UserError(
            f"The labels in {folder} were made with other settings: {'; '.join(differing)}. {_ADVICE}."
        )


def read_counts(folder: Path, entry: SplitEntry, keys: list[str]) -> dict[str, Tally] | None:
    """What was counted of a sample whose labels are all there; None where any file is missing or damaged."""
    path = counts_path(folder, entry)
    if not path.is_file() or not all(label_path(folder, entry, key).is_file() for key in keys):
        return None
    try:
        return {key: Tally(**values) for key, values in json.loads(path.read_text()).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return None  # then the sample is made again


def write_counts(folder: Path, entry: SplitEntry, counts: dict[str, Tally]) -> None:
    """Written after the labels: it says that the sample is complete."""
    path = counts_path(folder, entry)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps({key: value.plain() for key, value in counts.items()}).encode())


def counts_path(folder: Path, entry: SplitEntry) -> Path:
    """The file of a sample's counts."""
    return folder / entry.camera / _COUNTS / f"{entry.id}.json"


def _differences(stored: Any, settings: Any, key: str = "") -> list[str]:
    """`key is now X, was Y` of everything that differs."""
    if isinstance(stored, dict) and isinstance(settings, dict):
        found = []
        for name in [*settings, *(name for name in stored if name not in settings)]:
            inner = f"{key}.{name}" if key else str(name)
            found += _differences(stored.get(name), settings.get(name), inner)
        return found
    return [] if stored == settings else [f"{key or 'the config'} is {settings!r}, was {stored!r}"]
