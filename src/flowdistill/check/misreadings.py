"""Plausible misreadings of a label, each as a motion between two images.

flow  # (H, W, 2) px     disparity  # (H, W) px, positive     valid  # (H, W) bool
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from flowdistill.check.votes import (
    MARGIN,
    MARGIN_OF_OTHER_PICTURES,
    Mask,
    Pair,
    Points,
    Votes,
    apart,
    count_unexplained,
    count_votes,
    sample_points,
)
from flowdistill.formats.encodings import DISPARITY_FACTORS

Array = npt.NDArray[np.float32]
Neighbours = Sequence[tuple[Array, Mask]]

_POINTS = 600  # sampled pixels of a label for each misreading
_REPEATED = 0.98  # smallest share of equal pixels for which two halves are considered equal
_COLUMNS = 128  # columns of a label that are compared
_LEAST_SPREAD = 0.25  # px (standard deviation) by which a label must vary to distinguish its halves


Motion = Callable[[Points], Array]
"""Pixels (N,) -> their motion (N, 2) px. Motions are computed for the sampled pixels only."""


@dataclass(frozen=True)
class Reading:
    """One interpretation of a label.

    Attributes:
        name: of the misreading: "upside down".
        motion: from `pair.start` to `pair.end`.
        valid: (H, W), where the motion is known.
        pair: the images.
    """

    name: str
    motion: Motion
    valid: Mask
    pair: Pair


STORED = "as stored"
SWAPPED_CAMERAS = "left and right camera swapped"
UNEXPLAINED = "of other pictures"
"""Not a reading: the label does not match the images at all, for example if the next image shows another scene."""


def vote(stored: Reading, others: Iterable[Reading]) -> dict[str, Votes]:
    """Return name of a misreading -> numbers of pixels for and against it."""
    votes: dict[str, Votes] = {}
    everywhere = sample_points([stored.valid], _POINTS)
    as_stored = stored.pair.difference(everywhere, stored.motion(everywhere))
    votes[UNEXPLAINED] = count_unexplained(as_stored)
    for other in others:
        points, difference = everywhere, as_stored
        if other.valid is not stored.valid:
            points = sample_points([stored.valid, other.valid], _POINTS)
            difference = stored.pair.difference(points, stored.motion(points))
        motion = other.motion(points)
        # Other images also differ in noise and exposure, so a larger margin is required.
        same_pictures = other.pair is stored.pair
        telling = apart(stored.motion(points), motion) if same_pictures else np.ones(points.size, bool)
        if not telling.any():
            continue
        margin = MARGIN if same_pictures else MARGIN_OF_OTHER_PICTURES
        found = count_votes(difference, other.pair.difference(points, motion), telling, margin)
        if found.total and (other.name not in votes or found.share > votes[other.name].share):
            votes[other.name] = found
    return votes


def read_flow(flow: Array) -> Motion:
    """Return the motion of a flow (H, W, 2)."""
    return lambda points: _at(flow, points)


def read_disparity(disparity: Array, flow: Array | None = None, factor: float = 1) -> Motion:
    """Return the motion from left to right image of a disparity (H, W) times a factor; after a flow, if given."""

    def motion(points: Points) -> Array:
        moved = np.zeros((points.size, 2), np.float32) if flow is None else _at(flow, points)
        moved[:, 0] -= _at(disparity, points) * np.float32(factor)
        return moved

    return motion


def flow_misreadings(
    stored: Reading, flow: Array, other_camera: Pair | None, neighbours: Neighbours
) -> Iterator[Reading]:
    """Yield the misreadings of a flow.

    Args:
        stored: the label as stored.
        flow: the label.
        other_camera: the other camera's images at the same two times.
        neighbours: labels of the samples before and after, with their valid masks.
    """
    for name, signs in (("negated", (-1, -1)), ("x negated", (-1, 1)), ("y negated", (1, -1))):
        yield replace(stored, name=name, motion=_times(read_flow(flow), signs))
    yield replace(stored, name="x and y swapped", motion=read_flow(flow[..., ::-1]))
    for name, turned, signs in (
        ("upside down", lambda values: values[::-1], (1, -1)),
        ("mirrored", lambda values: values[:, ::-1], (-1, 1)),
    ):
        motion, valid = read_flow(turned(flow)), turned(stored.valid)
        # Either only the file was flipped, or the images were and the label with its values was not.
        yield replace(stored, name=name, motion=motion, valid=valid)
        yield replace(stored, name=name, motion=_times(motion, signs), valid=valid)
    if other_camera is not None:
        yield replace(stored, name="of the other camera", pair=other_camera)
    for values, valid in neighbours:
        if values.shape == flow.shape:
            yield replace(stored, name="of a neighbouring frame", motion=read_flow(values), valid=valid)


def camera_misreadings(stored: Reading, disparity: Array) -> Iterator[Reading]:
    """Yield the misreadings of a disparity at t0 that confuse its cameras or its sign."""
    reverse = Pair(stored.pair.end, stored.pair.start)
    to_left = read_disparity(disparity, factor=-1)
    yield replace(stored, name="of the other camera", motion=to_left, pair=reverse)
    yield replace(stored, name=SWAPPED_CAMERAS, pair=reverse)
    yield replace(stored, name="negated", motion=to_left)


def disparity_misreadings(
    stored: Reading, disparity: Array, flow: Array | None, neighbours: Neighbours
) -> Iterator[Reading]:
    """Yield the misreadings common to all disparities.

    Args:
        stored: the label as stored; at t1, after the flow, as a motion from left_t0 to right_t1.
        disparity, flow: its components; no flow at t0.
        neighbours: labels of the samples before and after, with their valid masks.
    """
    turned = (
        ("upside down", disparity[::-1], stored.valid[::-1]),
        ("mirrored", disparity[:, ::-1], stored.valid[:, ::-1]),
    )
    moved = (("of a neighbouring frame", values, valid) for values, valid in neighbours)
    for name, values, valid in (*turned, *moved):
        if values.shape == disparity.shape:
            yield replace(stored, name=name, motion=read_disparity(values, flow), valid=valid)


def other_factors(stored: Reading, disparity: Array, flow: Array | None) -> list[Reading]:
    """Return readings of a disparity stored with a factor other than 256; after a flow, for the disparity at t1."""
    return [
        replace(
            stored,
            name=f"stored with the factor {factor:g} in place of 256",
            motion=read_disparity(disparity, flow, 256 / factor),
        )
        for factor in DISPARITY_FACTORS
    ]


def upper_half_repeated(values: Array, valid: Mask) -> bool:
    """Whether the lower half of a label (H, W, C) is a copy of its upper half."""
    height, width = valid.shape
    half, step = height // 2, max(width // _COLUMNS, 1)
    values, valid = values[:, ::step], valid[:, ::step]
    for start in dict.fromkeys((half, height - half)):
        upper, lower = values[:half], values[start : start + half]
        both = valid[:half] & valid[start : start + half]
        either = np.count_nonzero(valid[:half] | valid[start : start + half])
        if not either or np.count_nonzero(both) < _REPEATED * either:
            continue
        close = (np.abs(upper - lower) < 0.05).all(axis=2) & both  # px: the same value in any format
        if (
            np.count_nonzero(close) >= _REPEATED * either
            and values[:half][both].std(axis=0).max() > _LEAST_SPREAD
        ):
            return True
    return False


def _times(motion: Motion, signs: tuple[int, int]) -> Motion:
    return lambda points: motion(points) * np.array(signs, np.float32)


def _at(values: Array, points: Points) -> Array:
    """Return the values (N, ...) of an array (H, W, ...) at the points."""
    y, x = np.divmod(points, values.shape[1])
    return values[y, x]
