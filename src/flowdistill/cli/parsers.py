"""Building blocks of the parsers of `flowdistill`."""

from __future__ import annotations

import argparse
import inspect
import re
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


def parse_size(text: str, option: str = "--size", example: str = "256x512") -> tuple[int, int]:
    """Return height and width of `HxW`, such as 256x512.

    Raises UserError, which names the option, for anything else.
    """
    match = re.fullmatch(r"([0-9]{1,5})[x×]([0-9]{1,5})", text.strip())
    if match is None:
        raise UserError(f"{option} is {text!r}; give height x width in pixels, such as {example}")
    return int(match[1]), int(match[2])
