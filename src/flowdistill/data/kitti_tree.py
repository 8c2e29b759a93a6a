"""Where KITTI 2015 keeps its files, and whether they are there.

    <root>/training/image_2/SSSSSS_FF.png     left camera (image_3: right), sequence and frame
    <root>/training/{flow,disp}_{occ,noc}...  labels, named as the frame at t0
    <root>/training/calib_cam_to_cam/SSSSSS.txt

Existence is checked by one listing a folder, however many samples a split names.
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path

from flowdistill.data.splits import Camera, SplitEntry
from flowdistill.errors import UserError

IMAGE_FOLDERS: dict[Camera, str] = {"left": "image_2", "right": "image_3"}
_FRAME_ID = re.compile(r"(\d{6})_(\d{2})")
_SHOWN = 4


def frame_of(entry: SplitEntry) -> tuple[str, int]:
    """(sequence, frame) of an id `SSSSSS_FF`.

    Raises:
        UserError: if the id has another form.
    """
    match = _FRAME_ID.fullmatch(entry.id)
    if match is None:
        raise UserError(
            f"{entry.id!r} is no KITTI id: expected sequence and frame as SSSSSS_FF, for example 000000_10. "
            "Check the split file."
        )
    return match[1], int(match[2])


def successor(id_: str) -> str:
    """The id of the next frame: `000000_10` -> `000000_11`."""
    sequence, frame = id_.split("_")
    return f"{sequence}_{int(frame) + 1:02d}"


def training_folder(root: str | Path | None) -> Path:
    """`<root>/training`, after a look whether it holds what every view needs.

    Raises:
        UserError: if no root is given, or it is not a folder, or has no `training` with one of the image
            folders.
    """
    if root is None or not str(root).strip():
        raise UserError(
            "No data folder is given. Set it with --data.init_args.root DIR or `export DATA_ROOT=DIR`, "
            "where DIR holds training/image_2/000000_10.png and so on (KITTI 2015's layout)."
        )
    root = Path(root).expanduser()
    training = root / "training"
    if any((training / folder).is_dir() for folder in IMAGE_FOLDERS.values()):
        return training
    looked_for = f"Looked for KITTI 2015 images in {training / 'image_2'}"
    if not root.exists():
        found = f"but {root} does not exist (looked from {Path.cwd()})"
    elif not root.is_dir():
        found = f"but {root} is not a folder"
    elif (root / "image_2").is_dir():
        parent = root.resolve().parent
        meant = f" (did you mean {parent}?)" if root.resolve().name == "training" else ""
        found = (
            f"but image_2 lies in {root} itself; the root holds a folder `training` that holds image_2{meant}"
        )
    else:
        place = training if training.is_dir() else root
        found = f"but {place} holds {_contents(place)}"
    raise UserError(
        f"{looked_for}, {found}.\nSet the data folder with --data.init_args.root DIR or DATA_ROOT=DIR."
    )


def listing(folder: Path) -> set[str]:
    """The names in a folder; none if there is no such folder."""
    if not folder.is_dir():
        return set()
    with os.scandir(folder) as items:
        return {item.name for item in items}


def check_files(training: Path, names: dict[str, Iterable[str]], what: str, advice: str) -> None:
    """Whether every file is there.

    Args:
        training: the folder that `names`' folders lie in.
        names: folder -> the names that it must hold.
        what: what the files are, for the message ("images").
        advice: what the user can do, for the message.

    Raises:
        UserError: saying how many files are missing, and which first.
    """
    missing: list[Path] = []
    total = 0
    for folder, wanted in names.items():
        present = listing(training / folder)
        for name in dict.fromkeys(wanted):
            total += 1
            if name not in present:
                missing.append(training / folder / name)
    if not missing:
        return
    shown = "".join(f"\n  {path}" for path in missing[:_SHOWN])
    more = f"\n  and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
    absent = [folder for folder in names if not (training / folder).is_dir()]
    folders = f"\nThere is no folder {', '.join(absent)} in {training}." if absent else ""
    raise UserError(f"{len(missing)} of {total} {what} are missing:{shown}{more}{folders}\n{advice}")


def scan(root: str | Path | None, camera: Camera = "left") -> list[SplitEntry]:
    """Every frame of one camera that has a successor, in order: a split for frames that come without one.

    Raises:
        UserError: as `training_folder`, or if there is no such pair.
    """
    folder = training_folder(root) / IMAGE_FOLDERS[camera]
    ids = {name[:-4] for name in listing(folder) if name.endswith(".png") and _FRAME_ID.fullmatch(name[:-4])}
    entries = [SplitEntry(id_, camera) for id_ in sorted(ids) if successor(id_) in ids]
    if not entries:
        raise UserError(
            f"{folder} holds no pair of frames, but {_contents(folder)}. Frames are named SSSSSS_FF.png "
            "(sequence, frame), a pair is two that follow each other: 000000_10.png and 000000_11.png."
        )
    return entries


def _contents(folder: Path) -> str:
    names = sorted(listing(folder))
    if not names:
        return "nothing" if folder.is_dir() else "nothing, there is no such folder"
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
