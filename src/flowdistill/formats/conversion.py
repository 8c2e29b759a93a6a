"""Conversion of a flow or disparity file to another format, with counts of the losses.

The target is read back and compared with the source, so that the counts refer to the written file.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field, fields, replace

import numpy as np

from flowdistill.formats.atomic import make_parent
from flowdistill.formats.errors import FormatError
from flowdistill.formats.motion import Motion, Quantity, can_hold, motion_suffix, read_motion, write_motion

OUT_OF_RANGE = "pixels outside of the 16-bit range (flow [-512, 512) px, disparity [0, 256) px), now invalid"
NEGATIVE = "negative disparities, which KITTI's PNG cannot store, now invalid"


@dataclass(frozen=True)
class Conversion:
    """Counts of converted and lost pixels; can be added over files.

    Attributes:
        pixels, valid, written: all pixels, those with a value in the source, those with a value in the target.
        lost: number of pixels by reason: OUT_OF_RANGE, NEGATIVE, and the reasons of `Motion.passed_over`.
        negative: disparities that are negative in the target.
        largest_rounding: px, of one component.
        rounding_sum: px, over the components of the written pixels.
        components: number of these components.
    """

    pixels: int = 0
    valid: int = 0
    written: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    negative: int = 0
    largest_rounding: float = 0.0
    rounding_sum: float = 0.0
    components: int = 0

    def __add__(self, other: Conversion) -> Conversion:
        sums = {each.name: getattr(self, each.name) + getattr(other, each.name) for each in fields(self)}
        return replace(
            Conversion(**sums), largest_rounding=max(self.largest_rounding, other.largest_rounding)
        )

    @property
    def mean_rounding(self) -> float:
        return self.rounding_sum / max(self.components, 1)


def convert_motion(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    quantity: Quantity | None = None,
    negate_disparity: bool = False,
) -> Conversion:
    """Writes `source` in the format of `target`'s suffix; the folder is created if needed.

    Args:
        source: a flow or disparity file.
        target: the file to write; an existing one is replaced.
        quantity: quantity that the source must contain; by default either.
        negate_disparity: change the sign of disparities, as needed for FlyingThings3D's subset.

    Raises:
        FormatError: as `read_motion`; if nothing would be left, because .flo cannot store disparities and the PNG
            cannot store negative ones; and if the target cannot be written.
    """
    motion = read_motion(source, quantity)
    if negate_disparity and motion.quantity == "disparity":
        motion = replace(motion, values=0 - motion.values)  # not -values, which turns 0 into -0
    _check_fits(source, motion, motion_suffix(target), negate_disparity)
    make_parent(target)
    write_motion(target, motion)
    return _compare(motion, read_motion(target, motion.quantity))


def _check_fits(source: str | os.PathLike[str], motion: Motion, suffix: str, negated: bool) -> None:
    """Raises FormatError if nothing of a motion would be left."""
    if not can_hold(suffix, motion.quantity):
        raise FormatError(
            f"{os.fspath(source)}: it contains {motion.quantity}, but {suffix} can only store flow"
        )
    stored = motion.values[motion.valid]
    if suffix == ".png" and motion.quantity == "disparity" and stored.size and (stored < 0).all():
        raise FormatError(
            f"{os.fspath(source)}: its disparities are all negative{' when negated' * negated}, but KITTI's PNG stores "
            f"only positive ones; convert it {'without' if negated else 'with'} --negate-disparities"
        )


def _compare(motion: Motion, stored: Motion) -> Conversion:
    gone = motion.valid & ~stored.valid
    negative = (motion.values[..., 0] < 0) & (motion.quantity == "disparity")
    lost = Counter(motion.passed_over)
    lost[NEGATIVE] += int(np.count_nonzero(gone & negative))
    lost[OUT_OF_RANGE] += int(np.count_nonzero(gone & ~negative))
    both = (motion.values[stored.valid], stored.values[stored.valid])  # (pixels, C)
    rounding = np.abs(np.subtract(*both, dtype=np.float64))
    return Conversion(
        motion.valid.size,
        int(np.count_nonzero(motion.valid)),
        int(np.count_nonzero(stored.valid)),
        +lost,
        int(np.count_nonzero(stored.valid & negative)),
        float(rounding.max(initial=0)),
        float(rounding.sum()),
        rounding.size,
    )
