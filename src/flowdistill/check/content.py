"""Labels against pictures: which reading of each label of a sample the pictures speak for.

A sample here is what its files hold, by the keys of the batch contract, as far as they can be read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from flowdistill.check.misreadings import (
    STORED,
    SWAPPED_CAMERAS,
    Array,
    Reading,
    disparity_misreadings,
    flow_misreadings,
    later_disparity_misreadings,
    other_factors,
    read_disparity,
    read_flow,
    upper_half_repeated,
    vote,
)
from flowdistill.check.votes import Grey, Mask, Pair, Votes, grey
from flowdistill.data.files import Content, SampleFile
from flowdistill.formats.encodings import SMALL_DISPARITY

FLOWS = ("flow", "flow_backward", "teacher_flow", "teacher_flow_backward")
JUDGED = (*FLOWS, "disparity_t0", "disparity_t1")
"""Keys of the labels that are compared with the pictures."""

# Share of a noc label's pixels that may lack truth in occ before it is called no subset.
_SUBSET_SHARE = 1e-3
_SAME_VALUE = 0.5  # px
_LEAST_SIDE = 32  # px, that the matcher of two cameras needs


@dataclass
class SampleContent:
    """What the files of one sample hold; grey pictures and absolute disparities are made once."""

    files: Mapping[str, tuple[SampleFile, Content]]
    _grey: dict[str, Grey] = field(default_factory=dict)
    _labels: dict[str, tuple[Array, Mask] | None] = field(default_factory=dict)

    def picture(self, key: str) -> Grey | None:
        """A picture as grey levels, if it is there."""
        if key not in self.files:
            return None
        if key not in self._grey:
            self._grey[key] = grey(self.files[key][1].values)
        return self._grey[key]

    def pair(self, start: str, end: str) -> Pair | None:
        """Two pictures, if both are there and equally large."""
        first, second = self.picture(start), self.picture(end)
        return None if first is None or second is None or first.shape != second.shape else Pair(first, second)

    def label(self, key: str) -> tuple[Array, Mask] | None:
        """Flow (H, W, 2), or disparity (H, W), positive and at t1 absolute, and where it is known."""
        if key not in self._labels:
            self._labels[key] = self._label(key) if key in self.files else None
        return self._labels[key]

    def _label(self, key: str) -> tuple[Array, Mask] | None:
        file, content = self.files[key]
        if content.valid is None:
            return None
        values, valid = content.values, content.valid
        if file.kind.quantity == "flow":
            return values, valid
        disparity = values[..., 0] * np.float32(file.kind.sign)
        if file.kind.quantity == "disparity_change":
            earlier = self.label("disparity_t0")
            if earlier is None or earlier[0].shape != disparity.shape:
                return None
            disparity, valid = disparity + earlier[0], valid & earlier[1]
        return disparity, valid & (disparity > 0)


def judge(sample: SampleContent, neighbours: Sequence[SampleContent], key: str) -> dict[str, Votes]:
    """Name of a misreading of the label `key` -> the votes for and against it; empty where nothing can be compared.

    Args:
        sample: that the label belongs to.
        neighbours: the samples before and after it.
        key: of `JUDGED`.
    """
    label = sample.label(key)
    if label is None:
        return {}
    others = [found for neighbour in neighbours if (found := neighbour.label(key)) is not None]
    if key in FLOWS:
        return _judge_flow(sample, key.endswith("backward"), label, others)
    factors = sample.files[key][1].codes is not None
    if key == "disparity_t0":
        return _judge_disparity(sample, label, others, factors)
    return _judge_later_disparity(sample, label, others, factors)


def repeats(sample: SampleContent, key: str) -> bool:
    """Whether the lower half of a label is its upper half once more."""
    label = sample.label(key)
    return label is not None and upper_half_repeated(np.atleast_3d(label[0]), label[1])


def compare_cameras(sample: SampleContent) -> dict[str, Votes]:
    """Votes for swapped cameras by the pictures alone: what the right camera sees lies farther left."""
    pair = sample.pair("left_t0", "right_t0")
    if pair is None or min(pair.start.shape) < _LEAST_SIDE:
        return {}
    matcher = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    start, end = pair.start.astype(np.uint8), pair.end.astype(np.uint8)
    motion = matcher.calc(start, end, np.zeros((*start.shape, 2), np.float32))
    x, y = motion[..., 0], motion[..., 1]
    contrast = np.hypot(cv2.Sobel(pair.start, cv2.CV_32F, 1, 0), cv2.Sobel(pair.start, cv2.CV_32F, 0, 1))
    telling = (contrast > np.median(contrast)) & (np.abs(y) < 1)
    votes = Votes(int(np.count_nonzero(telling & (x > 1))), int(np.count_nonzero(telling & (x < -1))))
    return {SWAPPED_CAMERAS: votes}


def wrong_subsets(sample: SampleContent) -> Iterator[tuple[SampleFile, str]]:
    """The `noc` files with pixels or values that their `occ` file does not have, and what is wrong with them."""
    for key, (file, content) in sample.files.items():
        if not (key.endswith("_noc") and content.valid is not None):
            continue
        whole = sample.files.get(key.removeprefix("valid_").removesuffix("_noc"))
        if whole is None or whole[1].valid is None or whole[1].valid.shape != content.valid.shape:
            continue
        occ, noc = whole[1].valid, content.valid
        beyond, known = int(np.count_nonzero(noc & ~occ)), int(np.count_nonzero(noc))
        if beyond <= _SUBSET_SHARE * known:
            apart = np.abs(content.values - whole[1].values).max(axis=2) > _SAME_VALUE
            other = int(np.count_nonzero(apart & noc & occ))
            if other > _SUBSET_SHARE * known:
                yield file, f"other values than occ at {other} of {known} pixels"
            continue
        if np.count_nonzero(occ & ~noc) <= _SUBSET_SHARE * np.count_nonzero(occ):
            words = f"occ and noc swapped: noc knows every pixel of occ and {beyond} more"
        else:
            words = f"noc is not a subset of occ: {beyond} of its {known} pixels have no truth there"
        yield file, words


def _judge_flow(
    sample: SampleContent, backward: bool, label: tuple[Array, Mask], others: list[tuple[Array, Mask]]
) -> dict[str, Votes]:
    flow, valid = label
    start, end = ("t1", "t0") if backward else ("t0", "t1")
    pair = sample.pair(f"left_{start}", f"left_{end}")
    if pair is None or pair.start.shape != valid.shape:
        return {}
    stored = Reading(STORED, read_flow(flow), valid, pair)
    other_camera = sample.pair(f"right_{start}", f"right_{end}")
    return vote(stored, flow_misreadings(stored, flow, other_camera, others))


def _judge_disparity(
    sample: SampleContent, label: tuple[Array, Mask], others: list[tuple[Array, Mask]], factors: bool
) -> dict[str, Votes]:
    disparity, valid = label
    pair, reverse = sample.pair("left_t0", "right_t0"), sample.pair("right_t0", "left_t0")
    if pair is None or reverse is None or pair.start.shape != valid.shape:
        return {}
    stored = Reading(STORED, read_disparity(disparity), valid, pair)
    if factors and _is_small(disparity):
        return vote(stored, other_factors(stored, disparity))
    return vote(stored, disparity_misreadings(stored, disparity, reverse, others, factors))


def _judge_later_disparity(
    sample: SampleContent, label: tuple[Array, Mask], others: list[tuple[Array, Mask]], factors: bool
) -> dict[str, Votes]:
    disparity, valid = label
    flow, pair = sample.label("flow"), sample.pair("left_t0", "right_t1")
    if pair is None or flow is None or not pair.start.shape == valid.shape == flow[1].shape:
        return {}
    file, content = sample.files["disparity_t1"]
    is_change = file.kind.quantity == "disparity_change"
    as_absolute = content.values[..., 0] * np.float32(file.kind.sign) if is_change else None
    stored = Reading(STORED, read_disparity(disparity, flow[0]), valid & flow[1], pair)
    if factors and _is_small(disparity):
        return vote(stored, other_factors(stored, disparity, flow[0]))
    return vote(stored, later_disparity_misreadings(stored, disparity, flow[0], as_absolute, others, factors))


def _is_small(disparity: Array) -> bool:
    """Whether nothing but another factor is plausible: disparities near 0 fit the pictures as almost any label does."""
    return float(disparity.max()) < SMALL_DISPARITY
