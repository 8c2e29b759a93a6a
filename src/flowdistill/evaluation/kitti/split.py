"""Images that a split file selects for a KITTI evaluation."""

from __future__ import annotations

from collections.abc import Set
from pathlib import Path

from flowdistill.data.splits import SplitEntry, read_split
from flowdistill.errors import UserError


def read_images(split: Path, known: Set[str], ground_truth: Path) -> list[str]:
    """Return the sorted ids of a split file.

    Args:
        split: the file.
        known: names of the images with ground truth.
        ground_truth: their folder, for the message.

    Raises:
        UserError: the file is not a valid split, or a line (given in the message) cannot be scored: its id has no
            ground truth, or it requests the right camera or proxy labels.
    """

    def check(entry: SplitEntry) -> None:
        if entry.camera != "left":
            raise UserError(
                "KITTI's ground truth is that of the left camera: predictions for the right one cannot be scored. "
                "Remove the line."
            )
        if entry.labels is not None:
            raise UserError(
                f"labels={entry.labels} selects proxy labels, but predictions are only scored against the ground truth "
                f"in {ground_truth}. Remove `labels={entry.labels}`, or use a split of frames with ground truth, such "
                "as data_splits/kitti_40.txt."
            )
        if entry.id not in known:
            raise UserError(
                f"{entry.id} has no ground truth: no folder of {ground_truth} contains {entry.id}.png. Remove the "
                "line, or set --ground-truth to the data set that the split was made for."
            )

    return sorted(entry.id for entry in read_split(split, check))
