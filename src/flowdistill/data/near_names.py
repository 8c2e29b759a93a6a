"""Suggestions for folders that do not exist: similarly named ones."""

import os
import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from pathlib import Path

_ALIKE = 0.75  # of difflib's ratio: image_clean and images_clean
_LEAST = 4  # smallest length of a name that is matched as a part of another
# Limit of names per folder: data folders have few, and searching large other folders would be slow.
_LOOKED_AT = 50


def meant(root: Path, markers: Sequence[str]) -> str:
    """Suggest a folder near `root` that contains one of the markers or a similarly named folder: a question, or "".

    Args:
        root: the data folder given by the user.
        markers: folders under a data folder, such as frames_cleanpass/TRAIN.
    """
    root = root.resolve()
    below = list(_folders(root))
    for place in [*root.parents[:2], *below, *(inner for folder in below for inner in _folders(folder))]:
        if any(os.path.isdir(place / marker) for marker in markers):
            return f" (did you mean {place}?)"
    for place in (root, *below):
        for marker in markers:
            if question := _question(place, marker):
                return question if place == root else f"{question}, with {place} as data folder"
    return ""


def meant_folder(folder: str) -> str:
    """Suggest a folder with a name similar to that of a missing one: a question, or ""."""
    path = Path(folder).absolute()
    place = next(parent for parent in path.parents if os.path.isdir(parent))
    return _question(place, str(path.relative_to(place)))


def _question(place: Path, wanted: str) -> str:
    """Return a question about the folder `wanted` under `place`, allowing for small differences in its name."""
    found, differing = place, list[tuple[Path, Path]]()
    for part in Path(wanted).parts:
        name = part if os.path.isdir(found / part) else _nearest(found, part)
        if name is None:
            return ""
        if name != part:
            differing.append((found / name, found / part))
        found = found / name
    if not differing:
        return ""
    if len(differing) > 1:
        return f" (did you mean {found}? It must be named {place / wanted})"
    (there, right), *_ = differing
    return f" (did you mean {there}? Rename it to {right.name}, or `ln -s {there.name} {right}`)"


def _nearest(folder: Path, wanted: str) -> str | None:
    alike = {
        path.name: ratio for path in _folders(folder) if (ratio := _likeness(path.name, wanted)) >= _ALIKE
    }
    return max(alike, key=lambda name: alike[name], default=None)


def _likeness(name: str, wanted: str) -> float:
    """Similarity from 0 to 1; 0 if the numbers in the names differ (image_02 and image_2 have the same number)."""
    if _numbers(name) != _numbers(wanted):
        return 0.0
    name, wanted = name.casefold(), wanted.casefold()
    shorter, longer = sorted((name, wanted), key=len)
    if len(shorter) >= _LEAST and shorter in longer:
        return 1.0
    return SequenceMatcher(None, name, wanted).ratio()


def _numbers(name: str) -> list[int]:
    return [int(digits) for digits in re.findall(r"\d+", name)]


def _folders(folder: Path) -> Iterator[Path]:
    """Yield the first folders in a folder; none if it cannot be listed, since these are only suggestions."""
    try:
        names = sorted(os.listdir(folder))[:_LOOKED_AT]
    except OSError:
        return
    yield from (folder / name for name in names if os.path.isdir(folder / name))
