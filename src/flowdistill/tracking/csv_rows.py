"""Read and write the rows of CSV files such as a run's metrics.csv."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
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


def as_csv(names: Iterable[str], rows: Iterable[Iterable[Any]]) -> bytes:
    """Format rows below a row of names; None becomes an empty cell."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(names)
    writer.writerows(rows)
    return text.getvalue().encode()
