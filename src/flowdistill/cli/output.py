"""What the commands of `flowdistill` write: files, and tables as wide as the terminal."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

from flowdistill.errors import UserError


def check_output(path: Path | None, option: str) -> None:
    """Raise UserError before any work is done if the file of an option is given and obviously cannot be written."""
    if path is None:
        return
    if path.is_dir():
        raise UserError(f"{option}: {path} is a folder; give a file")
    parent = next(folder for folder in path.absolute().parents if folder.exists())
    if not parent.is_dir():
        raise UserError(f"{option}: cannot write {path}, because {parent} is not a folder")


def write_file(path: Path, content: bytes) -> None:
    """Write a file atomically; its folder is created if needed."""
    from flowdistill.formats import write_atomically

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{path}: cannot create its folder ({error.strerror or error})") from error
    write_atomically(path, content)


def write_json(path: Path, content: object) -> None:
    """Write a JSON file atomically; its folder is created if needed."""
    write_file(path, (json.dumps(content, indent=1, allow_nan=False) + "\n").encode())


def width() -> int | None:
    """Return the width of the terminal; None for a pipe or a file, which have no limit."""
    if sys.stdout.isatty() or "COLUMNS" in os.environ:
        return shutil.get_terminal_size().columns
    return None
