"""Datasets by name, and resolving splits: a file, or a word defined by the dataset."""

import importlib
import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches

from flowdistill.data.chairs import ChairsDataset
from flowdistill.data.dataset import MotionDataset, ViewName
from flowdistill.data.exclusion import leave_out
from flowdistill.data.folder import FolderDataset
from flowdistill.data.kitti import KittiDataset
from flowdistill.data.kitti2012 import Kitti2012Dataset
from flowdistill.data.sintel import SintelDataset
from flowdistill.data.splits import BadLine, SplitEntry, line_numbers, without_bad_lines
from flowdistill.data.things import ThingsDataset
from flowdistill.data.things_subset import ThingsSubsetDataset
from flowdistill.data.tree import Listings
from flowdistill.errors import UserError

DATASETS: dict[str, type[MotionDataset]] = {
    dataset.name: dataset
    for dataset in (
        KittiDataset,
        Kitti2012Dataset,
        ThingsDataset,
        ThingsSubsetDataset,
        ChairsDataset,
        SintelDataset,
        FolderDataset,
    )
}

_WORD = re.compile(r"(scan|official)(:.*)?")


def dataset_class(name: str) -> type[MotionDataset]:
    """Return the class for a config's `dataset:`: a key of `DATASETS`, or an import path (`package.module.Class`).

    Raises:
        UserError: an unknown name, or a path that does not lead to a subclass of `MotionDataset`.

    Examples:
        >>> from flowdistill.data.datasets import dataset_class
        >>> dataset_class("kitti2015").title
        'KITTI 2015'
    """
    if name in DATASETS:
        return DATASETS[name]
    if "." in name:
        return _imported(name)
    close = get_close_matches(name, DATASETS, n=1)
    meant = f" Did you mean {close[0]}?" if close else ""
    raise UserError(f"dataset: {name!r} is unknown; known: {', '.join(DATASETS)}.{meant}")


def _imported(path: str) -> type[MotionDataset]:
    module, _, name = path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ImportError as error:
        raise UserError(
            f"dataset: {path} cannot be imported ({error}). Install the package it is in, or add its folder to "
            "PYTHONPATH."
        ) from error
    if not (isinstance(found, type) and issubclass(found, MotionDataset)):
        raise UserError(
            f"dataset: {path} is not a subclass of flowdistill.data.MotionDataset (docs/extend/dataset.md)."
        )
    return found


def open_dataset(
    name: str,
    root: str | None,
    split: str,
    view: ViewName,
    labels: bool,
    options: Mapping[str, str | int] | None = None,
    require_files: bool = True,
    exclude: str | None = None,
) -> MotionDataset:
    """Open a dataset by name, with the entries of a split.

    Args:
        name: a key of `DATASETS`.
        root: the data folder.
        split: path of a split file, or one of the dataset's `split_words`.
        view, labels, options, require_files: as for `MotionDataset`.
        exclude: a list of samples to leave out (`exclusion.py`).

    Raises:
        UserError: for an unknown name, option or word, a wrong root, a wrong or empty split, or as `MotionDataset`.

    Examples:
        >>> import tempfile
        >>> import numpy as np
        >>> from flowdistill.data import open_dataset
        >>> from flowdistill.formats import write_image
        >>> with tempfile.TemporaryDirectory() as root:
        ...     for frame in range(3):
        ...         write_image(f"{root}/{frame:04d}.png", np.full((64, 96, 3), 51 * frame, np.uint8))
        ...     pairs = open_dataset("folder", root, "scan", "flow", labels=False)
        ...     sample = pairs[1]
        >>> len(pairs), sample["name"], round(sample["left_t1"].max().item(), 3)  # 102 / 255
        (2, '0001', 0.4)
    """
    dataset = dataset_class(name)
    chosen = dataset.chosen_options(options)
    entries = entries_to_open(dataset, root, split, chosen, view, exclude)
    return dataset(root, entries, view, labels, chosen, require_files, split)


def entries_to_open(
    dataset: type[MotionDataset],
    root: str | None,
    split: str,
    options: Mapping[str, str],
    view: ViewName,
    exclude: str | None = None,
) -> list[SplitEntry]:
    """Return the entries of a split to open in a view; arguments as for `open_dataset`.

    Raises:
        UserError: as `split_entries`, or if the frames of a line of a split file are not consecutive.
    """
    entries = leave_out(split_entries(dataset, root, split, options), exclude, dataset, split)
    found = dataset.find_root(root, options)
    if split in dataset.split_words:
        return dataset.with_images(entries, found, options, view)
    if bad := no_pairs(dataset, found, split, entries):
        more = f" This affects {len(bad)} of {len(entries)} lines." if len(bad) > 1 else ""
        raise UserError(next(iter(bad.values())) + more)
    return entries


def no_pairs(
    dataset: type[MotionDataset], root: str, split: str, entries: Iterable[SplitEntry]
) -> dict[SplitEntry, str]:
    """Return entry -> reason, with file and line, for a split file's entries whose frames are not consecutive."""
    present = Listings()
    reasons = {
        entry: reason for entry in entries if (reason := dataset.no_pair(entry, root, present)) is not None
    }
    lines = line_numbers(split) if reasons else {}
    return {
        entry: f"{split}, line {lines[entry]}: {entry.id} is not a pair of frames: {reason}"
        for entry, reason in reasons.items()
    }


def split_entries(
    dataset: type[MotionDataset], root: str | None, split: str, options: Mapping[str, str]
) -> list[SplitEntry]:
    """Return the entries of a split file or of a word such as `scan` that the options select.

    Raises:
        UserError: for an unknown word, a wrong or missing file, or if no entry is left.
    """
    return without_bad_lines(*examine_entries(dataset, root, split, options, dataset.check_entry))


def examine_entries(
    dataset: type[MotionDataset],
    root: str | None,
    split: str,
    options: Mapping[str, str],
    check: Callable[[SplitEntry], object],
) -> tuple[list[SplitEntry], list[BadLine]]:
    """As `split_entries`, but also return the invalid lines, including those that `check` rejects."""
    bad: list[BadLine] = []
    if split in dataset.split_words:
        found = dataset.named_split(split, dataset.find_root(root, options), options)
    elif _WORD.fullmatch(split):
        raise UserError(
            f"{split!r} is not a split of {dataset.name}. Instead of a file you can use: "
            f"{', '.join(dataset.split_words)}."
        )
    else:
        found, bad = dataset.read_split(split, root, options, check)
    entries = dataset.select(found, options)
    if not entries and not bad:
        chosen = ", ".join(f"{name}={value}" for name, value in options.items())
        raise UserError(
            f"The split {split} has {len(found)} samples, but none is left with the options {chosen}."
        )
    return entries, bad
