"""Data folders: checks for missing files (one listing per folder), and messages about them."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from flowdistill.data.access import NOWHERE, Place, closed, is_folder
from flowdistill.data.near_names import meant, meant_folder
from flowdistill.errors import UserError

_SHOWN = 4


def listing(folder: Place) -> set[str]:
    """Return the names in a folder; none if it does not exist. Raises UserError if it cannot be listed."""
    try:
        with os.scandir(folder) as items:
            return {item.name for item in items}
    except NOWHERE:
        return set()
    except OSError as error:
        raise closed(folder, error) from error


def files_below(folder: Path, on_loop: Callable[[str], object]) -> Iterator[str]:
    """Yield the relative paths, with /, of everything below a folder that is not a folder; links are followed.

    Args:
        folder: to search.
        on_loop: called with the path of a link to one of its own parent folders, which is not followed.

    Raises:
        UserError: if a folder cannot be listed.
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
    """Checks whether files exist, listing each folder only once.

    Raises UserError for a folder that cannot be listed.
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
    """Return all numbers from the first to the last frame, so that a missing frame in between is reported by name."""
    frames = set(frames)
    return set(range(min(frames), max(frames) + 1)) if frames else frames


def check_files(folder: Path, names: dict[str, Iterable[str]], what: str, advice: str) -> None:
    """Check that all files exist.

    Args:
        folder: parent of the folders in `names`.
        names: folder -> the names that it must contain.
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
    """Raise the error for missing files, if there are any.

    Args:
        missing: paths of the missing files.
        total: number of files that were checked.
        what: what the files are ("images").
        advice: what the user can do.

    Raises:
        UserError: with the number of missing files, the first of them, and those of their folders that do not exist.
    """
    if not missing:
        return
    shown = "".join(f"\n  {path}" for path in missing[:_SHOWN])
    more = f"\n  and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
    absent = [folder for folder in dict.fromkeys(map(os.path.dirname, missing)) if not is_folder(folder)]
    folders = f"\nThere is no folder {few(absent)}{meant_folder(absent[0])}." if absent else ""
    raise UserError(f"{len(missing)} of {total} {what} are missing:{shown}{more}{folders}\n{advice}")


def find_root(root: str | os.PathLike[str] | None, title: str, markers: Sequence[str], hint: str = "") -> str:
    """Return the data folder after checking that it contains the folders every view needs.

    Args:
        root: the data folder given by the user.
        title: of the layout ("KITTI 2015").
        markers: folders under the root, at least one of which must exist.
        hint: appended to the message if none exists.

    Raises:
        UserError: if no root is given, it is not a folder, or it contains none of the markers.
    """
    if root is None or not str(root).strip():
        raise UserError(
            "No data folder is given. Set it with --data.init_args.root DIR or `export DATA_ROOT=DIR`, "
            f"where DIR contains {markers[0]} ({title}'s layout)."
        )
    path = Path(root).expanduser()
    if any(is_folder(path / marker) for marker in markers):
        return str(path)
    if is_folder(path):
        found = f"but {path} contains {contents(path)}{meant(path, markers)}{hint}"
    elif path.exists():
        found = f"but {path} is not a folder"
    else:
        found = f"but {path} does not exist (looked from {Path.cwd()})"
    raise UserError(
        f"Looked for {title} in {path / markers[0]}, {found}.\n"
        "Set the data folder with --data.init_args.root DIR or DATA_ROOT=DIR."
    )


def contents(folder: str | os.PathLike[str]) -> str:
    """Return the first names in a folder, for a message."""
    names = sorted(listing(folder))
    if not names:
        return "nothing" if is_folder(folder) else "nothing, there is no such folder"
    return few(names)


def many(number: int, thing: str, things: str | None = None) -> str:
    """Format a number of things for a message: "1 frame", "2 frames"; `things` is an irregular plural."""
    return f"{number} {thing if number == 1 else things or f'{thing}s'}"


def few(names: Sequence[str]) -> str:
    """Format the first names and the number of the others, for a message."""
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
