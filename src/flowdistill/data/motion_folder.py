"""A folder of anything, searched for files of flow and disparity, and where what is made of each is to lie."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from flowdistill.data.tree import few
from flowdistill.errors import UserError
from flowdistill.formats import FormatError
from flowdistill.formats.motion import SUFFIXES, NoMotionError, Quantity, inspect_motion


@dataclass
class MotionFolder:
    """What lies in a folder; all paths begin with the folder's, in the order of their names.

    Attributes:
        motions: file -> its quantity.
        unwanted: files of the other quantity than the one asked for.
        others: files that are sound as far as is known, but no motions.
        faults: what is wrong, a text for each file that is damaged and each folder that cannot be listed.
    """

    motions: dict[Path, Quantity] = field(default_factory=dict)
    unwanted: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


@dataclass
class Targets:
    """What is to be made of a folder's motions.

    Attributes:
        jobs: source and target of each.
        present: targets that are there already.
        faults: what is wrong, a text for each.
    """

    jobs: list[tuple[Path, Path]] = field(default_factory=list)
    present: list[Path] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def find_motions(folder: Path, wanted: Quantity | None, output: Path) -> MotionFolder:
    """Searches a folder and those below it by the files' headers.

    Links are followed. Names that begin with a dot are passed over (macOS leaves ._NAME in its archives), and so is the
    folder `output`, which may lie inside.

    Args:
        folder: to search.
        wanted: the quantity to look for; by default both.
        output: what was made of this folder before.

    Raises:
        UserError: there is no such file, and nothing is wrong with any.
    """
    found = MotionFolder()
    for path in _files(folder, (os.path.realpath(output),), found.faults):
        if os.path.exists(path) and not os.path.isfile(path):
            found.others.append(path)  # a pipe: opening it would block
            continue
        try:
            quantity = inspect_motion(path, wanted)
        except NoMotionError:
            found.others.append(path)
        except FormatError as error:
            found.faults.append(str(error))
        else:
            if wanted in (None, quantity):
                found.motions[path] = quantity
            else:
                found.unwanted.append(path)
    if not found.motions and not found.faults:
        what = wanted or "flow or disparity"
        files = [str(path) for path in found.unwanted + found.others]
        looked_at = f"others ({few(files)})" if files else "no file at all"
        raise UserError(
            f"{folder} holds no file of {what} (.flo, .pfm, KITTI's 16-bit .png, .npz), but {looked_at}"
        )
    return found


def plan_targets(found: MotionFolder, folder: Path, output: Path, suffix: str, overwrite: bool) -> Targets:
    """Where what is made of each motion of `folder` lies: under `output`, at the same place, with `suffix`.

    Two sources of one target, and a target that is a file of the folder itself, are faults. What is there already is
    left as it is unless `overwrite`.
    """
    sources: dict[Path, list[Path]] = {}
    for path in found.motions:
        sources.setdefault((output / path.relative_to(folder)).with_suffix(suffix), []).append(path)
    own = {os.path.realpath(path) for path in [*found.motions, *found.unwanted, *found.others]}
    targets = Targets()
    for target, paths in sources.items():
        if len(paths) > 1:
            names = " and ".join(str(path) for path in paths)
            targets.faults.append(f"{names} would both become {target}; move one of them elsewhere")
        elif os.path.realpath(target) in own:
            targets.faults.append(f"{paths[0]}: {target} is a file of {folder}, and is not written over")
        elif os.path.lexists(target) and not overwrite:
            targets.present.append(target)
        else:
            targets.jobs.append((paths[0], target))
    return targets


def check_output_folder(folder: Path, output: Path) -> None:
    """Raises UserError for an output that is the folder itself or a file, or has the name of one."""
    if os.path.realpath(output) == os.path.realpath(folder):
        raise UserError(f"{output} is the folder that is read; name another one for what is made of it")
    if os.path.lexists(output) and not output.is_dir():
        raise UserError(f"{output} is a file, and {folder} a folder; name a folder for what is made of it")
    if output.suffix.lower() in SUFFIXES and not output.is_dir():
        raise UserError(f"{folder} is a folder, and {output} has the name of a file; name a folder")


def check_output_file(path: Path, output: Path, overwrite: bool) -> None:
    """Raises UserError for an output that is the input itself or a folder, or is there and not to be replaced."""
    if os.path.realpath(output) == os.path.realpath(path):
        raise UserError(f"{output} is the file that is read; name another one for what is made of it")
    if output.is_dir():
        raise UserError(f"{output} is a folder; name a file in it, such as {output / path.name}")
    if os.path.lexists(output) and not overwrite:
        raise UserError(f"{output} is there already; --overwrite replaces it")


def _files(folder: Path, above: tuple[str, ...], faults: list[str]) -> Iterator[Path]:
    """The files below a folder; one of the folders `above` (real paths), reached again by a link, is passed over."""
    real = os.path.realpath(folder)
    if real in above:
        return
    try:
        with os.scandir(folder) as items:
            names = sorted(item.name for item in items if not item.name.startswith("."))
    except OSError as error:
        faults.append(f"{folder}: cannot be listed ({error.strerror or error})")
        return
    for name in names:
        path = folder / name
        if os.path.isdir(path):
            yield from _files(path, (*above, real), faults)
        else:
            yield path
