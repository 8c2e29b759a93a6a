"""Lists of samples to exclude, in the format of splits: written by `data check --exclude-to`, read for `exclude:`."""

from collections.abc import Iterable
from pathlib import Path

from flowdistill.data.dataset import MotionDataset
from flowdistill.data.splits import SplitEntry, examine_split, without_bad_lines
from flowdistill.errors import UserError
from flowdistill.formats.atomic import make_parent, write_atomically

_RULE = "# Samples with problems, found by `flowdistill data check`. To leave them out: --data.init_args.exclude FILE"


def read_exclusions(path: str | Path, dataset: type[MotionDataset]) -> list[SplitEntry]:
    """Read the entries of an exclusion list, which may be empty.

    Raises:
        UserError: if the file is missing, or one of its lines is not valid in a split of this dataset.
    """
    return without_bad_lines(*examine_split(path, dataset.check_entry, may_be_empty=True))


def write_exclusions(path: str | Path, entries: Iterable[SplitEntry]) -> None:
    """Write an exclusion list atomically; its folder is created if needed."""
    make_parent(path)
    lines = [_RULE, *dict.fromkeys(entry.line for entry in entries)]
    write_atomically(path, "".join(f"{line}\n" for line in lines).encode())


def leave_out(
    entries: list[SplitEntry], exclude: str | None, dataset: type[MotionDataset], split: str
) -> list[SplitEntry]:
    """Return the entries of a split that are not in the list `exclude`.

    Raises:
        UserError: as `read_exclusions`, or if no entry is left.
    """
    if exclude is None or not entries:
        return entries
    excluded = frozenset(read_exclusions(exclude, dataset))
    left = [entry for entry in entries if entry not in excluded]
    if not left:
        raise UserError(f"The split {split} has {len(entries)} samples, and {exclude} excludes all of them.")
    return left
