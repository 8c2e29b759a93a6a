"""Read and write the rows of a run's metrics.csv."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any


def read_rows(file: Path) -> list[dict[str, str]]:
    """Read the rows of a file that a process may be writing: an incomplete last line is ignored.

    Raises:
        OSError: it cannot be read.
    """
    with file.open(encoding="utf-8", errors="replace", newline="") as opened:
        whole = opened.read().rpartition("\n")[0]
    return list(csv.DictReader(io.StringIO(whole, newline="")))


def as_csv(names: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> bytes:
    """Format the columns of these names; a cell is empty where a row lacks a name."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, names, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
