"""Building blocks of the parsers of `flowdistill`."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

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
