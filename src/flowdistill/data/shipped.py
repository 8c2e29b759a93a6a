"""Configs and splits shipped with flowdistill: found from any working directory, in a checkout or installed package.

A path such as configs/data/kitti.yaml or data_splits/kitti_40.txt is looked up in the working directory first. In the
wheel both folders are inside the package; in a checkout they are the repository's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

import flowdistill
from flowdistill.data.notes import note
from flowdistill.errors import UserError

FOLDERS = ("configs", "data_splits")
_COMPOSE = re.compile(r"^compose\s*:", re.MULTILINE)
_said: set[Path] = set()


def shipped_root() -> Path | None:
    """Return the folder that contains `configs` and `data_splits` of this flowdistill."""
    package = Path(flowdistill.__file__).resolve().parent
    places = (package, package.parents[1])  # of the wheel, of a checkout (src/flowdistill)
    return next((place for place in places if all((place / name).is_dir() for name in FOLDERS)), None)


def find(path: str | Path) -> Path:
    """Return the path itself, or that of the shipped file of this name, which is printed once.

    Args:
        path: relative paths that begin with `configs` or `data_splits` are looked up in both places.

    Returns:
        The path as given if it exists or if nothing is found: opening it then raises the error.

    Examples:
        >>> find("data_splits/kitti_40.txt").name
        'kitti_40.txt'
    """
    given = Path(path)
    root = shipped_root()
    if (
        given.is_absolute()
        or given.parts[:1] not in [(name,) for name in FOLDERS]
        or root is None
        or _there(given)
    ):
        return given
    own = root / given
    if not own.is_file():
        return given
    if own not in _said:
        _said.add(own)
        note(f"{given}: taken from {own}")
    return own


def expand(path: str | Path) -> list[Path]:
    """Return the files of a config: those that an experiment composes, in their order, else the file itself.

    An experiment (configs/experiment/) has one key, `compose`: a list of configs, equivalent to as many `--config`.

    Raises:
        UserError: if it has other keys, or composes another experiment.
    """
    file = find(path)
    if file.suffix not in (".yaml", ".yml") or not file.is_file():
        return [file]
    try:
        text = file.read_text(encoding="utf-8")
        content = yaml.safe_load(text) if _COMPOSE.search(text) else None
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return [file]  # reading it raises the error
    if not isinstance(content, dict) or "compose" not in content:
        return [file]
    names = content["compose"]
    if (
        set(content) != {"compose"}
        or not isinstance(names, list)
        or not all(isinstance(name, str) for name in names)
    ):
        raise UserError(
            f"{path}: a config that composes others must contain `compose: [FILE, ...]` and nothing else"
        )
    for name in names:
        if expand(name) != [find(name)]:
            raise UserError(
                f"{path}: compose lists {name}, which composes other files: list those files instead"
            )
    return [find(name) for name in names]


def in_words(words: Sequence[str]) -> list[str]:
    """Return a command line with its `--config` values resolved and experiments expanded."""
    found: list[str] = []
    after = False
    for word in words:
        if after:
            found += [part for file in expand(word) for part in ("--config", str(file))][1:]
        elif word.startswith("--config="):
            found += [f"--config={file}" for file in expand(word.removeprefix("--config="))]
        else:
            found.append(word)
        after = word == "--config" and not after
    return found


def listing(below: str = "") -> Iterator[tuple[str, str]]:
    """Yield path and first comment of every shipped config and split below a folder."""
    root = shipped_root()
    for name in FOLDERS if root is not None else ():
        assert root is not None
        for file in sorted((root / name).rglob("*")):
            shown = file.relative_to(root).as_posix()
            if file.is_file() and file.suffix in (".yaml", ".txt") and shown.startswith(below):
                with file.open(encoding="utf-8") as opened:
                    first = opened.readline()
                yield shown, first.lstrip("# ").strip() if first.startswith("#") else ""


def _there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False
