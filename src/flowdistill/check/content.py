"""Compares the labels of a sample with its images, to find the reading of each label that matches best.

A sample here consists of the contents of its readable files, by the keys of the batch contract.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from flowdistill.check.misreadings import (
    STORED,
    SWAPPED_CAMERAS,
    Array,
    Reading,
    camera_misreadings,
    disparity_misreadings,
    flow_misreadings,
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
"""Keys of the labels that are compared with the images."""

# Largest share of a noc label's pixels without ground truth in occ for which it is still accepted as a subset.
_SUBSET_SHARE = 1e-3
_SAME_VALUE = 0.5  # px
_LEAST_SIDE = 32  # px, required by the matcher of the two cameras


@dataclass
class SampleContent:
    """Contents of the files of one sample; grey images and absolute disparities are cached."""

    files: Mapping[str, tuple[SampleFile, Content]]
    _grey: dict[str, Grey] = field(default_factory=dict)
    _labels: dict[str, tuple[Array, Mask] | None] = field(default_factory=dict)

    def picture(self, key: str) -> Grey | None:
        """Return an image as grey levels, or None if the sample does not have it."""
        if key not in self.files:
            return None
        if key not in self._grey:
            self._grey[key] = grey(self.files[key][1].values)
        return self._grey[key]

    def pair(self, start: str, end: str) -> Pair | None:
        """Return two images, or None if one is missing or their sizes differ."""
        first, second = self.picture(start), self.picture(end)
        return None if first is None or second is None or first.shape != second.shape else Pair(first, second)

    def label(self, key: str) -> tuple[Array, Mask] | None:
        """Return flow (H, W, 2), or disparity (H, W), positive and absolute also at t1, and its valid mask."""
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
    """Return misreading of the label `key` -> votes for and against it; empty if no comparison is possible.

    Args:
        sample: the sample of the label.
        neighbours: the samples before and after it.
        key: one of `JUDGED`.
    """
    label = sample.label(key)
    if label is None:
        return {}
    others = [found for neighbour in neighbours if (found := neighbour.label(key)) is not None]
    if key in FLOWS:
        return _judge_flow(sample, key.endswith("backward"), label, others)
    return _judge_disparity(sample, key, label, others)


def repeats(sample: SampleContent, key: str) -> bool:
    """Whether the lower half of a label is a copy of its upper half."""
    label = sample.label(key)
    return label is not None and upper_half_repeated(np.atleast_3d(label[0]), label[1])


def compare_cameras(sample: SampleContent) -> dict[str, Votes]:
    """Return votes for swapped cameras from the images alone: points must be farther left in the right image."""
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
    """Yield the `noc` files with pixels or values that differ from their `occ` file, and a description."""
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
                yield file, f"values differ from occ at {other} of {known} pixels"
            continue
        if np.count_nonzero(occ & ~noc) <= _SUBSET_SHARE * np.count_nonzero(occ):
            words = f"occ and noc swapped: noc has all pixels of occ and {beyond} more"
        else:
            words = f"noc is not a subset of occ: {beyond} of its {known} pixels have no ground truth there"
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
    sample: SampleContent, key: str, label: tuple[Array, Mask], others: list[tuple[Array, Mask]]
) -> dict[str, Votes]:
    """Judge a disparity at t0, or at t1 on the grid of t0: then as a motion from left_t0 to right_t1."""
    disparity, valid = label
    flow: Array | None = None
    pair = sample.pair("left_t0", "right_t0" if key == "disparity_t0" else "right_t1")
    if key == "disparity_t1":
        label_of_flow = sample.label("flow")
        if label_of_flow is None or label_of_flow[1].shape != valid.shape:
            return {}
        flow, valid = label_of_flow[0], valid & label_of_flow[1]
    if pair is None or pair.start.shape != valid.shape:
        return {}
    file, content = sample.files[key]
    stored = Reading(STORED, read_disparity(disparity, flow), valid, pair)
    factors = [] if content.codes is None else other_factors(stored, disparity, flow)
    if factors and disparity.max() < SMALL_DISPARITY:  # near 0 almost any label seems to fit
        return vote(stored, factors)
    readings: list[Reading] = []
    if key == "disparity_t0":
        readings += camera_misreadings(stored, disparity)
    elif file.kind.quantity == "disparity_change":
        as_absolute = read_disparity(content.values[..., 0] * np.float32(file.kind.sign), flow)
        readings.append(replace(stored, name="absolute, not a change", motion=as_absolute))
    return vote(stored, [*readings, *disparity_misreadings(stored, disparity, flow, others), *factors])
