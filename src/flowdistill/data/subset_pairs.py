"""Finds consecutive frames in FlyingThings3D's subset.

The subset numbers the frames of all scenes consecutively, so scene boundaries cannot be derived from the numbers. Two
frames are a pair if the first has flow into the future and, if that folder exists, the second has flow into the past:
at the end of some scenes only one of the two exists. Both images must exist, too.

A few pairs without files are scene ends; many indicate an incompletely unpacked folder.
"""

import os
from collections.abc import Callable, Collection, Sequence, Set

from flowdistill.data.notes import note
from flowdistill.data.pictures import Pictures, frames_of
from flowdistill.data.scan_cache import Scan
from flowdistill.data.splits import CAMERAS, Camera
from flowdistill.data.tree import Listings, few, listing
from flowdistill.errors import UserError

# Above these limits, missing files cannot be scene ends. A scene has at most ten frames.
_MOST_IN_A_ROW = 8
_MOST_SHARE, _LEAST_COUNTED = 1 / 3, 3
_ADVICE = "Unpack its archive again (`flowdistill data tree things_subset`)"


def flow_folders(part: str, camera: Camera) -> tuple[str, str]:
    """Return the folders, under the root, of flow into the future and into the past."""
    return f"{part}/flow/{camera}/into_future", f"{part}/flow/{camera}/into_past"


def pairs_by_flow(part: str, scan: Scan) -> list[str]:
    """Return the ids of a part's pairs, from the left camera's flow; omitted pairs are added to the scan's remarks.

    Raises:
        UserError: if one of the two folders is incomplete.
    """
    future, past = flow_folders(part, "left")
    first = _numbers(scan.listing(future), ".flo")
    second = {number - 1 for number in _numbers(scan.listing(past), ".flo")}
    if first and scan.is_there(past):
        everything = first | second
        without = f"{_ADVICE}, or move it away to train without its labels"
        scan.remarks += left_out(scan.root, past, first - second, everything, 1, ".flo", without)
        scan.remarks += left_out(scan.root, future, second - first, everything, 0, ".flo", _ADVICE)
        first &= second
    return [f"{part}/{number:07d}" for number in sorted(first)]


def up_to_the_last_picture(root: str, part: str, pictures: Pictures, ids: Sequence[str]) -> list[str]:
    """Return the pairs of a part whose second frame is not after the last image; prints how many are left out.

    Args:
        root: the data folder.
        part: train or val.
        pictures: the images that are read.
        ids: of the pairs.

    Raises:
        UserError: if the images are incomplete.
    """
    place = f"{part}/{pictures.folder}"
    names = (listing(f"{root}/{place}/{camera}") for camera in CAMERAS)
    there = set[int]().union(*(_numbers(found, pictures.suffix) for found in names))
    last = max(there, default=None)
    return _kept(root, f"{place}/left", pictures, ids, 1, lambda number: last is None or number <= last)


def with_pictures(root: str, pictures: Pictures, ids: Sequence[str], cameras: Sequence[Camera]) -> list[str]:
    """Return the pairs of all parts whose images exist; prints how many are left out.

    Args:
        root: the data folder.
        pictures: the images that are read.
        ids: of the pairs.
        cameras: the cameras whose images must exist.

    Raises:
        UserError: if the images are incomplete.
    """
    kept: list[str] = []
    for part in dict.fromkeys(_part(id_) for id_ in ids):
        left = [id_ for id_ in ids if _part(id_) == part]
        for camera in cameras:
            place = f"{part}/{pictures.folder}/{camera}"
            there = _numbers(listing(f"{root}/{place}"), pictures.suffix)
            for shift in (0, 1):
                left = _kept(root, place, pictures, left, shift, there.__contains__)
        kept += left
    return kept


def _kept(
    root: str, place: str, pictures: Pictures, ids: Sequence[str], shift: int, is_there: Callable[[int], bool]
) -> list[str]:
    """Return the pairs for which the image of one frame exists: the first frame with shift 0, the second with 1."""
    frames = {_frame(id_) for id_ in ids}
    absent = {frame for frame in frames if not is_there(frame + shift)}
    for remark in left_out(root, place, absent, frames, shift, pictures.suffix, _ADVICE):
        note(remark)
    return [id_ for id_ in ids if _frame(id_) not in absent]


def _part(id_: str) -> str:
    return id_.partition("/")[0]


def _frame(id_: str) -> int:
    return int(id_.partition("/")[2])


def left_out(
    root: str, folder: str, absent: Set[int], frames: Set[int], shift: int, suffix: str, advice: str
) -> list[str]:
    """Return the message about pairs left out because one of their files is missing; an empty list if there are none.

    Raises:
        UserError: if there are too many, or too many in a row, to be scene ends.
    """
    if not absent:
        return []
    numbers = sorted(absent)
    names = few([f"{number + shift:07d}{suffix}" for number in numbers])
    row = _longest_row(numbers)
    many = len(absent) >= _LEAST_COUNTED and len(absent) > _MOST_SHARE * len(frames)
    if many or row > _MOST_IN_A_ROW or len(absent) == len(frames):
        raise UserError(
            f"{os.path.join(root, folder)} is incomplete: {len(absent)} of {len(frames)} pairs have no file there, "
            f"{row} of them in a row; the first missing one is {folder}/{numbers[0] + shift:07d}{suffix}. {advice}."
        )
    reason = ", as at the end of a scene" if suffix == ".flo" else ""
    ids = few([f"{_part(folder)}/{number:07d}" for number in numbers])
    return [
        f"things_subset: {len(absent)} of {len(frames)} pairs left out ({ids}): {folder} has no {names}{reason}"
    ]


def no_pair(root: str, part: str, frame: int, camera: Camera, present: Listings) -> str | None:
    """Return the reason why, from the flow files present, a frame and the next are not a pair; None if they are.

    The camera's own folders are used, or those of the left camera if it has none. A flow that is missing in one
    direction only is a missing label if it is the flow into the future, and a scene end if it is that into the past.
    """
    if not present.has(f"{root}/{part}/flow/{camera}"):
        camera = "left"
    future, past = flow_folders(part, camera)
    forward = _holds(root, future, f"{frame:07d}.flo", present)
    backward = _holds(root, past, f"{frame + 1:07d}.flo", present)
    if backward is False:
        lacking, name = past, f"{frame + 1:07d}.flo"
    elif backward is None and forward is False:
        lacking, name = future, f"{frame:07d}.flo"
    else:
        return None
    return (
        f"{lacking} has no {name}, as at the end of a scene. Remove the line, or complete that folder. `flowdistill "
        "data check --exclude-to FILE` lists such lines for --data.init_args.exclude FILE."
    )


def _holds(root: str, folder: str, name: str, present: Listings) -> bool | None:
    """Whether a folder contains a file; None if the folder does not exist."""
    return present.has(f"{root}/{folder}/{name}") if present.has(f"{root}/{folder}") else None


def _numbers(names: Collection[str], suffix: str) -> set[int]:
    return {int(number) for number in frames_of(names, suffix, 7)}


def _longest_row(numbers: list[int]) -> int:
    """Return the length of the longest run of consecutive numbers; `numbers` is sorted."""
    longest = length = 0
    for position, number in enumerate(numbers):
        length = length + 1 if position and number == numbers[position - 1] + 1 else 1
        longest = max(longest, length)
    return longest
