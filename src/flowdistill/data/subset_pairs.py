"""Which frames of FlyingThings3D's subset follow each other.

The subset numbers the frames of all scenes in one count, so a number says nothing about its scene. Two frames are a
pair where the first has flow into the future and, where that folder is there, the second has flow into the past: at
some scenes' ends only one of the two lies there. Both pictures must be there, too.

A few pairs that fall out are what scenes' ends are; many are a folder that was not unpacked as a whole.
"""

import os
from collections.abc import Callable, Collection, Sequence, Set

from flowdistill.data.notes import note
from flowdistill.data.pictures import Pictures, frames_of
from flowdistill.data.scan_cache import Scan
from flowdistill.data.splits import CAMERAS, Camera
from flowdistill.data.tree import Listings, few, listing
from flowdistill.errors import UserError

# Beyond these it cannot be scenes' ends. A scene has ten frames at most.
_MOST_IN_A_ROW = 8
_MOST_SHARE, _LEAST_COUNTED = 1 / 3, 3
_ADVICE = "Unpack its archive again (`flowdistill data tree things_subset`)"


def flow_folders(part: str, camera: Camera) -> tuple[str, str]:
    """The folders, under the root, of flow into the future and into the past."""
    return f"{part}/flow/{camera}/into_future", f"{part}/flow/{camera}/into_past"


def pairs_by_flow(part: str, scan: Scan) -> list[str]:
    """The ids of a part's pairs, by the flow of the left camera; what falls out is a remark of the scan.

    Raises:
        UserError: one of the two folders is not there as a whole.
    """
    future, past = flow_folders(part, "left")
    first = _numbers(scan.listing(future), ".flo")
    second = {number - 1 for number in _numbers(scan.listing(past), ".flo")}
    if first and scan.is_there(past):
        everything = first | second
        without = f"{_ADVICE}, or move it away to do without its labels"
        scan.remarks += left_out(scan.root, past, first - second, everything, 1, ".flo", without)
        scan.remarks += left_out(scan.root, future, second - first, everything, 0, ".flo", _ADVICE)
        first &= second
    return [f"{part}/{number:07d}" for number in sorted(first)]


def up_to_the_last_picture(root: str, part: str, pictures: Pictures, ids: Sequence[str]) -> list[str]:
    """Those of a part's pairs whose second frame does not come after the last picture of all; says how many do.

    Args:
        root: the data folder.
        part: train or val.
        pictures: that are read.
        ids: of the pairs.

    Raises:
        UserError: the pictures are not there as a whole.
    """
    place = f"{part}/{pictures.folder}"
    names = (listing(f"{root}/{place}/{camera}") for camera in CAMERAS)
    there = set[int]().union(*(_numbers(found, pictures.suffix) for found in names))
    last = max(there, default=None)
    return _kept(root, f"{place}/left", pictures, ids, 1, lambda number: last is None or number <= last)


def with_pictures(root: str, pictures: Pictures, ids: Sequence[str], cameras: Sequence[Camera]) -> list[str]:
    """Those of the pairs of all parts whose pictures are there; says how many have not all.

    Args:
        root: the data folder.
        pictures: that are read.
        ids: of the pairs.
        cameras: whose pictures there must be.

    Raises:
        UserError: the pictures are not there as a whole.
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
    """The pairs of which one frame's picture is there: the first frame's with shift 0, the second's with 1."""
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
    """The words for pairs that are left out because a file of theirs is not in a folder; none if there are none.

    Raises:
        UserError: they are too many, or too many in a row, for the ends of scenes.
    """
    if not absent:
        return []
    numbers = sorted(absent)
    names = few([f"{number + shift:07d}{suffix}" for number in numbers])
    row = _longest_row(numbers)
    many = len(absent) >= _LEAST_COUNTED and len(absent) > _MOST_SHARE * len(frames)
    if many or row > _MOST_IN_A_ROW or len(absent) == len(frames):
        raise UserError(
            f"{os.path.join(root, folder)} is not complete: {len(absent)} of {len(frames)} pairs have no file there, "
            f"{row} of them in a row; the first would be {folder}/{numbers[0] + shift:07d}{suffix}. {advice}."
        )
    reason = ", as where a scene ends" if suffix == ".flo" else ""
    ids = few([f"{_part(folder)}/{number:07d}" for number in numbers])
    return [
        f"things_subset: {len(absent)} of {len(frames)} pairs left out ({ids}): {folder} holds no {names}{reason}"
    ]


def no_pair(root: str, part: str, frame: int, camera: Camera, present: Listings) -> str | None:
    """Why, by the flow that is there, a frame and the next one are not a pair; None if they are.

    The camera's own folders decide, or the left camera's where it has none. A flow that is missing in one
    direction only is a lost label if it leads into the future, and a scene's end if it leads into the past.
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
        f"{lacking} holds no {name}, as where a scene ends. Remove the line, or complete that folder. `flowdistill "
        "data check --exclude-to FILE` lists such lines for --data.init_args.exclude FILE."
    )


def _holds(root: str, folder: str, name: str, present: Listings) -> bool | None:
    """Whether a folder holds a file; None if there is no such folder."""
    return present.has(f"{root}/{folder}/{name}") if present.has(f"{root}/{folder}") else None


def _numbers(names: Collection[str], suffix: str) -> set[int]:
    return {int(number) for number in frames_of(names, suffix, 7)}


def _longest_row(numbers: list[int]) -> int:
    """How many of sorted numbers follow each other at most."""
    longest = length = 0
    for position, number in enumerate(numbers):
        length = length + 1 if position and number == numbers[position - 1] + 1 else 1
        longest = max(longest, length)
    return longest
