"""Groups the file names of a folder into sequences, in frame order, and files by camera (`StereoNames`).

A sequence consists of files whose names differ only in one number, the frame number: `000000_00.png` and
`000000_01.png`, but not `000001_00.png`; `left0001.png`, but not `right0001.png`. The frame number is

1. a date with a time of day (`20210131_235959`, `2021-01-31 23.59.59.250`), or seconds since 1970 with decimals
   (`1305031102.175304`), if no number follows: all its digits;
2. else the last number that is not adjacent to a letter or digit (`frame_0001_720p`: 0001);
3. else the last number that differs among names that are equal except for digits (`frame0001v2`, `frame0002v2`: 0001).

Files without any number form one sequence in natural order. Suffixes are ignored.
"""

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import pairwise

_DIGITS = re.compile(r"[0-9]+")
_ALONE = re.compile(r"(?<![^\W_])[0-9]+(?![^\W_])")
# Date and time of day; a name may contain them with or without separators.
_MOMENT = re.compile(
    r"(?<![0-9])(?:19|20)\d\d([-_.]?)(?:0[1-9]|1[0-2])\1(?:0[1-9]|[12]\d|3[01])"  # date
    r"(?:[-_T .]|[ _]at[ _])?"
    r"(?:[01]\d|2[0-3])([-_.]?)[0-5]\d\2[0-5]\d"  # time of day
    r"(?:(?:[.,]|\2)\d{1,9})?(?![0-9])",
    re.ASCII,
)
_SECONDS = re.compile(r"(?<![0-9])[0-9]{9,10}[._][0-9]{1,9}(?![0-9])")


@dataclass(frozen=True)
class Gap:
    """Two adjacent frames of a sequence between which numbers are missing."""

    before: str
    after: str


def natural_key(text: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key for natural order: frame2 before frame10. Different names have different keys."""
    parts = re.split(r"([0-9]+)", text)
    numbers = tuple(
        (0, int(part), part) if place % 2 else (1, 0, part.casefold()) for place, part in enumerate(parts)
    )
    return (*numbers, (2, 0, text))


def sequences(names: Iterable[str]) -> list[list[str]]:
    """Group the names of one folder into ordered sequences; see above. Every name is in exactly one."""
    by_spelling: dict[str, list[str]] = defaultdict(list)
    for name in names:
        by_spelling[_DIGITS.sub("0", _stem(name))].append(name)
    groups: dict[tuple[str, str] | None, list[tuple[Decimal, str]]] = defaultdict(list)
    for alike in by_spelling.values():
        varying = _last_varying([_stem(name) for name in alike])
        for name in alike:
            key, number = _frame_number(_stem(name), varying)
            groups[key].append((number, name))
    ordered = [[name for _, name in sorted(group)] for key, group in groups.items() if key is not None]
    if None in groups:
        ordered.append(sorted((name for _, name in groups[None]), key=natural_key))
    return sorted(ordered, key=lambda sequence: natural_key(sequence[0]))


def same_stem(names: Iterable[str]) -> tuple[str, str] | None:
    """Return the first two names that differ only in their suffix (0001.jpg, 0001.png), or None."""
    first: dict[str, str] = {}
    for name in sorted(names, key=natural_key):
        if (other := first.setdefault(_stem(name), name)) != name:
            return other, name
    return None


def gaps(sequence: Sequence[str]) -> list[Gap]:
    """Find gaps in the frame numbers of a sequence.

    A gap is a step of at least twice the median step, so that an export of every second frame has no gaps, nor have
    slightly irregular time stamps.
    """
    stems = [_stem(name) for name in sequence]
    varying = _last_varying(stems)
    numbers = [_frame_number(stem, varying)[1] for stem in stems]
    steps = [after - before for before, after in pairwise(numbers)]
    if not steps:
        return []
    usual = max(sorted(steps)[(len(steps) - 1) // 2], Decimal(1))
    return [
        Gap(before, after)
        for step, (before, after) in zip(steps, pairwise(sequence), strict=True)
        if step >= 2 * usual
    ]


class StereoNames:
    """Assigns the files of one tree to the left and right camera by their paths: `left: image_2, right: image_3`.

    The right camera's file has the same path with `left` replaced by `right`, everywhere or at the last occurrence:
    `left/0001.png` and `right/0001.png`, `cam0/left_0001.png` and `cam0/right_0001.png`. Suffixes may differ. With
    `left` alone, only files with it in their path are frames.

    Args:
        paths: of all images, or of all videos, below the root.
        left, right: parts of these paths; "" if the option is not set.
    """

    def __init__(self, paths: Iterable[str], left: str, right: str) -> None:
        self.left, self.right = left, right
        self._paths = {_stem(path): path for path in paths} if right else {}
        marked = [path for path in self._paths.values() if left in _stem(path)]
        self._of_right = {self.partner(path) for path in marked}

    def is_left(self, path: str) -> bool:
        """Whether a file is a left frame: `left` is in its path and it is not the right frame of another file."""
        return self.left in _stem(path) and path not in self._of_right

    def is_right(self, path: str) -> bool:
        """Whether a file is the right frame of another."""
        return path in self._of_right

    def partner(self, path: str) -> str:
        """Return the right camera's file for a left one: the existing file, else the expected path."""
        stem, suffix = os.path.splitext(path)
        head, _, tail = stem.rpartition(self.left)
        candidates = (stem.replace(self.left, self.right), f"{head}{self.right}{tail}")
        there = [self._paths[candidate] for candidate in candidates if candidate in self._paths]
        return there[0] if there else candidates[0] + suffix


def _stem(name: str) -> str:
    return os.path.splitext(name)[0]


def _last_varying(stems: Sequence[str]) -> int:
    """Return the position from the end (-1) of the last number that differs among stems equal except for digits."""
    columns = list(zip(*(_DIGITS.findall(stem) for stem in stems), strict=True))
    varying = [place - len(columns) for place, column in enumerate(columns) if len(set(column)) > 1]
    return varying[-1] if varying else -1


def _frame_number(stem: str, varying: int) -> tuple[tuple[str, str] | None, Decimal]:
    """Return the parts of a stem common to its sequence (None if it has no number), and the frame number."""
    numbers = list(_DIGITS.finditer(stem))
    if not numbers:
        return None, Decimal(0)
    for pattern, seconds_of in ((_MOMENT, _of_moment), (_SECONDS, _of_seconds)):
        for match in pattern.finditer(stem):
            if match.end() == numbers[-1].end() and (seconds := seconds_of(match[0])) is not None:
                return (stem[: match.start()], stem[match.end() :]), seconds
    alone = list(_ALONE.finditer(stem))
    match = alone[-1] if alone else numbers[varying]
    return (stem[: match.start()], stem[match.end() :]), Decimal(match[0])


def _of_moment(text: str) -> Decimal | None:
    """Return seconds since the year 1; None for an invalid date."""
    digits = "".join(_DIGITS.findall(text))
    year, month, day, hour, minute, second = (
        int(digits[start:end]) for start, end in ((0, 4), (4, 6), (6, 8), (8, 10), (10, 12), (12, 14))
    )
    try:
        days = date(year, month, day).toordinal()
    except ValueError:
        return None
    return Decimal(f"{((days * 24 + hour) * 60 + minute) * 60 + second}.{digits[14:] or 0}")


def _of_seconds(text: str) -> Decimal:
    return Decimal(text.replace("_", "."))
