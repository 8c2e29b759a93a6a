"""Whether a submission holds the right files, at the right places, and nothing else."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import PurePosixPath

from flowdistill.evaluation.submission_kinds import SubmissionKind
from flowdistill.evaluation.submission_members import Fault

_JUNK_FILES = {".DS_Store", "Thumbs.db", "desktop.ini"}
_JUNK_FOLDER = "__MACOSX"
_NUMBER = re.compile(r"\d+")


def match_names(names: Sequence[str], kind: SubmissionKind) -> tuple[dict[str, str], list[Fault]]:
    """Expected path -> the file that is there for it, perhaps at a wrong place; and the faults of names.

    A misplaced or misnamed file is one fault, not a missing file and an unexpected one.
    """
    faults: list[Fault] = []
    plain: dict[str, str] = {}  # path with / and without wrapping folder -> path as it is
    for name in names:
        if is_junk(name):
            advice = "remove it (zip -d FILE PATH), or zip with a tool that leaves it out"
            faults.append(Fault(name, "was added by the operating system", advice))
        elif "\\" in name:
            advice = "zip with a tool that writes / between folder and file"
            faults.append(Fault(name, "has a backslash in its path", advice))
            plain[name.replace("\\", "/")] = name
        else:
            plain[name] = name
    wrapper = find_wrapper(plain, kind)
    if wrapper:
        root = "the archive's root" if kind.zipped else "the folder that you name"
        faults.append(
            Fault(f"{wrapper}/", "holds the files one level too deep", f"put what it holds into {root}")
        )
        plain = {path.removeprefix(f"{wrapper}/"): name for path, name in plain.items()}
    found = {path: plain[path] for path in kind.files if path in plain}
    missing = [path for path in kind.files if path not in plain]
    extra = [path for path in plain if path not in kind.files]
    for path, wrong in _pair(missing, extra).items():
        same_name = PurePosixPath(path).name == PurePosixPath(wrong).name
        problem = "lies in a wrong place" if same_name else "has a wrong name"
        faults.append(
            Fault(plain[wrong], problem, "move it" if same_name else "rename it", f"must be {path}")
        )
        found[path] = plain[wrong]
        missing.remove(path)
        extra.remove(wrong)
    if not kind.zipped:  # a bundler takes the folders it is given, whatever lies beside them
        given = {path.partition("/")[0] for path in kind.files}
        extra = [path for path in extra if path.partition("/")[0] in given]
    faults += _missing_faults(missing, kind)
    faults += _extra_faults([plain[path] for path in extra], [plain.get(path, path) for path in found])
    return {path: found[path] for path in kind.files if path in found}, faults


def is_junk(name: str) -> bool:
    """Whether an operating system, not the user, put the file there."""
    path = PurePosixPath(name)
    return _JUNK_FOLDER in path.parts or path.name in _JUNK_FILES or path.name.startswith("._")


def find_wrapper(paths: Iterable[str], kind: SubmissionKind) -> str:
    """The folder that holds what should lie in the root; empty if there is none."""
    prefixes: Counter[str] = Counter()
    for path in paths:
        parts = path.split("/")
        for depth in range(len(parts)):
            if "/".join(parts[depth:]) in kind.files:
                prefixes["/".join(parts[:depth])] += 1
    most = max(prefixes.values(), default=0)
    # On a tie the root is right, and otherwise the shallowest.
    return min((prefix for prefix, count in prefixes.items() if count == most), key=len, default="")


def _pair(missing: Sequence[str], extra: Sequence[str]) -> dict[str, str]:
    """Missing path -> the unexpected one that is surely meant: of its name, or of its number in its folder."""

    def same_name(path: str) -> str:
        return PurePosixPath(path).name

    def same_number(path: str) -> str:
        pure = PurePosixPath(path)
        number = _NUMBER.search(pure.name)
        return f"{pure.parent}/{int(number[0])}" if number else path

    pairs: dict[str, str] = {}
    for key in (same_number, same_name):
        left = [path for path in missing if path not in pairs]
        free = [path for path in extra if path not in pairs.values()]
        pairs |= _unique(left, free, key)
    return pairs


def _unique(left: Sequence[str], free: Sequence[str], key: Callable[[str], str]) -> dict[str, str]:
    by_key: dict[str, tuple[list[str], list[str]]] = {}
    for path in left:
        by_key.setdefault(key(path), ([], []))[0].append(path)
    for path in free:
        by_key.setdefault(key(path), ([], []))[1].append(path)
    return {wanted[0]: there[0] for wanted, there in by_key.values() if len(wanted) == len(there) == 1}


def _missing_faults(missing: Sequence[str], kind: SubmissionKind) -> list[Fault]:
    """One fault a file, or one for a folder of which everything is missing."""
    advice = f"predict it too: {kind.title} has {len(kind.files)} files"
    wanted, absent = _folders(kind.files), _folders(missing)
    gone = {folder for folder, count in absent.items() if count == wanted[folder]}
    faults: list[Fault] = []
    for folder in sorted(gone):
        if not any(str(parent) in gone for parent in PurePosixPath(folder).parents):
            if folder == ".":
                return [Fault("/", "holds none of the expected files", advice, f"the first is {missing[0]}")]
            faults.append(Fault(f"{folder}/", "is missing", advice, f"{absent[folder]} files"))
    for path in missing:
        if not any(str(parent) in gone for parent in PurePosixPath(path).parents):
            faults.append(Fault(path, "is missing", advice))
    return faults


def _extra_faults(extra: Sequence[str], found: Sequence[str]) -> list[Fault]:
    """One fault a file, or one for a folder in which nothing belongs."""
    advice = "remove it"
    kept, there = _folders(found), _folders(extra)
    foreign = {folder for folder in there if folder not in kept and folder != "."}
    faults = []
    for folder in sorted(foreign):
        if not any(str(parent) in foreign for parent in PurePosixPath(folder).parents):
            files = f"{there[folder]} files" if there[folder] > 1 else "1 file"
            faults.append(Fault(f"{folder}/", "does not belong into the submission", advice, files))
    for path in extra:
        if not any(str(parent) in foreign for parent in PurePosixPath(path).parents):
            faults.append(Fault(path, "does not belong into the submission", advice))
    return faults


def _folders(paths: Iterable[str]) -> Counter[str]:
    """Folder -> the number of files below it; `.` is the root."""
    return Counter(str(parent) for path in paths for parent in PurePosixPath(path).parents)
