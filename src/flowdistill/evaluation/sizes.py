"""Check that all files of an image have the same size."""

from __future__ import annotations

from pathlib import Path

from flowdistill.errors import UserError

Sizes = dict[Path, tuple[int, ...]]  # file -> height, width


def check_size(sizes: Sizes, path: Path, size: tuple[int, ...]) -> None:
    """Add the size of a file to `sizes`. Raises UserError if it differs from that of the first file, the ground truth.

    Examples:
        >>> from pathlib import Path
        >>> from flowdistill.evaluation.sizes import check_size
        >>> sizes = {Path("truth.png"): (375, 1242)}
        >>> check_size(sizes, Path("prediction.png"), (376, 1242))
        Traceback (most recent call last):
        flowdistill.errors.UserError: prediction.png: expected 375 x 1242 pixels like truth.png, found 376 x 1242
    """
    sizes[path] = size
    first, expected = next(iter(sizes.items()))
    if size != expected:
        raise UserError(
            f"{path}: expected {expected[0]} x {expected[1]} pixels like {first}, found {size[0]} x {size[1]}"
        )
