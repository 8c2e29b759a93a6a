"""Finds flow and disparity files in any folder, and plans the output path of each."""

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
    """Contents of a folder; all paths start with the folder's and are sorted by name.

    Attributes:
        motions: file -> its quantity.
        unwanted: files of a quantity other than the requested one.
        others: files that are not motions, with no known damage.
        faults: an error message for each damaged file and each folder that cannot be listed.
    """

    motions: dict[Path, Quantity] = field(default_factory=dict)
    unwanted: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


@dataclass
class Targets:
    """Planned output files for the motions of a folder.

    Attributes:
        jobs: source and target of each output.
        present: targets that already exist.
        faults: error messages.
    """

    jobs: list[tuple[Path, Path]] = field(default_factory=list)
    present: list[Path] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def find_motions(folder: Path, wanted: Quantity | None, output: Path) -> MotionFolder:
    """Search a folder and its subfolders for motions, reading only the files' headers.

    Links are followed. Names that start with a dot are skipped (macOS writes ._NAME into its archives), and so is the
    folder `output`, which may be inside.

    Args:
        folder: to search.
        wanted: the quantity to look for; by default both.
        output: the output folder of earlier runs.

    Raises:
        UserError: if there are neither motions nor faults.
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
        looked_at = f"others ({few(files)})" if files else "no files at all"
        raise UserError(
            f"{folder} contains no {what} files (.flo, .pfm, KITTI's 16-bit .png, .npz), but {looked_at}"
        )
    return found


def plan_targets(found: MotionFolder, folder: Path, output: Path, suffix: str, overwrite: bool) -> Targets:
    """Plan the output path of each motion of `folder`: the same relative path under `output`, with `suffix`.

    Two sources with the same target, and a target that is a file of the folder itself, are faults. Existing targets are
    kept unless `overwrite` is set.
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
            targets.faults.append(f"{paths[0]}: {target} is a file of {folder}, and is not overwritten")
        elif os.path.lexists(target) and not overwrite:
            targets.present.append(target)
        else:
            targets.jobs.append((paths[0], target))
    return targets


def check_output_folder(folder: Path, output: Path) -> None:
    """Raise UserError for an output that is the folder itself or a file, or has the suffix of one."""
    if os.path.realpath(output) == os.path.realpath(folder):
        raise UserError(f"{output} is the input folder; choose another one for the output")
    if os.path.lexists(output) and not output.is_dir():
        raise UserError(f"{output} is a file, but {folder} is a folder; choose a folder for the output")
    if output.suffix.lower() in SUFFIXES and not output.is_dir():
        raise UserError(f"{folder} is a folder, but {output} has the suffix of a file; choose a folder")


def check_output_file(path: Path, output: Path, overwrite: bool) -> None:
    """Raise UserError for an output that is the input itself or a folder, or exists if `overwrite` is not set."""
    if os.path.realpath(output) == os.path.realpath(path):
        raise UserError(f"{output} is the input file; choose another one for the output")
    if output.is_dir():
        raise UserError(f"{output} is a folder; choose a file in it, such as {output / path.name}")
    if os.path.lexists(output) and not overwrite:
        raise UserError(f"{output} already exists; --overwrite replaces it")


def _files(folder: Path, above: tuple[str, ...], faults: list[str]) -> Iterator[Path]:
    """Yield the files below a folder; links back to one of the folders `above` (real paths) are skipped."""
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
