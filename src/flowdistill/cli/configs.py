"""`flowdistill configs`: the configs and splits shipped with flowdistill."""

from __future__ import annotations

import argparse
from pathlib import Path

from flowdistill.cli.output import width
from flowdistill.cli.parsers import Commands, add_command, add_group, add_path
from flowdistill.errors import UserError


def add_parser(commands: Commands) -> None:
    """Add the command group `configs`."""
    about = "list, show and copy the configs and splits shipped with flowdistill"
    configs = add_group(commands, "configs", about)
    listed = add_command(configs, "list", list_configs, "list every config and split with its first line")
    listed.add_argument("below", nargs="?", default="", metavar="FOLDER", help="such as configs/ddflow")
    show = add_command(configs, "show", show_config, "print a file")
    show.add_argument("file", metavar="FILE", help="such as configs/data/kitti.yaml")
    copy = add_command(configs, "copy", copy_configs, "copy a file or a folder here to edit it")
    copy.add_argument("path", metavar="PATH", help="such as configs/sweeps, or configs")
    add_path(copy, "--output", "DIR", "target folder (default: the working directory)", default=Path("."))


def list_configs(options: argparse.Namespace) -> int:
    """Print the names of the files. They work in any folder; a file with the same path in the working directory takes
    precedence.
    """
    from flowdistill.data.shipped import listing, shipped_root

    found = list(listing(options.below))
    if not found:
        raise UserError(
            f"flowdistill has no config below {options.below!r}; `flowdistill configs list` lists all"
        )
    print(f"below {shipped_root()}:")
    longest, whole = max(len(path) for path, _ in found), width()
    for path, text in found:
        line = f"{path:<{longest}}  {text}".rstrip()
        print(line if whole is None or len(line) <= whole else line[: whole - 1] + "…")
    return 0


def show_config(options: argparse.Namespace) -> int:
    """Print a file unchanged."""
    print(_file(options.file).read_text(encoding="utf-8"), end="")
    return 0


def copy_configs(options: argparse.Namespace) -> int:
    """Copy files and print their paths. Files keep their paths below the working directory, where they take precedence
    over the shipped ones. Existing files are not overwritten.
    """
    from flowdistill.data.shipped import listing
    from flowdistill.formats import write_atomically

    wanted = options.path.rstrip("/")
    files = [path for path, _ in listing(wanted) if path == wanted or path.startswith(f"{wanted}/")]
    if not files:
        raise UserError(f"flowdistill has no config {options.path}; `flowdistill configs list` lists all")
    there = [path for path in files if (options.output / path).exists()]
    if there:
        raise UserError(
            f"{options.output / there[0]} exists and is not overwritten; move it away, or set --output"
        )
    for path in files:
        target = options.output / path
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(target, _file(path).read_bytes())
        print(target)
    return 0


def _file(path: str) -> Path:
    from flowdistill.data.shipped import listing, shipped_root

    root = shipped_root()
    if root is None or path not in [name for name, _ in listing(path)]:
        raise UserError(f"flowdistill has no config file {path}; `flowdistill configs list` lists all")
    return root / path
