"""Cached scans of large directory trees, invalidated when the tree changes.

A cache is a JSON file with the ids and remarks of the scan, and the modification time of every folder and file that it
read. Adding, removing or renaming a file changes the time of its folder, so comparing these times (one `stat` per
folder) shows whether a new scan would give the same result.
"""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

from tqdm import tqdm

from flowdistill.data.access import NOWHERE, closed, is_file
from flowdistill.data.notes import note
from flowdistill.data.tree import listing
from flowdistill.formats import FormatError, write_atomically

_VERSION = 3


class Scan:
    """Lists folders and reads files under a root, and records their modification times.

    `remarks` are messages to the user, which are cached with the ids and printed again.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self.stamps: dict[str, int | None] = {}
        self.remarks: list[str] = []

    def listing(self, folder: str) -> list[str]:
        """Return the sorted names in a folder of the root; none if it does not exist."""
        self.stamps[folder] = _stamp(self.root, folder)
        return sorted(listing(os.path.join(self.root, folder)))

    def is_there(self, folder: str) -> bool:
        """Whether a folder that was listed exists."""
        return self.stamps[folder] is not None

    def lines(self, file: str) -> list[str]:
        """Return the lines of a text file of the root; none if it does not exist."""
        self.stamps[file] = _stamp(self.root, file)
        path = Path(self.root, file)
        if not is_file(path):
            return []
        try:
            return path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError as error:
            raise closed(path, error) from error


def cached_ids(root: str, key: str, find: Callable[[Scan], list[str]]) -> list[str]:
    """Return the ids that `find` finds under `root`, from a cache if the tree is unchanged; prints which, on stderr.

    The cache is `<root>/.flowdistill/<key>.json`, or, if the root is not writable,
    `$XDG_CACHE_HOME/flowdistill/<hash of the root>-<key>.json` (`~/.cache/flowdistill`).
    """
    places = cache_places(root, f"{key}.json")
    for path in places:
        if (content := _read(root, path)) is not None:
            ids, remarks = content
            how = f"as scanned before ({path}); the tree has not changed since"
            break
    else:
        scan = Scan(root)
        ids, remarks = find(scan), scan.remarks
        if not ids:
            return ids
        written = _write(places, {"version": _VERSION, "stamps": scan.stamps, "ids": ids, "remarks": remarks})
        kept = f"cached in {written}" if written else "but not cached: no folder for the cache can be written"
        how = f"scanned now, {kept}"
    for text in (f"{key}: {len(ids)} pairs in {root}, {how}", *remarks):
        note(text)
    return ids


def cache_places(root: str, name: str) -> list[Path]:
    """Return the possible cache locations for a data folder, preferred first: inside it, or in the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    digest = hashlib.sha256(os.fsencode(os.path.realpath(root))).hexdigest()[:16]
    return [Path(root, ".flowdistill", name), cache / "flowdistill" / f"{digest}-{name}"]


def _read(root: str, path: Path) -> tuple[list[str], list[str]] | None:
    """Return the ids and remarks of a cache, or None if it is missing, invalid or out of date."""
    try:
        stored = json.loads(path.read_bytes())
        if stored["version"] != _VERSION:
            return None
        stamps, ids, remarks = stored["stamps"], stored["ids"], stored["remarks"]
        # Thousands of folders take a while on a network disk.
        for place, stamp in tqdm(stamps.items(), desc="folders unchanged", unit="folder", delay=2):
            if _stamp(root, place) != stamp:
                return None
        return [str(id_) for id_ in ids], [str(remark) for remark in remarks]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # missing or invalid: scan again


def _write(places: list[Path], content: dict[str, object]) -> Path | None:
    """Write the cache to the first writable place and return its path, or None."""
    text = json.dumps(content).encode()
    for path in places:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, text)
        except (OSError, FormatError):
            continue
        return path
    return None


def _stamp(root: str, place: str) -> int | None:
    """Return the modification time of a folder or file, ns; None if it does not exist."""
    path = os.path.join(root, place)
    try:
        return os.stat(path).st_mtime_ns
    except NOWHERE:
        return None
    except OSError as error:
        raise closed(path, error) from error
