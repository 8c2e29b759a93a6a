"""Keep log rows in memory while the disk is full, and write them later without duplicates."""

from __future__ import annotations

import os
from pathlib import Path

from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.utilities import rank_zero_only

from flowdistill.data.notes import note
from flowdistill.disk import refusal
from flowdistill.formats import write_atomically
from flowdistill.tracking.csv_rows import as_csv, read_rows


def wait_for_the_disk(logger: CSVLogger) -> None:
    """Make a logger keep rows that cannot be written until the disk has space; prints one note each time it starts."""
    write = logger.save
    failing = False

    def save() -> None:
        nonlocal failing
        if getattr(rank_zero_only, "rank", 0) != 0:
            return  # the first process writes
        experiment = logger.experiment
        file = Path(logger.log_dir, "metrics.csv")
        known = list(experiment.metrics_keys)
        new = {name for row in experiment.metrics for name in row} - set(known)
        size = None
        try:
            if new and file.is_file():
                # Lightning would rewrite the whole file in place: a run killed meanwhile would lose it.
                names = sorted({*known, *new})
                write_atomically(
                    file, as_csv(names, ([row.get(name) for name in names] for row in read_rows(file)))
                )
                experiment.metrics_keys = names
            size = file.stat().st_size if file.is_file() else None
            write()
            failing = False
        except OSError as error:
            reason = refusal(error)
            if reason is None:
                raise
            if size is not None:
                os.truncate(file, size)
            elif not known:
                file.unlink(missing_ok=True)
                experiment.metrics_keys = known
            if not failing:
                note(f"{file}: {reason}. The run continues; its log is kept in memory until there is space.")
            failing = True

    logger.save = save  # type: ignore[method-assign]
