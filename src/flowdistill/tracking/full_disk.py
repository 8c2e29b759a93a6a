"""A log outlives a disk that is full for a while: what could not be written waits, and nothing is there twice."""

from __future__ import annotations

import os
from pathlib import Path

from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.utilities import rank_zero_only

from flowdistill.data.notes import note
from flowdistill.disk import refusal


def wait_for_the_disk(logger: CSVLogger) -> None:
    """Let a logger keep the rows that the disk does not take, until it does; said once each time it begins."""
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
        # With new names Lightning writes the whole file anew; else it appends.
        whole = file.read_bytes() if new and file.is_file() else None
        size = file.stat().st_size if file.is_file() else None
        try:
            write()
            failing = False
        except OSError as error:
            reason = refusal(error)
            if reason is None:
                raise
            experiment.metrics_keys = known
            if whole is not None:
                file.write_bytes(whole)  # takes no more than there was
            elif size is None:
                file.unlink(missing_ok=True)
            else:
                os.truncate(file, size)
            if not failing:
                note(f"{file}: {reason}. The run goes on; its log waits in memory until there is room.")
            failing = True

    logger.save = save  # type: ignore[method-assign]
