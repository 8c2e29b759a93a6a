"""How wide a table may be."""

from __future__ import annotations

import os
import shutil
import sys


def width() -> int | None:
    """Of the terminal; a pipe or a file takes everything."""
    if sys.stdout.isatty() or "COLUMNS" in os.environ:
        return shutil.get_terminal_size().columns
    return None
