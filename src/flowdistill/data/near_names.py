"""The folder that was probably meant where the one that a layout names is not there."""

import os
import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from pathlib import Path

_ALIKE = 0.75  # of difflib's ratio: image_clean and images_clean
_LEAST = 4  # letters that a name has in common with the one that it is a part of
# Names of a folder: a data folder holds few, and all those of a disk's root are not worth a search.
_LOOKED_AT = 50


def meant(root: Path, markers: Sequence[str]) -> str:
    """The folder near `root` that holds one of the markers, or nearly does: a question, or "".

    Args:
        root: what the user gave as the data folder.
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
    """The folder whose name is nearly that of one which does not exist: a question, or ""."""
    path = Path(folder).absolute()
    place = next(parent for parent in path.parents if os.path.isdir(parent))
    return _question(place, str(path.relative_to(place)))


def _question(place: Path, wanted: str) -> str:
    """A question for the folder `wanted` under `place`, whose parts may all be called a little differently."""
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
        return f" (did you mean {found}? It must be called {place / wanted})"
    (there, right), *_ = differing
    return f" (did you mean {there}? Rename it to {right.name}, or `ln -s {there.name} {right}`)"


def _nearest(folder: Path, wanted: str) -> str | None:
    alike = {
        path.name: ratio for path in _folders(folder) if (ratio := _likeness(path.name, wanted)) >= _ALIKE
    }
    return max(alike, key=lambda name: alike[name], default=None)


def _likeness(name: str, wanted: str) -> float:
    """0 to 1; numbers must be the same, as in image_02 and image_2."""
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
    """The first folders in a folder; none where it may not be listed: this is a guess, the error is another's."""
    try:
        names = sorted(os.listdir(folder))[:_LOOKED_AT]
    except OSError:
        return
    yield from (folder / name for name in names if os.path.isdir(folder / name))
