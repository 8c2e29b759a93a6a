"""Match unexpected files of a submission to missing ones, with one fault for each repeated mistake."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import PurePosixPath

from flowdistill.submission.kinds import SubmissionKind
from flowdistill.submission.members import Fault

_NUMBER = re.compile(r"\d+")
_OTHER_FRAME = re.compile(r"(\d{6})_(?!10)\d\d\.png")


def pair(missing: Sequence[str], extra: Sequence[str], kind: SubmissionKind) -> dict[str, str]:
    """Return missing path -> its only matching unexpected path: same name, or same number in the same folder."""

    def same_name(path: str) -> str:
        return PurePosixPath(path).name

    def same_number(path: str) -> str:
        number = number_of(path, kind)
        return path if number is None else f"{PurePosixPath(path).parent}/{number}"

    pairs: dict[str, str] = {}
    for key in (same_number, same_name):
        left = [path for path in missing if path not in pairs]
        taken = set(pairs.values())
        pairs |= _unique(left, [path for path in extra if path not in taken], key)
    return pairs


def number_of(path: str, kind: SubmissionKind) -> int | None:
    """Return the number in a file's name: of the scene (the first) for KITTI, of the frame (the last) for Sintel."""
    numbers = _NUMBER.findall(PurePosixPath(path).name)
    return int(numbers[0 if kind.zipped else -1]) if numbers else None


def counted_from_zero(paths: Collection[str], kind: SubmissionKind) -> dict[str, str]:
    """Return path -> intended path, in folders whose files are complete, but numbered from 0 instead of 1."""
    wanted, there = _by_folder(kind.files, kind), _by_folder(paths, kind)
    meant: dict[str, str] = {}
    for folder, numbers in wanted.items():
        found = there.get(folder, {})
        if 0 not in numbers and set(found) == {number - 1 for number in numbers}:
            meant |= {path: numbers[number + 1] for number, path in found.items()}
    return meant


def pair_faults(pairs: Mapping[str, str], name_of: Mapping[str, str]) -> list[Fault]:
    """Return faults of misplaced or misnamed files; one for all files of a folder or of the same name pattern.

    Args:
        pairs: missing path -> path that is intended for it.
        name_of: the latter -> its name in the submission.
    """
    groups: dict[tuple[str, ...], list[tuple[str, str]]] = {}
    for wanted, wrong in pairs.items():
        right, there = PurePosixPath(wanted), PurePosixPath(wrong)
        if right.name == there.name:
            key = ("place", str(there.parent), str(right.parent))
        else:
            key = ("name", _NUMBER.sub("#", there.name), _NUMBER.sub("#", right.name))
        groups.setdefault(key, []).append((wanted, wrong))
    faults = []
    for (mistake, *_), found in groups.items():
        wanted, wrong = found[0]
        name, more = name_of[wrong], f", and {len(found) - 1} more of the same kind" if len(found) > 1 else ""
        if mistake == "name":
            faults.append(Fault(name, "has the wrong name", "rename it", f"must be {wanted}{more}"))
        elif len(found) == 1:
            faults.append(Fault(name, "is in the wrong place", "move it", f"must be {wanted}"))
        else:
            faults.append(_folder_fault(wanted, wrong, name, len(found)))
    return faults


def other_frames(extra: Sequence[str], kind: SubmissionKind) -> list[str]:
    """Return the files of KITTI's scenes whose frame is not the evaluated one."""
    if not kind.zipped:
        return []
    return [path for path in extra if _OTHER_FRAME.sub(r"\1_10.png", path) in kind.files]


def _folder_fault(wanted: str, wrong: str, name: str, count: int) -> Fault:
    right, there = PurePosixPath(wanted).parent, PurePosixPath(wrong).parent
    place = f"{PurePosixPath(name).parent}/".removeprefix("./") or "/"
    if str(there) == ".":
        advice = f"move them to a folder {right}"
    elif right.parent == there.parent:
        advice = f"rename the folder to {right.name}"
    else:
        advice = f"move them to {right}/"
    detail = f"{count} files: {name} must be {wanted}, etc."
    return Fault(place, "contains files that belong in another folder", advice, detail)


def _by_folder(paths: Collection[str], kind: SubmissionKind) -> dict[str, dict[int, str]]:
    """Return folder -> number -> path, of files with the kind's suffix; folders with a repeated number are skipped."""
    suffixes = {PurePosixPath(path).suffix for path in kind.files}
    folders: dict[str, dict[int, str]] = {}
    twice: set[str] = set()
    for path in paths:
        pure, number = PurePosixPath(path), number_of(path, kind)
        if number is None or pure.suffix not in suffixes:
            continue
        numbers = folders.setdefault(str(pure.parent), {})
        if number in numbers:
            twice.add(str(pure.parent))
        numbers[number] = path
    return {folder: numbers for folder, numbers in folders.items() if folder not in twice}


def _unique(left: Sequence[str], free: Sequence[str], key: Callable[[str], str]) -> dict[str, str]:
    by_key: dict[str, tuple[list[str], list[str]]] = {}
    for path in left:
        by_key.setdefault(key(path), ([], []))[0].append(path)
    for path in free:
        by_key.setdefault(key(path), ([], []))[1].append(path)
    return {wanted[0]: there[0] for wanted, there in by_key.values() if len(wanted) == len(there) == 1}
