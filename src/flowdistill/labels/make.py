"""`flowdistill labels make` without the command line: label a split in one process or several, and report."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowdistill.data.datasets import dataset_class, entries_to_open
from flowdistill.data.splits import SplitEntry
from flowdistill.formats import write_atomically
from flowdistill.labels.config_file import read_config
from flowdistill.labels.folder import check_folder, labels_folder, read_counts
from flowdistill.labels.job import LabelJob, OpenCheckpoint, open_images, settings_of
from flowdistill.labels.report import draw_report, pool, table, to_json
from flowdistill.labels.statistics import Tally
from flowdistill.labels.writer import keys_to_write

ForEach = Callable[[LabelJob, Sequence[SplitEntry]], object]
"""Runs a job for each entry, on any number of processes."""


@dataclass(frozen=True)
class LabelRun:
    """A split that is ready to be labelled: all checks that need no labelling have passed."""

    job: LabelJob
    entries: list[SplitEntry]
    settings: dict[str, Any]

    def share(self, rank: int, ranks: int) -> list[SplitEntry]:
        """Return the entries for one of several processes."""
        return self.entries[rank::ranks]

    def elsewhere(self) -> list[str]:
        """Return the folders, other than this one, from which lines of the split read labels."""
        own = self.job.folder.relative_to(self.job.root).as_posix()
        return sorted({entry.labels for entry in self.entries if entry.labels is not None} - {own})

    def done(self, entries: Sequence[SplitEntry]) -> list[dict[str, Tally] | None]:
        """Return the counts of each entry, None if its labels are not complete."""
        keys = keys_to_write(self.job.config)
        return [read_counts(self.job.folder, entry, keys) for entry in entries]


def prepare(
    configs: Sequence[Path], root: Path, split: str, output: str, open_checkpoint: OpenCheckpoint
) -> LabelRun:
    """Check the config, the data and the labels' folder; nothing is written before the first sample is ready.

    Args:
        configs: YAML files; later ones take precedence.
        root: the data folder.
        split: a split file, or a word such as scan.
        output: the labels' folder under the root.
        open_checkpoint: see `OpenCheckpoint`.

    Raises:
        UserError: something is wrong with them.
    """
    config = read_config(configs)
    dataset = dataset_class(config.dataset)
    chosen = dataset.chosen_options(config.options)
    entries = entries_to_open(dataset, str(root), split, chosen, config.view)
    found = Path(dataset.find_root(str(root), chosen))
    folder = labels_folder(found, output)
    unique = list({(entry.id, entry.camera): entry for entry in entries}.values())
    open_images(config, found, unique)
    settings = settings_of(config)
    check_folder(folder, settings)
    job = LabelJob(config, json.dumps(settings), found, folder, open_checkpoint)
    return LabelRun(job, unique, settings)


def write_report(run: LabelRun) -> tuple[str, list[Path]]:
    """Write report.json and, if there is ground truth, report.png into the labels' folder.

    Returns:
        the table for the screen, and the files.

    Raises:
        RuntimeError: samples are not complete.
    """
    done = [counts for counts in run.done(run.entries) if counts is not None]
    if len(done) < len(run.entries):
        raise RuntimeError(
            f"{len(run.entries) - len(done)} of {len(run.entries)} samples have no complete labels"
        )
    pooled = pool(done)
    content = json.dumps(to_json(len(done), pooled, run.settings), indent=1, allow_nan=False) + "\n"
    files = [run.job.folder / "report.json"]
    write_atomically(files[0], content.encode())
    picture = draw_report(pooled, f"{run.job.folder.name}: {len(done)} samples")
    if picture is not None:
        files.append(run.job.folder / "report.png")
        write_atomically(files[1], picture)
    return table(pooled), files
