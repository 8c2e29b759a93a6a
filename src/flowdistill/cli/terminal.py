"""Width available for tables."""

from __future__ import annotations

import os
import shutil
import sys


def width() -> int | None:
    """Return the width of the terminal; None for a pipe or a file, which have no limit."""
    if sys.stdout.isatty() or "COLUMNS" in os.environ:
        return shutil.get_terminal_size().columns
    return None
