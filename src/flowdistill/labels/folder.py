"""The labels' folder: the config they were made with, and which samples are complete."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from flowdistill.data.access import is_file, is_folder, is_nowhere
from flowdistill.data.folder_walk import LABELS_CONFIG
from flowdistill.data.splits import SplitEntry
from flowdistill.data.tree import files_below, listing
from flowdistill.errors import UserError
from flowdistill.formats import write_atomically
from flowdistill.labels.statistics import Tally
from flowdistill.labels.writer import label_path

_COUNTS, _TEMPORARY = "counts", ".flowdistill-"  # the latter is left over from killed runs
_ADVICE = "Use another --output, or move the folder away"


def labels_folder(root: Path, output: str) -> Path:
    """Return the labels' folder under the root.

    Raises:
        UserError: `output` cannot be used as labels=... in a split.

    Examples:
        >>> from pathlib import Path
        >>> from flowdistill.labels.folder import labels_folder
        >>> labels_folder(Path("/data/kitti2015"), "proxy").as_posix()
        '/data/kitti2015/proxy'
    """
    parts = PurePosixPath(output).parts
    if not parts or output.startswith("/") or ".." in parts or any(c.isspace() or c == "#" for c in output):
        raise UserError(
            f"--output is {output!r}; give a folder under --root as for labels=... in a split, such as proxy."
        )
    return root / output


def check_folder(folder: Path, settings: dict[str, Any]) -> None:
    """Check that labels may be made in a folder; writes nothing.

    The folder may contain another config as long as no sample is complete: that run was interrupted.

    Raises:
        UserError: it contains labels of other settings, or unrelated files.
    """
    path = folder / LABELS_CONFIG
    place = next(place for place in (folder, *folder.parents) if not is_nowhere(place))
    if not is_folder(place) or not os.access(place, os.W_OK | os.X_OK):
        raise UserError(
            f"{folder} cannot be created: {place} is not a folder that this user may write to. {_ADVICE}."
        )
    # Check for the config after the listing: it is always written before any labels.
    if any(not name.startswith(_TEMPORARY) for name in listing(folder)) and not is_file(path):
        raise UserError(
            f"{folder} has files but no {LABELS_CONFIG}, so it is not a labels folder. {_ADVICE}."
        )
    _differing(folder, settings)


@contextmanager
def labelling(folder: Path, settings: dict[str, Any], entry: SplitEntry) -> Iterator[None]:
    """Context for writing a sample's labels and counts: the settings are written to the folder before the first one.

    An error before the first sample is ready therefore leaves no files.

    Raises:
        UserError: another run uses the folder with other settings, or it cannot be written.
    """
    _claim(folder, settings)
    yield
    try:
        # Two runs may have written their settings at the same time; those on disk count.
        _claim(folder, settings)
    except UserError:
        counts_path(folder, entry).unlink(missing_ok=True)
        raise


def _claim(folder: Path, settings: dict[str, Any]) -> None:
    """Write the settings into the folder, replacing others if no sample was completed with them."""
    path = folder / LABELS_CONFIG
    if _differing(folder, settings) or not is_file(path):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{folder}: cannot be created ({error.strerror or error}). {_ADVICE}.") from error
        text = yaml.safe_dump(settings, sort_keys=False)
        write_atomically(
            path, f"# What made these labels. Written by `flowdistill labels make`.\n{text}".encode()
        )


def _differing(folder: Path, settings: dict[str, Any]) -> list[str]:
    """List the differences between a folder's config and the settings; empty if there is no config.

    Raises:
        UserError: there are some, and a sample was completed with that config; or it cannot be read.
    """
    path = folder / LABELS_CONFIG
    try:
        stored = yaml.safe_load(path.read_text(encoding="utf-8")) if is_file(path) else settings
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path}: cannot be read ({error}). {_ADVICE}.") from error
    differing = _differences(stored, settings)
    if differing and any(f"/{_COUNTS}/" in name for name in files_below(folder, lambda _: None)):
        raise UserError(
            f"The labels in {folder} were made with other settings: {'; '.join(differing)}. {_ADVICE}."
        )
    return differing


def read_counts(folder: Path, entry: SplitEntry, keys: list[str]) -> dict[str, Tally] | None:
    """Read the counts of a sample with complete labels; None if any file is missing or damaged."""
    path = counts_path(folder, entry)
    if not is_file(path) or not all(is_file(label_path(folder, entry, key)) for key in keys):
        return None
    try:
        return {key: Tally(**values) for key, values in json.loads(path.read_text()).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return None  # the sample is then made again


def write_counts(folder: Path, entry: SplitEntry, counts: dict[str, Tally]) -> None:
    """Write a sample's counts; done after the labels, to mark the sample as complete."""
    path = counts_path(folder, entry)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps({key: vars(value) for key, value in counts.items()}).encode())


def counts_path(folder: Path, entry: SplitEntry) -> Path:
    """Return the path of a sample's counts."""
    return folder / entry.camera / _COUNTS / f"{entry.id}.json"


def _differences(stored: Any, settings: Any, key: str = "") -> list[str]:
    """List every difference as `key is X, was Y`."""
    if isinstance(stored, dict) and isinstance(settings, dict):
        found = []
        for name in [*settings, *(name for name in stored if name not in settings)]:
            inner = f"{key}.{name}" if key else str(name)
            found += _differences(stored.get(name), settings.get(name), inner)
        return found
    return [] if stored == settings else [f"{key or 'the config'} is {settings!r}, was {stored!r}"]
