"""Which images of a KITTI evaluation a split file names."""

from __future__ import annotations

from collections.abc import Set
from pathlib import Path

from flowdistill.data.splits import SplitEntry, read_split
from flowdistill.errors import UserError


def read_images(split: Path, known: Set[str], ground_truth: Path) -> list[str]:
    """The ids of a split file, sorted.

    Args:
        split: the file.
        known: names of the images with ground truth.
        ground_truth: their folder, for the message.

    Raises:
        UserError: if the file cannot be read as a split, or a line (which is named) cannot be scored: its id has no
            ground truth, it is of the right camera, or it names proxy labels.
    """

    def check(entry: SplitEntry) -> None:
        if entry.camera != "left":
            raise UserError(
                "KITTI's ground truth is that of the left camera: what was predicted for the right one cannot be "
                "scored. Remove the line."
            )
        if entry.labels is not None:
            raise UserError(
                f"labels={entry.labels} names proxy labels, but predictions are scored against the ground truth of "
                f"{ground_truth} alone. Remove `labels={entry.labels}`, or take a split of frames with ground truth, "
                "such as data_splits/kitti_40.txt."
            )
        if entry.id not in known:
            raise UserError(
                f"{entry.id} has no ground truth: no folder of {ground_truth} holds {entry.id}.png. Remove the line, "
                "or name the ground truth that the split was made for."
            )

    return sorted(entry.id for entry in read_split(split, check))
