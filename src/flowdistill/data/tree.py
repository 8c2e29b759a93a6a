"""Folders of data: whether files are there (by one listing a folder), and the words for what is not."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from flowdistill.data.access import NOWHERE, Place, closed, is_folder
from flowdistill.data.near_names import meant, meant_folder
from flowdistill.errors import UserError

_SHOWN = 4


def listing(folder: Place) -> set[str]:
    """The names in a folder; none if there is no such folder. Raises UserError where it may not be listed."""
    try:
        with os.scandir(folder) as items:
            return {item.name for item in items}
    except NOWHERE:
        return set()
    except OSError as error:
        raise closed(folder, error) from error


def files_below(folder: Path, on_loop: Callable[[str], object]) -> Iterator[str]:
    """The paths, with / and relative to a folder, of everything below it that is not a folder; links are followed.

    Args:
        folder: where to look.
        on_loop: called with the path of a link that leads back to a folder that holds it; it is not followed.

    Raises:
        UserError: a folder may not be listed.
    """

    def walk(inner: str, above: frozenset[tuple[int, int]]) -> Iterator[str]:
        for name in sorted(listing(folder / inner)):
            path = f"{inner}/{name}" if inner else name
            if not is_folder(folder / path):
                yield path
                continue
            identity = _identity(folder / path)
            if identity in above:
                on_loop(path)
            else:
                yield from walk(path, above | {identity})

    yield from walk("", frozenset({_identity(folder)}))


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


class Listings:
    """Answers whether files exist; each folder is listed once, however many of its files are asked for.

    Raises UserError for a folder that may not be listed.
    """

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
    absent = [folder for folder in dict.fromkeys(map(os.path.dirname, missing)) if not is_folder(folder)]
    folders = f"\nThere is no folder {few(absent)}{meant_folder(absent[0])}." if absent else ""
    raise UserError(f"{len(missing)} of {total} {what} are missing:{shown}{more}{folders}\n{advice}")


def find_root(root: str | os.PathLike[str] | None, title: str, markers: Sequence[str], hint: str = "") -> str:
    """The data folder, after a look whether it holds what every view needs.

    Args:
        root: what the user gave.
        title: of the layout ("KITTI 2015").
        markers: folders under the root of which one must be there.
        hint: what else to say if none is there.

    Raises:
        UserError: if no root is given, or it is not a folder, or holds none of the markers.
    """
    if root is None or not str(root).strip():
        raise UserError(
            "No data folder is given. Set it with --data.init_args.root DIR or `export DATA_ROOT=DIR`, "
            f"where DIR holds {markers[0]} ({title}'s layout)."
        )
    path = Path(root).expanduser()
    if any(is_folder(path / marker) for marker in markers):
        return str(path)
    if is_folder(path):
        found = f"but {path} holds {contents(path)}{meant(path, markers)}{hint}"
    elif path.exists():
        found = f"but {path} is not a folder"
    else:
        found = f"but {path} does not exist (looked from {Path.cwd()})"
    raise UserError(
        f"Looked for {title} in {path / markers[0]}, {found}.\n"
        "Set the data folder with --data.init_args.root DIR or DATA_ROOT=DIR."
    )


def contents(folder: str | os.PathLike[str]) -> str:
    """The first names in a folder, for a message."""
    names = sorted(listing(folder))
    if not names:
        return "nothing" if is_folder(folder) else "nothing, there is no such folder"
    return few(names)


def many(number: int, thing: str, things: str | None = None) -> str:
    """A number of things, for a message: "1 frame", "2 frames"; `things` where the plural takes more than an s."""
    return f"{number} {thing if number == 1 else things or f'{thing}s'}"


def few(names: Sequence[str]) -> str:
    """The first of some names and how many more there are, for a message."""
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
