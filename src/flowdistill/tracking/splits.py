"""Record the samples a run used: each split with the number and hash of its entries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl

from flowdistill.data.splits import SplitEntry
from flowdistill.tracking.sections import FileRecord, Source, Split, entries_hash, file_record, text_hash

if TYPE_CHECKING:  # `lightning fit --help` does not import the data sets
    from flowdistill.data import MotionDataset


def open_splits(trainer: pl.Trainer) -> dict[str, Split]:
    """Record `train` and `val` of a trainer with its loaders; empty for other data modules than flowdistill's."""
    from flowdistill.data import Mixture, MotionDataModule, MotionDataset

    module = getattr(trainer, "datamodule", None)
    if not isinstance(module, MotionDataModule):
        return {}
    view = module.views.get(str(getattr(trainer.lightning_module, "view", None)))
    if view is None:
        return {}
    used: dict[
        str, list[tuple[MotionDataset, str, int, str | None]]
    ] = {}  # data, split as in the config, weight, exclude
    samples = getattr(getattr(trainer.train_dataloader, "dataset", None), "samples", None)
    if isinstance(samples, Mixture) and view.train_sources is not None:
        parts = zip(samples.parts, module.complete_sources(view.train_sources), strict=True)
        used["train"] = [(part.dataset, own.split, part.weight, own.exclude) for part, own in parts]
    elif isinstance(samples, MotionDataset):
        used["train"] = [(samples, str(view.train_split), 1, module.exclude)]
    validation = getattr(trainer.val_dataloaders, "dataset", None)
    if isinstance(validation, MotionDataset):
        used["val"] = [(validation, str(view.val_split), 1, module.exclude)]
    return {
        use: combine([
            source_section(data.name, data.root, split, data.entries, weight, data.options,
                           None if exclude is None else file_record(exclude))
            for data, split, weight, exclude in sources
        ])
        for use, sources in used.items()
    }  # fmt: skip


def source_section(
    dataset: str,
    root: str | Path | None,
    split: str | Path,
    entries: Iterable[SplitEntry],
    weight: int = 1,
    options: Mapping[str, str] | None = None,
    exclude: FileRecord | None = None,
) -> Source:
    """Return the record of one data set of a split.

    Args:
        dataset: its name, as in a data config.
        root: the data folder.
        split: path of the split file, or a word such as `scan`.
        entries: those used, after exclusions and options.
        weight: how often each of them counts.
        options: of the dataset.
        exclude: the list of excluded samples.
    """
    from flowdistill.data.folder_walk import LABELS_CONFIG

    entries = list(entries)
    folders = sorted({entry.labels for entry in entries if entry.labels is not None})
    made_by = {folder: Path(root or ".", folder, LABELS_CONFIG) for folder in folders}
    return {
        "dataset": dataset,
        "root": None if root is None else str(root),
        "split": str(split),
        "weight": weight,
        "options": dict(options or {}),
        "exclude": exclude,
        "labels": {folder: file_record(path) if path.is_file() else None for folder, path in made_by.items()},
        "entries": len(entries),
        "sha256": entries_hash(entries),
    }


def combine(sources: list[Source]) -> Split:
    """Combine one or several sources into the record of a split."""
    if len(sources) == 1 and sources[0]["weight"] == 1:
        total = sources[0]["sha256"]
    else:
        lines = [f"{source['dataset']} {source['weight']} {source['sha256']}\n" for source in sources]
        total = text_hash("".join(lines))
    entries = sum(source["entries"] * source["weight"] for source in sources)
    return {"sources": sources, "entries": entries, "sha256": total}


def inputs_of(model: Mapping[str, Any]) -> dict[str, FileRecord]:
    """Return the checkpoints named in a model's config: its initial weights (`init_from`), and its teacher's.

    Args:
        model: the config's `model`: class_path and init_args. Missing files are skipped.
    """
    found: dict[str, FileRecord] = {}

    def visit(settings: Mapping[str, Any], prefix: str) -> None:
        for key, value in settings.items():
            if isinstance(value, Mapping):
                visit(value.get("init_args") or {}, f"{prefix}{key}.")
            elif key in ("init_from", "checkpoint") and value is not None and Path(value).is_file():
                found[f"{prefix}{key}"] = file_record(value)

    visit(model.get("init_args") or {}, "")
    return found
