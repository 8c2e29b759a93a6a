"""Check that a submission contains the right files, in the right places, and nothing else."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from dataclasses import replace
from pathlib import PurePosixPath

from flowdistill.data.tree import many
from flowdistill.submission.kinds import SubmissionKind
from flowdistill.submission.members import Fault

_JUNK_FILES = {".DS_Store", "Thumbs.db", "desktop.ini"}
_JUNK_FOLDER = "__MACOSX"
_NUMBER = re.compile(r"\d+")
_OTHER_FRAME = re.compile(r"(\d{6})_(?!10)\d\d\.png")
MISSING = "is missing"


def match_names(names: Sequence[str], kind: SubmissionKind) -> tuple[dict[str, str], list[Fault]]:
    """Return expected path -> its actual file, possibly in the wrong place; and the faults of names.

    A misplaced or misnamed file is one fault, not a missing file and an unexpected one. Many files with the same
    mistake are also one fault.
    """
    faults: list[Fault] = []
    plain: dict[str, str] = {}  # path with / and without wrapping folder -> actual path
    for name in names:
        if is_junk(name):
            advice = "remove it (zip -d FILE PATH), or zip with a tool that does not add it"
            faults.append(Fault(name, "was added by the operating system", advice))
        elif "\\" in name:
            advice = "zip with a tool that writes / between folder and file"
            faults.append(Fault(name, "has a backslash in its path", advice))
            plain[name.replace("\\", "/")] = name
        else:
            plain[name] = name
    wrapper = find_wrapper(plain, kind)
    if wrapper:
        root = "the archive's root" if kind.zipped else "the folder that you give"
        flat = "" if any("/" in path for path in kind.files) else f": {kind.title} has no folders"
        advice = f"move its content to {root}{flat}"
        faults.append(Fault(f"{wrapper}/", "contains the files one level too deep", advice))
        plain = {path.removeprefix(f"{wrapper}/"): name for path, name in plain.items()}
    plain, renamed = _under_one_name(plain, kind)
    faults += renamed
    found = {path: plain[path] for path in kind.files if path in plain}
    missing = [path for path in kind.files if path not in plain]
    extra = [path for path in plain if path not in kind.files]
    pairs = _pair(missing, extra, kind)
    faults += _pair_faults(pairs, plain)
    found |= {path: plain[wrong] for path, wrong in pairs.items()}
    missing = [path for path in missing if path not in pairs]
    meant = set(pairs.values())
    extra = [path for path in extra if path not in meant]
    others = [path for path in extra if kind.zipped and _OTHER_FRAME.sub(r"\1_10.png", path) in kind.files]
    if others:
        more = f"and {len(others) - 1} more" if len(others) > 1 else ""
        faults.append(
            Fault(plain[others[0]], "is not of frame 10, the only one evaluated", "remove it", more)
        )
        extra = [path for path in extra if path not in set(others)]
    if not kind.zipped:  # a bundler only reads the folders it is given
        given = {path.partition("/")[0] for path in kind.files}
        extra = [path for path in extra if path.partition("/")[0] in given]
    faults += _missing_faults(missing, kind)
    faults += _extra_faults([plain[path] for path in extra], [plain.get(path, path) for path in found])
    return {path: found[path] for path in kind.files if path in found}, faults


def _under_one_name(plain: dict[str, str], kind: SubmissionKind) -> tuple[dict[str, str], list[Fault]]:
    """Map files with other accepted names, or numbered from 0, to the names that flowdistill writes."""
    faults = []
    if shifted := _counted_from_zero(plain, kind):
        first = next(iter(shifted))
        folders = {PurePosixPath(path).parent for path in shifted}
        detail = f"must be {shifted[first]}; the same for all files of {len(folders)} folders"
        advice = "increase each number by one, starting with the last file"
        faults.append(Fault(plain[first], "is numbered from 0, but the benchmark from 1", advice, detail))
    renamed: dict[str, str] = {}
    for path, name in plain.items():
        known = shifted.get(path) or kind.other_names.get(path, path)
        if known in renamed:
            detail = f"the other is {renamed[known]}"
            faults.append(Fault(name, "exists under two names", "remove one of the two", detail))
        else:
            renamed[known] = name
    return renamed, faults


def is_junk(name: str) -> bool:
    """Whether the file was added by an operating system, not by the user."""
    path = PurePosixPath(name)
    return _JUNK_FOLDER in path.parts or path.name in _JUNK_FILES or path.name.startswith("._")


def find_wrapper(paths: Iterable[str], kind: SubmissionKind) -> str:
    """Return the folder that contains what belongs in the root; empty if there is none."""
    prefixes: Counter[str] = Counter()
    for path in paths:
        parts = path.split("/")
        for depth in range(len(parts)):
            path = "/".join(parts[depth:])
            if path in kind.files or path in kind.other_names:
                prefixes["/".join(parts[:depth])] += 1
    most = max(prefixes.values(), default=0)
    # On a tie, the root or else the shallowest folder is right.
    return min((prefix for prefix, count in prefixes.items() if count == most), key=len, default="")


def _missing_faults(missing: Sequence[str], kind: SubmissionKind) -> list[Fault]:
    """Return one fault per file, or one for a folder whose files are all missing."""
    advice = f"predict it too: {kind.title} has {len(kind.files)} files"
    wanted, absent = _folders(kind.files), _folders(missing)
    gone = {folder for folder, count in absent.items() if count == wanted[folder]}
    if "." in gone:
        return [Fault("/", "contains none of the expected files", advice, f"the first is {missing[0]}")]
    faults = _faults(missing, gone, MISSING, advice)
    apart = f"{advice}; stereo and flow alone are separate archives"
    return [replace(fault, advice=apart) if fault.file == "disp_1/" else fault for fault in faults]


def _extra_faults(extra: Sequence[str], found: Sequence[str]) -> list[Fault]:
    """Return one fault per file, or one for a folder that contains only unexpected files."""
    foreign = _folders(extra).keys() - _folders(found).keys() - {"."}
    return _faults(extra, foreign, "does not belong in the submission", "remove it")


def _faults(paths: Sequence[str], whole: Set[str], problem: str, advice: str) -> list[Fault]:
    """Return one fault for each of the outermost folders in `whole`, then one per path outside of them."""

    def outside(path: str) -> bool:
        return not any(str(parent) in whole for parent in PurePosixPath(path).parents)

    counts = _folders(paths)
    faults = [
        Fault(f"{folder}/", problem, advice, many(counts[folder], "file"))
        for folder in sorted(whole)
        if outside(folder)
    ]
    return faults + [Fault(path, problem, advice) for path in paths if outside(path)]


def _folders(paths: Iterable[str]) -> Counter[str]:
    """Return folder -> number of files below it; `.` is the root."""
    return Counter(str(parent) for path in paths for parent in PurePosixPath(path).parents)


def _pair(missing: Sequence[str], extra: Sequence[str], kind: SubmissionKind) -> dict[str, str]:
    """Return missing path -> its only matching unexpected path: same name, or same number in the same folder."""

    def same_name(path: str) -> str:
        return PurePosixPath(path).name

    def same_number(path: str) -> str:
        number = _number_of(path, kind)
        return path if number is None else f"{PurePosixPath(path).parent}/{number}"

    pairs: dict[str, str] = {}
    for key in (same_number, same_name):
        taken = set(pairs.values())
        left = _unique([path for path in missing if path not in pairs], key)
        free = _unique([path for path in extra if path not in taken], key)
        pairs |= {path: free[same] for same, path in left.items() if same in free}
    return pairs


def _number_of(path: str, kind: SubmissionKind) -> int | None:
    """Return the number in a file's name: of the scene (the first) for KITTI, of the frame (the last) for Sintel."""
    numbers = _NUMBER.findall(PurePosixPath(path).name)
    return int(numbers[0 if kind.zipped else -1]) if numbers else None


def _counted_from_zero(paths: Collection[str], kind: SubmissionKind) -> dict[str, str]:
    """Return path -> intended path, in folders whose files are complete, but numbered from 0 instead of 1."""
    wanted, there = _by_folder(kind.files, kind), _by_folder(paths, kind)
    meant: dict[str, str] = {}
    for folder, numbers in wanted.items():
        found = there.get(folder, {})
        if 0 not in numbers and set(found) == {number - 1 for number in numbers}:
            meant |= {path: numbers[number + 1] for number, path in found.items()}
    return meant


def _pair_faults(pairs: Mapping[str, str], name_of: Mapping[str, str]) -> list[Fault]:
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
        pure, number = PurePosixPath(path), _number_of(path, kind)
        if number is None or pure.suffix not in suffixes:
            continue
        numbers = folders.setdefault(str(pure.parent), {})
        if number in numbers:
            twice.add(str(pure.parent))
        numbers[number] = path
    return {folder: numbers for folder, numbers in folders.items() if folder not in twice}


def _unique(paths: Sequence[str], key: Callable[[str], str]) -> dict[str, str]:
    """Return key -> path, of the keys that only one path has."""
    counts = Counter(key(path) for path in paths)
    return {key(path): path for path in paths if counts[key(path)] == 1}
