"""The entries of a split, stored in a few arrays."""

import os
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from flowdistill.data.splits import SplitEntry

_JOINT = b"\0"  # cannot occur in a path


class SplitIndex:
    """A sequence of split entries whose memory forked workers share.

    A list of 40,000 entries consists of 120,000 Python objects. Accessing an object changes its reference count, so
    every worker would soon have its own copy of each memory page of the list. Here all ids are stored in one byte
    buffer and all frame paths in another, and entries are created on access, which writes nothing. (Measured: a forked
    process that accesses all 40,000 copies 5.7 MB of the list, 0.1 MB of this.)
    """

    def __init__(self, entries: Iterable[SplitEntry]) -> None:
        entries = list(entries)
        ids = [entry.id.encode() for entry in entries]
        frames = [_JOINT.join(map(os.fsencode, entry.frames)) for entry in entries]
        folders = list(dict.fromkeys(entry.labels for entry in entries if entry.labels is not None))
        number = {folder: position for position, folder in enumerate(folders)}
        self._folders = tuple(folders)
        self._text = np.frombuffer(b"".join(ids), dtype=np.uint8)
        self._ends = np.cumsum([len(id_) for id_ in ids], dtype=np.int64)
        self._frames = np.frombuffer(b"".join(frames), dtype=np.uint8)
        self._frame_ends = np.cumsum([len(paths) for paths in frames], dtype=np.int64)
        self._right = np.array([entry.camera == "right" for entry in entries], dtype=bool)
        labels = [-1 if entry.labels is None else number[entry.labels] for entry in entries]
        self._labels = np.array(labels, dtype=np.int32)

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, position: int) -> SplitEntry:
        labels = int(self._labels[position])  # raises IndexError, which ends an iteration
        frames = _piece(self._frames, self._frame_ends, position)
        return SplitEntry(
            _piece(self._text, self._ends, position).decode(),
            "right" if self._right[position] else "left",
            self._folders[labels] if labels >= 0 else None,
            tuple(map(os.fsdecode, frames.split(_JOINT))) if frames else (),
        )

    def __iter__(self) -> Iterator[SplitEntry]:
        return (self[position] for position in range(len(self)))

    def one_of_each(self) -> list[SplitEntry]:
        """Return one entry for each combination of camera and presence of proxy labels that occurs."""
        kinds = self._right * 2 + (self._labels >= 0)
        return [self[int(position)] for position in np.unique(kinds, return_index=True)[1]]


def _piece(text: npt.NDArray[np.uint8], ends: npt.NDArray[np.int64], position: int) -> bytes:
    """Return the text at a position, which may be negative to count from the end."""
    position %= len(ends)
    start = int(ends[position - 1]) if position else 0
    return text[start : int(ends[position])].tobytes()
