"""What the commands of `flowdistill` share: their parsers, checks of their options, and how they print and write."""

from __future__ import annotations

import argparse
import inspect
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from flowdistill.errors import UserError

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_group(
    commands: Commands, name: str, help: str, title: str = "", metavar: str = "COMMAND"
) -> Commands:
    """Add a command that has commands of its own, and return these."""
    group = commands.add_parser(name, help=help)
    return group.add_subparsers(title=title or f"{name} commands", required=True, metavar=metavar)


def add_command(
    commands: Commands, name: str, run: Callable[[argparse.Namespace], int], help: str, **defaults: object
) -> argparse.ArgumentParser:
    """Add a command that calls `run`, whose docstring is the description printed by --help."""
    parser = commands.add_parser(name, help=help, description=inspect.getdoc(run))
    parser.set_defaults(run=run, **defaults)
    return parser


def add_path(parser: argparse.ArgumentParser, name: str, metavar: str | None, help: str, **more: Any) -> None:
    """Add an option or argument that is a path; `more` as for `add_argument`."""
    parser.add_argument(name, metavar=metavar, type=Path, help=help, **more)


def add_number(
    parser: argparse.ArgumentParser, name: str, default: int, help: str, metavar: str | None = "N"
) -> None:
    """Add an integer option."""
    parser.add_argument(name, metavar=metavar, type=int, default=default, help=f"{help} (default: {default})")


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
