"""Assigns files to the left and right camera by their paths: `left: image_2, right: image_3`.

`left` and `right` are parts of paths below the root. The right camera's file has the same path with `left` replaced by
`right`, everywhere or at the last occurrence: `left/0001.png` and `right/0001.png`, `cam0/left_0001.png` and
`cam0/right_0001.png`. Suffixes may differ. With `left` alone, only files with it in their path are frames.
"""

import os
from collections.abc import Iterable


class StereoNames:
    """The cameras of the files of one tree.

    Args:
        paths: of all images, or of all videos, below the root.
        left, right: see above; "" if the option is not set.
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


def _stem(path: str) -> str:
    return os.path.splitext(path)[0]
