"""Folders of data: whether files are there (by one listing a folder), and the words for what is not."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from flowdistill.errors import UserError

_SHOWN = 4


def listing(folder: str | os.PathLike[str]) -> set[str]:
    """The names in a folder; none if there is no such folder."""
    if not os.path.isdir(folder):
        return set()
    with os.scandir(folder) as items:
        return {item.name for item in items}


class Listings:
    """Answers whether files exist; each folder is listed once, however many of its files are asked for."""

    def __init__(self) -> None:
        self._names: dict[str, set[str]] = {}

    def has(self, path: str) -> bool:
        folder, name = os.path.split(path)
        names = self._names.get(folder)
        if names is None:
            names = self._names[folder] = listing(folder)
        return name in names


def without_gaps(frames: Iterable[int]) -> set[int]:
    """Every number from the first to the last frame of a video: a file that is gone from between is missed by name."""
    frames = set(frames)
    return set(range(min(frames), max(frames) + 1)) if frames else frames


def check_files(folder: Path, names: dict[str, Iterable[str]], what: str, advice: str) -> None:
    """Whether every file is there.

    Args:
        folder: that `names`' folders lie in.
        names: folder -> the names that it must hold.
        what: what the files are, for the message ("images").
        advice: what the user can do, for the message.

    Raises:
        UserError: as `report_missing`.
    """
    wanted = list(
        dict.fromkeys(str(folder / inner / name) for inner, files in names.items() for name in files)
    )
    present = Listings()
    report_missing([path for path in wanted if not present.has(path)], len(wanted), what, advice)


def report_missing(missing: Sequence[str], total: int, what: str, advice: str) -> None:
    """Raise the error for files that are not there, if there are any.

    Args:
        missing: their paths.
        total: how many were looked for.
        what: what the files are ("images").
        advice: what the user can do.

    Raises:
        UserError: saying how many files are missing, which first, and which of their folders do not exist.
    """
    if not missing:
        return
    shown = "".join(f"\n  {path}" for path in missing[:_SHOWN])
    more = f"\n  and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
    absent = [folder for folder in dict.fromkeys(map(os.path.dirname, missing)) if not os.path.isdir(folder)]
    folders = f"\nThere is no folder {few(absent)}." if absent else ""
    raise UserError(f"{len(missing)} of {total} {what} are missing:{shown}{more}{folders}\n{advice}")


def find_root(root: str | os.PathLike[str] | None, title: str, markers: Sequence[str]) -> str:
    """The data folder, after a look whether it holds what every view needs.

    Args:
        root: what the user gave.
        title: of the layout ("KITTI 2015").
        markers: folders under the root of which one must be there.

    Raises:
        UserError: if no root is given, or it is not a folder, or holds none of the markers.
    """
    if root is None or not str(root).strip():
        raise UserError(
            "No data folder is given. Set it with --data.init_args.root DIR or `export DATA_ROOT=DIR`, "
            f"where DIR holds {markers[0]} ({title}'s layout)."
        )
    path = Path(root).expanduser()
    if any((path / marker).is_dir() for marker in markers):
        return str(path)
    if not path.exists():
        found = f"but {path} does not exist (looked from {Path.cwd()})"
    elif not path.is_dir():
        found = f"but {path} is not a folder"
    else:
        found = f"but {path} holds {contents(path)}{_meant(path, markers)}"
    raise UserError(
        f"Looked for {title} in {path / markers[0]}, {found}.\n"
        "Set the data folder with --data.init_args.root DIR or DATA_ROOT=DIR."
    )


def contents(folder: str | os.PathLike[str]) -> str:
    """The first names in a folder, for a message."""
    names = sorted(listing(folder))
    if not names:
        return "nothing" if os.path.isdir(folder) else "nothing, there is no such folder"
    return few(names)


def _meant(path: Path, markers: Sequence[str]) -> str:
    """The folder one level up or down that holds the layout, as a question."""
    path = path.resolve()
    candidates = [*path.parents[:2], *(path / name for name in sorted(listing(path)))]
    for candidate in candidates:
        if any((candidate / marker).is_dir() for marker in markers):
            return f" (did you mean {candidate}?)"
    return ""


def few(names: Sequence[str]) -> str:
    """The first of some names and how many more there are, for a message."""
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
